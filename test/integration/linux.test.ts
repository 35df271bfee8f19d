import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import * as linux from "../../src/linux/mod.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync("/tmp/naru-linux-");
});
afterAll(() => {
  for (const entry of linux.mountsBelow(root, linux.listMounts()))
    linux.umountDetached(entry.target);
  rmSync(root, { recursive: true, force: true });
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof linux.SyscallError) return `${error.call} ${error.code}`;
    throw error;
  }
  return "no error";
}

describe("names relative to a directory", () => {
  test("every kind of file is made, owned, dated, linked, renamed and removed", () => {
    const dir = linux.open(root, linux.O_DIRECTORY | linux.O_PATH);
    linux.mkdirat(dir, "d", 0o750);
    linux.mknodat(dir, "wh", linux.S_IFCHR, { major: 0, minor: 0 });
    linux.mknodat(dir, "node", linux.S_IFBLK | 0o600, { major: 259, minor: 70000 });
    linux.symlinkat("nowhere", dir, "link");
    linux.fchownat(dir, "link", 1234, 5678);
    linux.utimensat(dir, "link", -1n, 1_700_000_000_123_456_789n);
    linux.linkat(dir, "link", dir, "link2");
    const link = linux.statat(dir, "link2");
    expect(link.mode & linux.S_IFMT).toBe(linux.S_IFLNK);
    expect([link.uid, link.gid, link.links]).toEqual([1234, 5678, 2]);
    expect(link.mtimeNs).toBe(1_700_000_000_123_456_789n);
    expect(link.atimeNs).toBe(-1n);
    expect(linux.readlinkat(dir, "link").toString()).toBe("nowhere");
    const node = linux.statat(dir, "node");
    expect([node.nodeMajor, node.nodeMinor]).toEqual([259, 70000]);
    linux.renameat2(dir, "node", dir, "d/node");
    expect(codeOf(() => linux.renameat2(dir, "wh", dir, "link", linux.RENAME_NOREPLACE))).toBe(
      "renameat2 EEXIST",
    );
    expect(codeOf(() => linux.unlinkat(dir, "d", linux.AT_REMOVEDIR))).toBe("unlinkat ENOTEMPTY");
    linux.fchmodat(dir, "d", 0o4711);
    expect(statSync(`${root}/d`).mode & 0o7777).toBe(0o4711);
    for (const name of ["d/node", "wh", "link", "link2"]) linux.unlinkat(dir, name);
    linux.unlinkat(dir, "d", linux.AT_REMOVEDIR);
    linux.close(dir);
  });

  test("names outside UTF-8 survive, a NUL inside and an endless name are refused", () => {
    const dir = linux.open(root, linux.O_DIRECTORY | linux.O_PATH);
    const name = Uint8Array.from([0x66, 0xff, 0xfe]);
    linux.close(linux.openat(dir, name, linux.O_CREAT | linux.O_WRONLY, 0o600));
    expect(linux.statat(dir, name).sizeBytes).toBe(0);
    linux.unlinkat(dir, name);
    expect(codeOf(() => linux.mkdirat(dir, "a\0b", 0o700))).toBe("mkdirat EINVAL");
    expect(codeOf(() => linux.mkdirat(dir, "x".repeat(40_000), 0o700))).toBe(
      "mkdirat ENAMETOOLONG",
    );
    expect(codeOf(() => linux.mkdirat(dir, "x".repeat(5000), 0o700))).toBe("mkdirat ENAMETOOLONG");
    linux.close(dir);
  });

  test("openat2 keeps a walk beneath its directory, or makes it the root", () => {
    mkdirSync(`${root}/jail/etc`, { recursive: true });
    writeFileSync(`${root}/jail/etc/passwd`, "jailed");
    const dir = linux.open(`${root}/jail`, linux.O_DIRECTORY | linux.O_PATH);
    linux.symlinkat("/etc/passwd", dir, "absolute");
    linux.symlinkat("../../..", dir, "up");
    const beneath = { flags: linux.O_RDONLY, resolve: linux.RESOLVE_BENEATH };
    expect(codeOf(() => linux.openat2(dir, "absolute", beneath))).toBe("openat2 EXDEV");
    expect(codeOf(() => linux.openat2(dir, "up/x", beneath))).toBe("openat2 EXDEV");
    const resolve = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS;
    const fd = linux.openat2(dir, "absolute", { flags: linux.O_RDONLY, resolve });
    const into = new Uint8Array(16);
    expect(Buffer.from(into.subarray(0, linux.read(fd, into))).toString()).toBe("jailed");
    linux.close(fd);
    linux.close(dir);
  });

  test("attributes are set, listed, read and removed", () => {
    const path = `${root}/attributes`;
    writeFileSync(path, "");
    linux.lsetxattr(path, "trusted.overlay.opaque", Buffer.from("y"));
    linux.lsetxattr(path, "user.empty", new Uint8Array());
    expect(linux.llistxattr(path).sort()).toEqual(["trusted.overlay.opaque", "user.empty"]);
    expect(linux.lgetxattr(path, "trusted.overlay.opaque")?.toString()).toBe("y");
    expect(linux.getxattr(path, "user.empty")?.byteLength).toBe(0);
    linux.lremovexattr(path, "user.empty");
    expect(linux.lgetxattr(path, "user.empty")).toBeUndefined();
  });
});

