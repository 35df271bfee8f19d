/** The tools of the tests themselves. */
import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { tarArchive } from "../../scripts/tar-writer.ts";
import { TerminalSession } from "./pty.ts";
import { dockerArchive, ociArchive } from "./rootfs.ts";

test("a terminal shows its size, takes input and follows a resize", async () => {
  const script = "stty size; read line; stty size; echo got $line; exit 3";
  await using session = new TerminalSession(["sh", "-c", script], { env: {}, cols: 91, rows: 31 });
  await session.expect("31 91");
  session.resize(101, 41);
  session.type("hello\r");
  await session.expect("41 101");
  await session.expect("got hello");
  expect(await session.exited()).toBe(3);
});

test("tar reads what the writer wrote", () => {
  const archive = tarArchive([
    { path: "d", kind: "directory", mode: 0o1777 },
    { path: "d/f", kind: "file", data: "hello", mode: 0o600, uid: 7 },
    { path: "d/l", kind: "symlink", target: "f" },
    { path: "d/h", kind: "hardlink", target: "d/f" },
  ]);
  const listed = execFileSync("tar", ["tv", "--numeric-owner"], { input: archive }).toString();
  expect(listed).toContain("drwxrwxrwt 0/0");
  expect(listed).toMatch(/-rw------- 7\/0 +5 1970/);
  expect(listed).toContain("d/l -> f");
  expect(listed).toContain("d/h link to d/f");
});

test("the same image plan gives the same bytes", () => {
  const plan = { reference: "a:b", layers: [tarArchive([{ path: "x", kind: "file", data: "1" }])] };
  expect(dockerArchive([plan]).equals(dockerArchive([plan]))).toBe(true);
  expect(ociArchive([plan]).equals(ociArchive([plan]))).toBe(true);
});
