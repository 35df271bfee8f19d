import { expect, test } from "bun:test";
import { cleanName } from "./extract.ts";
import { absolutePath, goFileMode, shownNameOf } from "./path-stat.ts";

test("paths keep what asks for the target of a link", () => {
  expect(absolutePath("etc")).toBe("/etc");
  expect(absolutePath("/etc/")).toBe("/etc/");
  expect(absolutePath("/etc/.")).toBe("/etc/.");
  expect(absolutePath("/a/../../b")).toBe("/b");
  expect(absolutePath("/")).toBe("/");
  expect(absolutePath("/.")).toBe("/.");
});

test("entries are named as Go's filepath.Base does", () => {
  expect(shownNameOf("/a/b/")).toBe("b");
  expect(shownNameOf("/a/.")).toBe(".");
  expect(shownNameOf("/")).toBe("/");
});

test("modes are Go's", () => {
  expect(goFileMode(0o100644)).toBe(420);
  expect(goFileMode(0o040755)).toBe(2147484141);
  expect(goFileMode(0o120777)).toBe(134218239);
  expect(goFileMode(0o041777)).toBe(2 ** 31 + 2 ** 20 + 0o777);
  expect(goFileMode(0o104755)).toBe(2 ** 23 + 0o755);
});

test("names in archives stay below the target", () => {
  expect(cleanName("./a//b/../c/")).toBe("a/c");
  expect(cleanName("/abs")).toBe("abs");
  expect(cleanName("./")).toBe("");
  expect(() => cleanName("a/../../x")).toThrow("leaves the target");
});
