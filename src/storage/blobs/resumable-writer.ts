import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { type Digest, errorCode, KiB, NaruError } from "../../base/mod.ts";
import type { BlobInfo, BlobResumeOptions, ByteStream, ResumableWriter } from "../contract.ts";
import { FileStream } from "../file-stream.ts";
import { FileBlobWriter } from "./blob-writer.ts";

const READ_BYTES = 256 * KiB; // as FileStream

interface Places {
  /** Where the bytes are until the commit. */
  readonly path: string;
  /** Where they are from then on. */
  readonly finalPath: string;
}

/**
 * Opens the partial blob at `places.path`, which is read once to know its hash. What a crash left behind a
 * written byte may be anything: it is found out by the digest, at the end.
 */
export async function openResumable(
  places: Places,
  digest: Digest,
  options: BlobResumeOptions,
  publish: (digest: Digest) => Promise<void>,
): Promise<ResumableWriter> {
  const { path } = places;
  const file = await open(path, "a+", 0o600);
  try {
    const { size } = await file.stat();
    // More than there may be is of no use; the same digest has one size.
    if (size > options.sizeBytes) await file.truncate(0);
    const startBytes = size > options.sizeBytes ? 0 : size;
    const hash = createHash("sha256");
    if (startBytes > 0) for await (const chunk of new FileStream(path)) hash.update(chunk);
    const { sizeBytes, signal, beforeVisible } = options;
    const writer = new FileBlobWriter(
      path,
      file,
      {
        expectDigest: digest,
        expectSizeBytes: sizeBytes,
        ...(signal && { signal }),
        ...(beforeVisible && { beforeVisible }),
      },
      publish,
      { hash, sizeBytes: startBytes },
    );
    return new FollowedWriter(places, writer, { startBytes, sizeBytes });
  } catch (error) {
    await file.close();
    throw error;
  }
}

class FollowedWriter implements ResumableWriter {
  readonly startBytes: number;
  readonly #path: string;
  readonly #finalPath: string;
  readonly #writer: FileBlobWriter;
  readonly #sizeBytes: number;
  readonly #waiting: Set<() => void> = new Set();
  #left = false;
  #committed = false;

  constructor(
    places: Places,
    writer: FileBlobWriter,
    size: { readonly startBytes: number; readonly sizeBytes: number },
  ) {
    this.#path = places.path;
    this.#finalPath = places.finalPath;
    this.#writer = writer;
    this.startBytes = size.startBytes;
    this.#sizeBytes = size.sizeBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#writer.write(chunk);
    this.#wake();
  }

  async commit(): Promise<BlobInfo> {
    try {
      await this.#writer.flush();
      this.#wake();
      const info = await this.#writer.commit();
      this.#committed = true;
      return info;
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  async abort(): Promise<void> {
    await this.#writer.abort();
    this.#leave();
  }

  async keep(): Promise<void> {
    await this.#writer.leave();
    this.#leave();
  }

  async #open(): Promise<FileHandle> {
    if (this.#left && !this.#committed) {
      throw new NaruError("cancelled", "the download was left in the middle");
    }
    try {
      return await open(this.#path, "r");
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
      return await open(this.#finalPath, "r"); // it was committed meanwhile
    }
  }

  #leave(): void {
    this.#left = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  follow(): ByteStream {
    return this.#follow();
  }

  /** Opened when it is first read: one that nobody reads must not hold the space of a file that is gone. */
  async *#follow(): AsyncGenerator<Uint8Array, void, undefined> {
    await using file = await this.#open();
    let offset = 0;
    while (offset < this.#sizeBytes) {
      const available = this.#writer.writtenBytes - offset;
      if (available <= 0) {
        if (this.#left) throw new NaruError("cancelled", "the download was left in the middle");
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
        continue;
      }
      const wanted = Math.min(READ_BYTES, available);
      const buffer = Buffer.allocUnsafeSlow(wanted);
      const { bytesRead } = await file.read(buffer, 0, wanted, offset);
      offset += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
}
