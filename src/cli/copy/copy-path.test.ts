import { describe, expect, test } from "bun:test";
import {
  absoluteKept,
  type CopyInfo,
  followedPath,
  parseCopySide,
  planCopy,
  renameEntry,
  splitEntry,
} from "./copy-path.ts";

function info(path: string, what: "file" | "directory" | "missing", rebaseName = ""): CopyInfo {
  return { path, exists: what !== "missing", isDirectory: what === "directory", rebaseName };
}

describe("copy paths", () => {
  test("a side is a container's unless it looks like a path", () => {
    expect(parseCopySide("web:/etc")).toEqual({ container: "web", path: "/etc" });
    expect(parseCopySide("web:a:b")).toEqual({ container: "web", path: "a:b" });
    expect(parseCopySide("./a:b")).toEqual({ container: undefined, path: "./a:b" });
    expect(parseCopySide("/a:b")).toEqual({ container: undefined, path: "/a:b" });
    expect(parseCopySide("-")).toEqual({ container: undefined, path: "-" });
  });

  test("what asks for a folder or its content is kept", () => {
    expect(absoluteKept("a/b/", "/w")).toBe("/w/a/b/");
    expect(absoluteKept("a/.", "/w")).toBe("/w/a/.");
    expect(absoluteKept(".", "/w")).toBe("/w/.");
    expect(absoluteKept("/")).toBe("/");
    expect(splitEntry("/a/b/")).toEqual({ folder: "/a", base: "b" });
    expect(splitEntry("/a/b/.")).toEqual({ folder: "/a/b", base: "." });
  });

  test("a link that was followed keeps its name", () => {
    expect(followedPath("/a/link", "/b/real")).toEqual({ path: "/b/real", rebaseName: "link" });
    expect(followedPath("/a/link/.", "/b/real")).toEqual({ path: "/b/real/.", rebaseName: "" });
    expect(followedPath("/a/same", "/b/same")).toEqual({ path: "/b/same", rebaseName: "" });
  });
});

describe("docker's table of copies", () => {
  test("a file to a path that is missing, a file, a folder", () => {
    const source = info("/s/one", "file");
    expect(planCopy(source, info("/t/two", "missing"))).toEqual({
      folder: "/t",
      rename: { from: "one", to: "two" },
    });
    expect(planCopy(source, info("/t/two", "file")).rename?.to).toBe("two");
    expect(planCopy(source, info("/t/two", "directory"))).toEqual({
      folder: "/t/two",
      rename: undefined,
    });
    expect(() => planCopy(source, info("/t/two/", "missing"))).toThrow("no such directory");
  });

  test("a folder to a path that is missing, a file, a folder", () => {
    const source = info("/s/one", "directory");
    expect(planCopy(source, info("/t/two", "missing")).rename).toEqual({ from: "one", to: "two" });
    expect(() => planCopy(source, info("/t/two", "file"))).toThrow("cannot copy directory");
    expect(planCopy(source, info("/t/two", "directory")).rename).toBeUndefined();
    const content = info("/s/one/.", "directory");
    expect(planCopy(content, info("/t/two", "missing")).rename).toEqual({ from: ".", to: "two" });
  });

  test("names change in their first part only", () => {
    const rename = { from: "one", to: "two" };
    expect(renameEntry("one/", rename)).toBe("two/");
    expect(renameEntry("one/one", rename)).toBe("two/one");
    expect(renameEntry("ones", rename)).toBe("ones");
    expect(renameEntry("./a", { from: ".", to: "two" })).toBe("two/a");
    expect(renameEntry("/a", { from: "/", to: "two" })).toBe("two/a");
    expect(renameEntry("a", undefined)).toBe("a");
  });
});
