import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Digest, digestOf, systemClock } from "../../src/base/mod.ts";
import { lgetxattr, mount, umountDetached } from "../../src/linux/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import { createWorkQueue, openBlobStore, openLayerStore } from "../../src/storage/mod.ts";
import { rejection } from "../fakes/rejection.ts";
import {
  archive,
  base,
  closeAll,
  entry,
  expectClean,
  layers,
  metadata,
  openAll,
  root,
  stream,
  unpack,
  useStore,
  writable,
} from "./storage-fixture.ts";

/** Real files with owners, devices and mounts: needs root. */
useStore();

describe("unpacking", () => {
  test("keeps types, owners, modes, times, attributes, links and devices", async () => {
    const mtimeNs = 1_600_000_000_123_456_789n;
    const capability = Buffer.from("0100000200000000000000000000000000000000", "hex").toString(
      "latin1",
    );
    const { dir } = await unpack(
      archive(
        entry({ name: "./", type: "directory", mode: 0o755, mtimeNs }),
        entry({ name: "d/", type: "directory", mode: 0o2750, uid: 5, gid: 6, mtimeNs }),
        entry({ name: "d/suid", mode: 0o4755, uid: 1000, gid: 1001, mtimeNs }, "hello"),
        entry({ name: "cap", xattrs: new Map([["security.capability", capability]]) }, "x"),
        entry({ name: "hard", type: "hardlink", linkName: "d/suid" }),
        entry({ name: "link", type: "symlink", linkName: "/etc/passwd", uid: 7, mtimeNs }),
        entry({ name: "null", type: "char", mode: 0o666, deviceMajor: 1, deviceMinor: 3 }),
        entry({ name: "pipe", type: "fifo", mode: 0o600 }),
        entry({ name: "caf\xe9" }, "latin"),
        entry({ name: "deep/er/file" }, "implied"),
      ),
    );
    const suid = lstatSync(join(dir, "d/suid"), { bigint: true });
    expect([suid.mode & 0o7777n, suid.uid, suid.gid, suid.mtimeNs, suid.nlink]).toEqual([
      0o4755n,
      1000n,
      1001n,
      mtimeNs,
      2n,
    ]);
    const folder = lstatSync(join(dir, "d"), { bigint: true });
    expect([folder.mode & 0o7777n, folder.uid, folder.gid, folder.mtimeNs]).toEqual([
      0o2750n,
      5n,
      6n,
      mtimeNs,
    ]);
    expect(lstatSync(dir, { bigint: true }).mtimeNs).toBe(mtimeNs);
    expect(statSync(join(dir, "hard")).ino).toBe(Number(suid.ino));
    expect(lgetxattr(join(dir, "cap"), "security.capability")?.toString("latin1")).toBe(capability);
    expect(readlinkSync(join(dir, "link"))).toBe("/etc/passwd");
    expect(lstatSync(join(dir, "link"), { bigint: true }).mtimeNs).toBe(mtimeNs);
    expect(lstatSync(join(dir, "link")).uid).toBe(7);
    expect(lstatSync(join(dir, "null")).rdev).toBe(0x103);
    expect(lstatSync(join(dir, "null")).mode & 0o777).toBe(0o666);
    expect(lstatSync(join(dir, "pipe")).isFIFO()).toBe(true);
    expect(
      readdirSync(dir, { encoding: "buffer" }).some((name) =>
        name.equals(Buffer.from("caf\xe9", "latin1")),
      ),
    ).toBe(true);
    expect(readFileSync(join(dir, "deep/er/file"), "utf8")).toBe("implied");
  });

  test("later entries win, whatever they replace", async () => {
    const { dir } = await unpack(
      archive(
        entry({ name: "a" }, "first"),
        entry({ name: "keep", type: "hardlink", linkName: "a" }),
        entry({ name: "a" }, "second"),
        entry({ name: "b/c/d" }, "x"),
        entry({ name: "b" }, "file now"),
        entry({ name: "e", type: "symlink", linkName: "b" }),
        entry({ name: "e/", type: "directory", mode: 0o711 }),
        entry({ name: "e/f" }, "in e"),
      ),
    );
    expect(readFileSync(join(dir, "a"), "utf8")).toBe("second");
    expect(readFileSync(join(dir, "keep"), "utf8")).toBe("first");
    expect(readFileSync(join(dir, "b"), "utf8")).toBe("file now");
    expect(lstatSync(join(dir, "e")).mode & 0o777).toBe(0o711);
    expect(readFileSync(join(dir, "e/f"), "utf8")).toBe("in e");
  });

  test("gzip and zstd give the diff id of the plain archive", async () => {
    const plain = archive(entry({ name: "compressed" }, "x".repeat(100_000)));
    for (const bytes of [plain, gzipSync(plain), zstdCompressSync(plain)]) {
      const layer = await layers.apply(null, stream(bytes));
      expect(layer).toMatchObject({
        diffId: digestOf(plain),
        chainId: digestOf(plain),
        sizeBytes: 100_000,
      });
    }
  });

  test("sparse files stay sparse", async () => {
    const folder = mkdtempSync(join(base, "sparse-"));
    const script =
      "truncate -s 50M f; printf end | dd of=f bs=1 seek=40000000 conv=notrunc status=none; tar -S --format=pax -cf t f";
    expect(Bun.spawnSync(["sh", "-c", script], { cwd: folder }).success).toBe(true);
    const { dir } = await unpack(readFileSync(join(folder, "t")));
    const status = statSync(join(dir, "f"));
    expect(status.size).toBe(50 * 1024 * 1024);
    expect(status.blocks * 512).toBeLessThan(1024 * 1024);
    expect(readFileSync(join(dir, "f")).subarray(40_000_000, 40_000_003).toString()).toBe("end");
  });

  test("the same chain at the same time is unpacked once", async () => {
    const bytes = archive(entry({ name: "same" }, "y".repeat(500_000)));
    const expectDiffId = digestOf(bytes);
    const before = readdirSync(join(root, "layers/l")).length;
    const all = await Promise.all(
      Array.from({ length: 4 }, () => layers.apply(null, stream(bytes), { expectDiffId })),
    );
    const blind = await Promise.all([
      layers.apply(null, stream(bytes)),
      layers.apply(null, stream(bytes)),
    ]);
    expect(new Set([...all, ...blind].map((layer) => layer.chainId)).size).toBe(1);
    await expectClean();
    expect(readdirSync(join(root, "layers/l")).length).toBe(before + 1);
  });

  test("cancelling leaves nothing", async () => {
    const aborter = new AbortController();
    async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
      for (let index = 0; ; index += 1) {
        yield entry({ name: `f${index}` }, "z".repeat(5000));
        if (index === 500) aborter.abort();
      }
    }
    const job = layers.apply(null, endless(), { signal: aborter.signal });
    expect(await rejection(job)).toMatchObject({ kind: "cancelled" });
    await expectClean();
  });
});

