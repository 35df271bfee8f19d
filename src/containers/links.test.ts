import { expect, test } from "bun:test";
import { emptyHostConfig } from "../../test/fakes/bodies.ts";
import { checkLinks, parseLink } from "./links.ts";

test("a link names a container and perhaps an alias", () => {
  expect(parseLink("db")).toEqual({ ref: "db", alias: "db" });
  expect(parseLink("db:store")).toEqual({ ref: "db", alias: "store" });
  expect(parseLink("/db:/web/store")).toEqual({ ref: "/db", alias: "store" });
  for (const bad of ["", ":x", "a:", "a:b:c", "a:b c"]) {
    expect(() => parseLink(bad)).toThrow("bad format for links");
  }
});

test("links are of the default bridge", () => {
  const host = (NetworkMode: string) => ({ ...emptyHostConfig(), NetworkMode, Links: ["db"] });
  for (const mode of ["default", "bridge"]) checkLinks(host(mode));
  for (const mode of ["host", "none", "container:x"]) {
    expect(() => checkLinks(host(mode))).toThrow("conflicting options");
  }
});