describe("errors", () => {
  test("errno is right in 20,000 of 20,000 failures of different kinds", () => {
    const seen = new Map<string, number>();
    for (let round = 0; round < 10_000; round += 1) {
      for (const code of [
        codeOf(() => linux.open("/nonexistent", linux.O_RDONLY)),
        codeOf(() => linux.open("/proc", linux.O_WRONLY)),
      ]) {
        seen.set(code, (seen.get(code) ?? 0) + 1);
      }
    }
    expect(Object.fromEntries(seen)).toEqual({ "openat ENOENT": 10_000, "openat EISDIR": 10_000 });
  });
});

describe("mounts", () => {
  test("a tmpfs is mounted, listed with its odd name, bound elsewhere and taken away", () => {
    const target = `${root}/with blank\tand\\slash`;
    mkdirSync(target);
    linux.mount({
      source: "naru-test",
      target,
      type: "tmpfs",
      flags: linux.MS_NOSUID,
      options: "size=1m",
    });
    const entry = linux.mountAt(target, linux.listMounts());
    expect(entry?.type).toBe("tmpfs");
    expect(entry?.options).toContain("nosuid");
    expect(linux.statfs(target).totalBytes).toBe(1024 * 1024);
    expect(linux.fileSystemName(linux.statfs(target).type)).toBe("tmpfs");
    expect(linux.mountsBelow(root, linux.listMounts()).map((m) => m.target)).toEqual([target]);
    expect(linux.umountDetached(target)).toBe(true);
    expect(linux.umountDetached(target)).toBe(false);
  });
});

describe("processes", () => {
  test("a pidfd signals exactly its process, and a dead one is not alive", async () => {
    const child = Bun.spawn(["sleep", "60"]);
    const status = linux.processStatus(child.pid);
    expect(status?.parentPid).toBe(process.pid);
    const startTime = status?.startTime ?? 0;
    expect(linux.isAlive(child.pid, startTime)).toBe(true);
    expect(linux.isAlive(child.pid, startTime + 1)).toBe(false);
    const fd = linux.pidfdOpen(child.pid) as number;
    expect(linux.pidfdSendSignal(fd, 9)).toBe(true);
    await child.exited;
    expect(linux.pidfdSendSignal(fd, 9)).toBe(false);
    expect(linux.isAlive(child.pid, startTime)).toBe(false);
    expect(linux.kill(child.pid, 0)).toBe(false);
    linux.close(fd);
  });

  test("limits read as the kernel shows them, and the soft one can be set", () => {
    const line = readFileSync("/proc/self/limits", "utf8")
      .split("\n")
      .find((l) => l.startsWith("Max open files"));
    const limit = linux.getLimit("nofile") as linux.ResourceLimit;
    expect(line).toContain(String(limit.hard));
    linux.setLimit("nofile", { soft: limit.soft - 1n, hard: limit.hard });
    expect(linux.getLimit("nofile")?.soft).toBe(limit.soft - 1n);
    linux.setLimit("nofile", limit);
  });
});

describe("descriptors", () => {
  test("locks exclude, duplicates are close-on-exec, poll sees what is readable", () => {
    const path = `${root}/lock`;
    const flags = linux.O_CREAT | linux.O_RDWR;
    const [a, b] = [linux.open(path, flags, 0o600), linux.open(path, flags, 0o600)];
    expect(linux.flock(a, linux.LOCK_EX | linux.LOCK_NB)).toBe(true);
    expect(linux.flock(b, linux.LOCK_EX | linux.LOCK_NB)).toBe(false);
    linux.close(a);
    expect(linux.flock(b, linux.LOCK_EX | linux.LOCK_NB)).toBe(true);
    linux.pwrite(b, Buffer.from("hello"), 3);
    const into = new Uint8Array(16);
    expect(linux.pread(b, into, 4)).toBe(4);
    linux.close(b);
    const [p, q] = [linux.pipe2(), linux.pipe2()];
    linux.writeAll(q.writeFd, Buffer.from("x"));
    expect(linux.pollReadable([p.readFd, q.readFd], 0)).toEqual([1]);
    const copy = linux.duplicate(p.readFd, 50);
    expect(copy).toBeGreaterThanOrEqual(50);
    expect(readFileSync(`/proc/self/fdinfo/${copy}`, "utf8")).toMatch(/flags:\s+0?2/);
    for (const fd of [p.readFd, p.writeFd, q.readFd, q.writeFd, copy]) linux.close(fd);
  });
});