describe("overlay", () => {
  test("whiteouts and opaque directories hide what is below", async () => {
    const lower = archive(
      entry({ name: "gone" }, "1"),
      entry({ name: "dir/old" }, "1"),
      entry({ name: "opaque/old" }, "1"),
      entry({ name: "again/old" }, "1"),
      entry({ name: "before/old" }, "1"),
    );
    const upper = archive(
      entry({ name: ".wh.gone" }),
      entry({ name: "dir/.wh.old" }),
      entry({ name: "opaque/.wh..wh..opq" }),
      entry({ name: "opaque/new" }, "2"),
      entry({ name: ".wh.again" }),
      entry({ name: "again/new/er/file" }, "2"),
      entry({ name: "before/new" }, "2"),
      entry({ name: ".wh.before" }),
      entry({ name: ".wh..wh.plnk/x" }, "aufs"),
    );
    const first = await unpack(lower);
    const second = await unpack(upper, first.chainId);
    const id = await writable(second.chainId);
    const target = join(base, `mount-${id}`);
    await layers.mount(id, target);
    try {
      await layers.mount(id, target); // a second time: fine
      const tree = ["dir", "opaque", "again", "before"].map((name) =>
        readdirSync(join(target, name)),
      );
      expect(tree).toEqual([[], ["new"], ["new"], ["new"]]);
      expect(existsSync(join(target, "gone"))).toBe(false);
      writeFileSync(join(target, "written"), "12345");
      expect(await layers.writableSizeBytes(id)).toBe(5);
      expect(readFileSync(join(layers.writableDir(id), "written"), "utf8")).toBe("12345");
    } finally {
      await layers.unmount(target);
    }
    expect(existsSync(target)).toBe(false);
    await layers.unmount(target);
    await layers.removeWritable(id);
    expect(await layers.writables()).not.toContain(id);
    await layers.removeWritable(id);
    await expectClean();
  });

  test("an image without layers is an empty root", async () => {
    const id = await writable(null);
    const target = join(base, `mount-${id}`);
    await layers.mount(id, target);
    expect(readdirSync(target)).toEqual([]);
    await layers.unmount(target);
  });

  test("the root looks like the image's", async () => {
    const { chainId } = await unpack(
      archive(entry({ name: "./", type: "directory", mode: 0o1777, uid: 12 })),
    );
    const id = await writable(chainId);
    expect(statSync(layers.writableDir(id)).mode & 0o7777).toBe(0o1777);
    expect(statSync(layers.writableDir(id)).uid).toBe(12);
  });

  test("150 layers mount and show all their files", async () => {
    let parent: Digest | null = null;
    for (let index = 0; index < 150; index += 1) {
      const layer: { chainId: Digest } = await layers.apply(
        parent,
        stream(archive(entry({ name: `many-${index}` }, "x"))),
      );
      parent = layer.chainId;
    }
    const id = await writable(parent);
    const target = join(base, `mount-${id}`);
    await layers.mount(id, target);
    try {
      expect(readdirSync(target).length).toBe(150);
    } finally {
      await layers.unmount(target);
    }
  }, 60_000);
});

