import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeDirectoryInRoot, readInRoot, withDirectoryInRoot } from "./rootfs.ts";

let base = "";
let root = "";
const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
beforeAll(() => {
  base = mkdtempSync("/tmp/naru-rootfs-");
  root = join(base, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  writeFileSync(join(base, "secret"), "outside");
  writeFileSync(join(root, "etc/passwd"), "inside");
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

test("reads a file, follows links inside, and finds nothing outside", () => {
  expect(readInRoot(root, "/etc/passwd")).toBe("inside");
  symlinkSync("/etc/passwd", join(root, "absolute"));
  expect(readInRoot(root, "/absolute")).toBe("inside");
  symlinkSync("../../../../../../secret", join(root, "up"));
  symlinkSync(join(base, "secret"), join(root, "out"));
  expect(readInRoot(root, "/up")).toBe("");
  expect(readInRoot(root, "/out")).toBe("");
  expect(readInRoot(root, "/../secret")).toBe("");
  expect(readInRoot(root, "/none/at/all")).toBe("");
  expect(readInRoot(root, "/etc")).toBe("");
});

test("makes a directory with parents inside, also through a hostile link", () => {
  makeDirectoryInRoot(root, "/a/b/c", owner);
  expect(existsSync(join(root, "a/b/c"))).toBe(true);
  makeDirectoryInRoot(root, "/a/b/c", owner);
  symlinkSync("/../../..", join(root, "escape"));
  makeDirectoryInRoot(root, "/escape/made", owner);
  expect(existsSync(join(root, "made"))).toBe(true);
  expect(readdirSync(base).sort()).toEqual(["root", "secret"]);
});

test("a file in the way is named", () => {
  expect(() => makeDirectoryInRoot(root, "/etc/passwd/x", owner)).toThrow("not a directory");
  expect(() => makeDirectoryInRoot(root, "/etc/passwd", owner)).toThrow("not a directory");
});

test("a directory is given by a path that does not depend on names any more", async () => {
  const names = await withDirectoryInRoot(root, "/etc", async (path) =>
    path === undefined ? [] : readdirSync(path),
  );
  expect(names).toEqual(["passwd"]);
  expect(await withDirectoryInRoot(root, "/nowhere", async (path) => path)).toBeUndefined();
});
