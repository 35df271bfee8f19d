import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
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

  test("limits read as the kernel shows them", () => {
    const line = readFileSync("/proc/self/limits", "utf8")
      .split("\n")
      .find((l) => l.startsWith("Max open files"));
    const limit = linux.getLimit("nofile") as linux.ResourceLimit;
    expect(line).toContain(String(limit.hard));
    expect(line).toContain(String(limit.soft));
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

/** A listening SOCK_SEQPACKET peer in another process, as conmon is one. */
const PEER = `
import socket, sys, os, time
path = sys.argv[1]
os.chdir(os.path.dirname(path))
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(os.path.basename(path)); s.listen(1)
print("ready", flush=True)
c, _ = s.accept()
mode = sys.argv[2]
if mode == "echo":
    time.sleep(0.1)
    total = 0; largest = 0
    while True:
        data = c.recv(32767)
        if not data: break
        total += len(data); largest = max(largest, len(data))
    c.send(b"\\x02" + ("%d %d" % (total, largest)).encode())
elif mode == "flood":
    for i in range(400): c.send(b"\\x02" + b"x" * 8192)
    c.send(b"\\x03end")
c.close()
`;

async function startPeer(path: string, mode: string): Promise<Bun.Subprocess> {
  const peer = Bun.spawn(["python3", "-c", PEER, path, mode], { stdout: "pipe" });
  const reader = peer.stdout.getReader();
  expect(
    Buffer.from((await reader.read()).value ?? [])
      .toString()
      .trim(),
  ).toBe("ready");
  return peer;
}

interface Collected {
  readonly packets: number[];
  bytes: number;
  last: string;
  readonly drained: PromiseWithResolvers<void>;
  readonly closed: PromiseWithResolvers<Error | undefined>;
}

function collect(): Collected & linux.PacketHandlers {
  const self = {
    packets: [] as number[],
    bytes: 0,
    last: "",
    drained: Promise.withResolvers<void>(),
    closed: Promise.withResolvers<Error | undefined>(),
    onPacket(bytes: Uint8Array) {
      self.packets.push(bytes.byteLength);
      self.bytes += bytes.byteLength;
      self.last = Buffer.from(bytes.subarray(0, 100)).toString();
    },
    onDrain: () => self.drained.resolve(),
    onClose: (error: Error | undefined) => self.closed.resolve(error),
  };
  return self;
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("no failure");
}

describe("seqpacket", () => {
  test("a megabyte goes out in packets under back-pressure, EOF follows, the answer arrives", async () => {
    // The path is far beyond the 107 bytes of a socket address.
    const folder = `${root}/${"long".repeat(40)}`;
    mkdirSync(folder);
    const peer = await startPeer(`${folder}/attach`, "echo");
    const got = collect();
    const socket = await linux.connectSeqpacket(`${folder}/attach`, got);
    expect(socket.write(new Uint8Array(1_000_000))).toBe(false);
    await got.drained.promise;
    socket.write(new Uint8Array(10));
    socket.shutdownWrite();
    expect(await got.closed.promise).toBeUndefined();
    expect(got.last).toBe(`\x02${1_000_010} ${linux.PACKET_BYTES_MAX}`);
    await peer.exited;
  });

  test("paused, the peer waits and nothing is lost; resumed, every packet comes whole", async () => {
    const path = `${root}/flood`;
    const peer = await startPeer(path, "flood");
    const got = collect();
    const socket = await linux.connectSeqpacket(path, got);
    socket.pause();
    await Bun.sleep(100);
    const before = got.packets.length;
    expect(before).toBeLessThan(100);
    expect(linux.processStatus(peer.pid)?.state).toBe("S");
    socket.resume();
    expect(await got.closed.promise).toBeUndefined();
    expect(got.bytes).toBe(400 * 8193 + 4);
    expect(got.packets.length).toBe(401);
    expect(got.last).toBe("\x03end");
    await peer.exited;
  });

  test("no listener is an error with its name, and the descriptor is given back", async () => {
    const before = readdirSync("/proc/self/fd").length;
    expect(
      (await failureOf(linux.connectSeqpacket(`${root}/nobody`, collect()))).message,
    ).toContain("ENOENT");
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
  });
});

describe("channel", () => {
  test("a child gets descriptors 3, 4 and 5, is started by a byte and answers by lines", async () => {
    const [start, sync, errors] = (await Promise.all([1, 2, 3].map(() => linux.openChannel()))) as [
      linux.Channel,
      linux.Channel,
      linux.Channel,
    ];
    const script = `read -n1 x <&3; echo '{"data": 42}' >&4; echo more >&4; printf tail >&4; echo oops >&2; read y <&3 || echo eof >&5`;
    const fifth = await linux.openChannel();
    const child = Bun.spawn(["bash", "-c", script], {
      stdio: ["ignore", "ignore", errors.childFd, start.childFd, sync.childFd, fifth.childFd],
    });
    for (const channel of [start, sync, errors, fifth]) channel.closeChild();
    start.write(Buffer.from("g"));
    expect(await sync.readLine()).toBe('{"data": 42}');
    expect(await sync.readLine()).toBe("more");
    start.close();
    expect(await sync.readLine()).toBe("tail");
    expect(await sync.readLine()).toBeUndefined();
    expect(await fifth.readLine()).toBe("eof");
    expect(await errors.readAll(3)).toBe("oop");
    expect(await child.exited).toBe(0);
    for (const channel of [sync, errors, fifth]) channel.close();
  });

  test("100 channels leave no descriptor behind", async () => {
    const before = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 100; round += 1) {
      const channel = await linux.openChannel();
      const waiting = channel.readLine();
      channel.close();
      expect(await waiting).toBeUndefined();
    }
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
  });
});

describe("process watch", () => {
  test("ends of processes are reported, cancelled ones are not, a reused pid is gone at once", async () => {
    const watcher = linux.createProcessWatcher();
    const children = [1, 2, 3].map(() => Bun.spawn(["sleep", "60"]));
    const start = (pid: number): number => linux.processStatus(pid)?.startTime ?? 0;
    const [a, b, c] = children.map(({ pid }) => watcher.watch(pid, start(pid))) as [
      linux.ProcessWatch,
      linux.ProcessWatch,
      linux.ProcessWatch,
    ];
    const stranger = watcher.watch(children[0]?.pid ?? 0, 1);
    await stranger.ended;
    expect(stranger.hasEnded()).toBe(true);
    c.cancel();
    await c.ended;
    expect(c.hasEnded()).toBe(false);
    children[1]?.kill(9);
    await b.ended;
    expect([a.hasEnded(), b.hasEnded()]).toEqual([false, true]);
    children[0]?.kill(9);
    await a.ended;
    children[2]?.kill(9);
    const late = watcher.watch(children[2]?.pid ?? 0, 1);
    await late.ended;
    await watcher.close();
  });

  test("a process with a watch can exit", async () => {
    const code = `import { createProcessWatcher, processStatus } from "${import.meta.dir}/../../src/linux/mod.ts";
      createProcessWatcher().watch(1, processStatus(1).startTime); setTimeout(() => console.log("bye"), 50);`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe" });
    expect(await new Response(child.stdout).text()).toBe("bye\n");
    expect(await child.exited).toBe(0);
  });
});

describe("overlay", () => {
  const make = (name: string, file: string, content: string): string => {
    const dir = `${root}/${name}`;
    mkdirSync(dir, { recursive: true });
    writeFileSync(`${dir}/${file}`, content);
    return dir;
  };
  const writableIn = (dir: string): { upper: string; work: string } => {
    mkdirSync(`${dir}/upper`, { recursive: true });
    mkdirSync(`${dir}/work`);
    return { upper: `${dir}/upper`, work: `${dir}/work` };
  };
  let volume = "";
  beforeAll(() => {
    // Not on the root file system: it may itself be an overlay or lack what upper needs.
    volume = `${root}/volume`;
    mkdirSync(volume);
    linux.mount({ source: "naru-test", target: volume, type: "tmpfs", options: "size=16m" });
  });

  test("the top layer wins, odd names work, writes go to upper", async () => {
    const lower = [make("volume/a:b,c\\d", "f", "top"), make("volume/low", "f", "low")];
    const target = `${volume}/merged`;
    mkdirSync(target);
    const writable = writableIn(`${volume}/w`);
    await linux.mountOverlay({ lower, writable, target, options: ["index=off"] });
    expect(readFileSync(`${target}/f`, "utf8")).toBe("top");
    writeFileSync(`${target}/new`, "n");
    expect(readFileSync(`${writable.upper}/new`, "utf8")).toBe("n");
    expect(linux.umountDetached(target)).toBe(true);
  });

  const manyLayers = (name: string): string[] =>
    Array.from({ length: 300 }, (_, index) =>
      make(`volume/${name}/l${index}`, `f${index}`, String(index)),
    );

  test("300 layers, more than a page of names", async () => {
    const lower = manyLayers("many");
    const target = `${volume}/merged-many`;
    mkdirSync(target);
    const plan = linux.planOverlay(
      { lower, target },
      { lowerdirPlus: linux.overlayHasLowerdirPlus() },
    );
    expect(plan.kind).toBe(linux.overlayHasLowerdirPlus() ? "layer-by-layer" : "relative");
    await linux.mountOverlay({
      lower,
      writable: writableIn(`${volume}/wm`),
      target,
      options: ["index=off"],
    });
    expect(readdirSync(target).length).toBe(300);
    expect(linux.umountDetached(target)).toBe(true);
  });

  test("300 layers the way of an old kernel, and the engine's directory stays", async () => {
    const lower = manyLayers("old");
    const target = `${volume}/merged-old`;
    mkdirSync(target);
    const oldKernel = { lowerdirPlus: false };
    expect(linux.planOverlay({ lower, target }, oldKernel).kind).toBe("relative");
    const before = process.cwd();
    await linux.mountOverlay({ lower, target }, oldKernel);
    expect(readdirSync(target).length).toBe(300);
    expect(readlinkSync("/proc/self/cwd")).toBe(before);
    expect(linux.umountDetached(target)).toBe(true);
    expect(
      (await failureOf(linux.mountOverlay({ lower, target: `${volume}/missing` }, oldKernel)))
        .message,
    ).toContain("ENOENT");
  });
});
