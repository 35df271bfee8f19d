/** Images for measuring, made here: a small busybox and a large layer of many files. */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";

export const SMALL_IMAGE = "busybox:latest";
export const LARGE_IMAGE = "naru-bench-large:latest";

const BUSYBOX = "/bin/busybox"; // Debian package busybox-static
const LARGE_FILES = 43_000;
const LARGE_BYTES = 240_000_000;
const SEED = 20_260_101;
const FILES_PER_FOLDER = 40;
const BLOCK = 512;

/** A docker-archive of busybox with the usual applets. */
export function smallArchive(cacheFolder: string): string {
  return cached(join(cacheFolder, "small-1.tar"), (path) => {
    const layer = new TarFile(`${path}.layer`);
    const applets = ["sh", "true", "sleep", "echo", "cat", "ls", "seq"];
    layer.folder("bin/");
    layer.file("bin/busybox", 0o755, readFileSync(BUSYBOX));
    for (const applet of applets) layer.link(`bin/${applet}`, "busybox");
    writeImage(path, layer.close(), SMALL_IMAGE);
  });
}

/** A docker-archive of one layer, about 240 MB in 43,000 files; the same bytes on every machine. */
export function largeArchive(cacheFolder: string): string {
  return cached(join(cacheFolder, `large-${LARGE_FILES}-1.tar`), (path) => {
    const next = generator(SEED);
    const pool = Buffer.alloc(1 << 20);
    for (let at = 0; at < pool.length; at += 4) pool.writeUInt32LE(next(), at);
    const layer = new TarFile(`${path}.layer`);
    for (let index = 0; index < LARGE_FILES; index++) {
      const folder = `usr/share/d${Math.floor(index / FILES_PER_FOLDER)}`;
      if (index % FILES_PER_FOLDER === 0) layer.folder(`${folder}/`);
      // Most files are small and a few are large, as in a distribution: the mean is what counts.
      const mean = LARGE_BYTES / LARGE_FILES;
      const size = Math.floor(((next() % 1000) / 1000) * 2 * mean);
      const from = next() % (pool.length - size);
      layer.file(`${folder}/f${index}`, 0o644, pool.subarray(from, from + size));
    }
    writeImage(path, layer.close(), LARGE_IMAGE);
  });
}

function cached(path: string, make: (path: string) => void): string {
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  make(`${path}.part`);
  renameSync(`${path}.part`, path);
  return path;
}

function writeImage(path: string, layer: { path: string; digest: string }, tag: string): void {
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      created: "2026-01-01T00:00:00Z",
      config: { Env: ["PATH=/bin"], Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${layer.digest}`] },
      history: [{ created: "2026-01-01T00:00:00Z", created_by: "bench" }],
    }),
  );
  const configName = `${createHash("sha256").update(config).digest("hex")}.json`;
  const manifest = [{ Config: configName, RepoTags: [tag], Layers: ["layer/layer.tar"] }];
  const image = new TarFile(path);
  image.folder("layer/");
  image.copy("layer/layer.tar", layer.path);
  image.file(configName, 0o644, config);
  image.file("manifest.json", 0o644, Buffer.from(JSON.stringify(manifest)));
  image.close();
  Bun.spawnSync(["rm", "-f", layer.path]);
}

/** xorshift32: fast, and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Writes a ustar archive and hashes it on the way. */
class TarFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #hash = createHash("sha256");
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, "w");
  }

  folder(name: string): void {
    this.#put(header({ name, mode: 0o755, size: 0, type: "5" }));
  }

  link(name: string, target: string): void {
    this.#put(header({ name, mode: 0o777, size: 0, type: "2", target }));
  }

  file(name: string, mode: number, content: Buffer): void {
    this.#put(header({ name, mode, size: content.length, type: "0" }));
    this.#put(content);
    this.#pad(content.length);
  }

  copy(name: string, from: string): void {
    const size = statSync(from).size;
    this.#put(header({ name, mode: 0o644, size, type: "0" }));
    const source = openSync(from, "r");
    const chunk = Buffer.alloc(1 << 20);
    for (let got = readSync(source, chunk); got > 0; got = readSync(source, chunk)) {
      this.#put(Buffer.from(chunk.subarray(0, got)));
    }
    closeSync(source);
    this.#pad(size);
  }

  close(): { path: string; digest: string } {
    this.#put(Buffer.alloc(2 * BLOCK));
    this.#flush();
    closeSync(this.#fd);
    return { path: this.#path, digest: this.#hash.digest("hex") };
  }

  #pad(size: number): void {
    this.#put(Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK));
  }

  #put(bytes: Buffer): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes > 1 << 20) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#pending);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    this.#hash.update(bytes);
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly size: number;
  readonly type: string;
  readonly target?: string;
}

function header(entry: Entry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number): void => {
    block.write(value.toString(8).padStart(width - 1, "0"), at);
  };
  block.write(entry.name, 0);
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.size, 124, 12);
  octal(1_767_225_600, 136, 12);
  block.write(" ".repeat(8), 148);
  block.write(entry.type, 156);
  block.write(entry.target ?? "", 157);
  block.write("ustar\x0000", 257);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}
