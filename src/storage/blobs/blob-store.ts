import { mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Digest,
  digestHex,
  digestOf,
  errorCode,
  KeyedQueue,
  NaruError,
  parseDigest,
  SECOND_MS,
  systemClock,
} from "../../base/mod.ts";
import type {
  BlobCreateOptions,
  BlobInfo,
  BlobResumeOptions,
  BlobStore,
  BlobWriter,
  ByteStream,
  ResumableWriter,
} from "../contract.ts";
import { diskError } from "../disk-error.ts";
import { FileStream } from "../file-stream.ts";
import { FileBlobWriter } from "./blob-writer.ts";
import { openResumable } from "./resumable-writer.ts";

/**
 * Opens the blobs under `root`, which becomes an OCI image layout (image-layout.md). Sweeps what
 * unfinished writes of a former engine left: one engine at a time has a data root.
 */
export async function openBlobStore(root: string): Promise<BlobStore> {
  const folder = join(root, "blobs", "sha256");
  const ingest = join(root, "ingest");
  const partial = join(root, "partial");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rm(ingest, { recursive: true, force: true });
  await mkdir(ingest, { mode: 0o700 });
  await mkdir(partial, { recursive: true, mode: 0o700 });
  await sweepPartial(partial);
  await writeLayoutFile(root);
  return new FileBlobStore({ folder, ingest, partial });
}

/** Whoever has not gone on with a download for so long does not come back to it. */
const PARTIAL_AGE_MAX_MS = 7 * 24 * 3600 * SECOND_MS;

async function sweepPartial(partial: string): Promise<void> {
  for (const name of await readdir(partial)) {
    const path = join(partial, name);
    const { mtimeMs } = await stat(path);
    if (systemClock.nowMs() - mtimeMs > PARTIAL_AGE_MAX_MS) await rm(path, { force: true });
  }
}

async function writeLayoutFile(root: string): Promise<void> {
  const path = join(root, "oci-layout");
  try {
    await writeFile(path, '{"imageLayoutVersion":"1.0.0"}', { flag: "wx" });
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  }
}

class FileBlobStore implements BlobStore {
  readonly #folder: string;
  readonly #ingest: string;
  /** Appearing and disappearing of one blob never overlap. */
  readonly #changes: KeyedQueue<Digest> = new KeyedQueue();
  readonly #partial: string;
  #serial = 0;

  constructor(places: { folder: string; ingest: string; partial: string }) {
    this.#folder = places.folder;
    this.#ingest = places.ingest;
    this.#partial = places.partial;
  }

  async create(options: BlobCreateOptions = {}): Promise<BlobWriter> {
    options.signal?.throwIfAborted();
    this.#serial += 1;
    const path = join(this.#ingest, this.#serial.toString(16));
    try {
      const file = await open(path, "wx", 0o600);
      return new FileBlobWriter(path, file, options, (digest) =>
        this.#publish(path, digest, options),
      );
    } catch (error) {
      throw diskError(error, "writing a blob");
    }
  }

  async ingest(source: ByteStream, options: BlobCreateOptions = {}): Promise<BlobInfo> {
    const writer = await this.create(options);
    try {
      for await (const chunk of source) await writer.write(chunk);
      return await writer.commit();
    } finally {
      await writer.abort();
    }
  }

  async resume(digest: Digest, options: BlobResumeOptions): Promise<ResumableWriter> {
    options.signal?.throwIfAborted();
    const path = join(this.#partial, digestHex(digest));
    try {
      const places = { path, finalPath: this.#path(digest) };
      return await openResumable(places, digest, options, () =>
        this.#publish(path, digest, options),
      );
    } catch (error) {
      throw diskError(error, "writing a blob");
    }
  }

  async dropPartial(digest: Digest): Promise<void> {
    await rm(join(this.#partial, digestHex(digest)), { force: true });
  }

  async adopt(
    path: string,
    digest: Digest,
    options: Pick<BlobCreateOptions, "beforeVisible"> = {},
  ): Promise<void> {
    try {
      await using file = await open(path, "r+");
      await file.sync();
    } catch (error) {
      throw diskError(error, "writing a blob");
    }
    await this.#publish(path, digest, options);
  }

  /** The synced temporary file gets its name; the name is on disk when this resolves. */
  #publish(temporary: string, digest: Digest, options: BlobCreateOptions): Promise<void> {
    return this.#changes.run(digest, async () => {
      options.beforeVisible?.(digest);
      await rename(temporary, this.#path(digest));
      await using folder = await open(this.#folder, "r");
      await folder.sync();
    });
  }

  #path(digest: Digest): string {
    return join(this.#folder, digestHex(digest));
  }

  async stat(digest: Digest): Promise<BlobInfo | undefined> {
    try {
      const { size } = await stat(this.#path(digest));
      return { digest, sizeBytes: size };
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  read(digest: Digest, range: { start?: number; end?: number } = {}): ByteStream {
    return new FileStream(this.#path(digest), { ...range, digest });
  }

  async readAll(digest: Digest, bytesMax: number): Promise<Uint8Array> {
    const info = await this.stat(digest);
    if (info === undefined) throw new NaruError("not_found", `no such blob ${digest}`, { digest });
    if (info.sizeBytes > bytesMax) {
      const details = { digest, sizeBytes: info.sizeBytes, bytesMax };
      throw new NaruError("too_large", `blob ${digest} has more than ${bytesMax} bytes`, details);
    }
    const bytes = new Uint8Array(await Bun.file(this.#path(digest)).arrayBuffer());
    if (digestOf(bytes) !== digest) {
      throw new NaruError("damaged", `blob ${digest} does not match its digest`, { digest });
    }
    return bytes;
  }

  remove(digest: Digest, options: { unless?: () => boolean } = {}): Promise<boolean> {
    return this.#changes.run(digest, async () => {
      if (options.unless?.() === true) return false;
      await rm(this.#path(digest), { force: true });
      return true;
    });
  }

  async *list(): AsyncGenerator<BlobInfo, void, undefined> {
    for (const name of await readdir(this.#folder)) {
      if (!/^[0-9a-f]{64}$/.test(name)) continue; // not ours: leave it alone
      const info = await this.stat(parseDigest(`sha256:${name}`));
      if (info !== undefined) yield info;
    }
  }
}
