import { expect, test } from "bun:test";
import { parseMount } from "./mount-spec.ts";

test("bind-idmap names whom the owner is seen as", () => {
  const mapping = (text: string): unknown =>
    parseMount(`type=bind,src=/s,dst=/d,${text}`).BindOptions?.IDMapping;
  expect(mapping("bind-idmap")).toEqual({ Source: "match-user" });
  expect(mapping("bind-idmap=match-user")).toEqual({ Source: "match-user" });
  expect(mapping("bind-idmap=match-user:www-data")).toEqual({
    Source: "match-user",
    User: "www-data",
  });
  expect(mapping("bind-idmap=userns")).toEqual({ Source: "userns" });
  for (const bad of ["magic", "match-user:", "userns:0", ""]) {
    expect(() => mapping(`bind-idmap=${bad}`)).toThrow("bind-idmap");
  }
});