describe("after a crash", () => {
  test("half-made things are swept, whole ones stay", async () => {
    const { chainId } = await unpack(archive(entry({ name: "stay" }, "x")));
    const path = root;
    await closeAll();
    for (const folder of ["unpack/1234", "l/deadbeef", "trash/old"]) {
      mkdirSync(join(path, "layers", folder), { recursive: true });
      writeFileSync(join(path, "layers", folder, "f"), "half");
    }
    await openAll(path);
    expect(layers.get(chainId)).toBeDefined();
    await expectClean();
    expect(existsSync(join(path, "layers/l/deadbeef"))).toBe(false);
  });

  test("a removed layer is gone after a restart, with its files", async () => {
    const { chainId, dir } = await unpack(archive(entry({ name: "removed" }, "x")));
    await layers.remove(chainId);
    await layers.remove(chainId);
    expect(layers.get(chainId)).toBeUndefined();
    await expectClean();
    expect(existsSync(dir)).toBe(false);
    const path = root;
    await closeAll();
    await openAll(path);
    expect(layers.get(chainId)).toBeUndefined();
  });

  test("killed while unpacking: the next start has nothing of it", async () => {
    const path = join(base, "killed");
    const script = join(base, "killed.ts");
    const here = join(import.meta.dir, "../../src");
    writeFileSync(
      script,
      `import { openMetadata, openLayerStore, createWorkQueue } from "${here}/storage/mod.ts";
       import { systemClock } from "${here}/base/mod.ts";
       import { silentLogger as logger } from "${here}/observe/mod.ts";
       import { encodeTarEntry } from "${here}/oci/mod.ts";
              import { mkdirSync } from "node:fs";
       mkdirSync("${path}", { recursive: true });
       const metadata = await openMetadata("${path}/naru.db");
       const work = createWorkQueue(metadata, { clock: systemClock, logger });
       const layers = await openLayerStore({ root: "${path}/layers", metadata, work, logger });
       async function* source() { for (let i = 0; ; i++) { yield encodeTarEntry({ name: "d" + i, type: "directory" }); if (i === 3000) process.kill(process.pid, "SIGKILL"); } }
       await layers.apply(null, source());`,
    );
    const child = Bun.spawn([process.execPath, script], { stderr: "inherit" });
    await child.exited;
    expect(readdirSync(join(path, "layers/unpack")).length).toBe(1);
    await closeAll();
    await openAll(path);
    await expectClean();
    expect([...layers.all()]).toEqual([]);
    await closeAll();
    await openAll(join(base, "store"));
  });
});

describe("a full disk", () => {
  const disk = join(base, "disk");

  beforeAll(() => {
    mkdirSync(disk);
    mount({ source: "tmpfs", target: disk, type: "tmpfs", options: "size=4m" });
  });
  afterAll(() => void umountDetached(disk));

  test("blobs and layers say exhausted and leave nothing", async () => {
    const blobs = await openBlobStore(join(disk, "data"));
    async function* large(): AsyncGenerator<Uint8Array, void, undefined> {
      for (let index = 0; index < 10; index += 1) yield Buffer.alloc(1_000_000, index);
    }
    expect(await rejection(blobs.ingest(large()))).toMatchObject({ kind: "exhausted" });
    expect(readdirSync(join(disk, "data/ingest"))).toEqual([]);
    const options = { root: join(disk, "layers"), metadata, logger: silentLogger };
    const ownWork = createWorkQueue(metadata, { clock: systemClock, logger: silentLogger });
    const small = await openLayerStore({ ...options, work: ownWork });
    ownWork.start();
    const tar = archive(entry({ name: "large" }, "x".repeat(8_000_000)));
    expect(await rejection(small.apply(null, stream(tar)))).toMatchObject({ kind: "exhausted" });
    await ownWork.idle();
    expect(readdirSync(join(disk, "layers/unpack"))).toEqual([]);
    small.close();
  });
});
