import { expect, test } from "bun:test";
import { NaruError } from "../base/mod.ts";
import { ExitError } from "./exit-error.ts";
import { failureLine } from "./explain.ts";

const ENGINES: NaruError = new NaruError("not_found", "No such container: x", { status: 404 });

test.each([
  ["the engine's", ENGINES, "Error response from daemon: No such container: x"],
  ["not found here", new NaruError("not_found", "no such object: x"), "Error: No such object: x"],
  ["the client's", new NaruError("invalid_argument", "open /x: no"), "open /x: no"],
  [
    "no engine",
    new NaruError("unavailable", "no", { host: "unix:///n.sock", code: "ENOENT" }),
    "Cannot connect to the Docker daemon at unix:///n.sock. Is the docker daemon running?",
  ],
  ["a command's own", new ExitError(125, "conflicting options"), "docker: conflicting options"],
])("as docker: %s", (_name, error, wanted) => {
  expect(failureLine(error, "docker")).toBe(wanted);
});

test("as naru every line is short and begins with the name", () => {
  expect(failureLine(ENGINES, "naru")).toBe("naru: No such container: x");
  expect(failureLine(new ExitError(1, "no"), "naru")).toBe("naru: no");
});
