import { createHash, type Hash } from "node:crypto";
import { type FileHandle, rm } from "node:fs/promises";
import { assert, type Digest, digestFrom, MiB, NaruError } from "../../base/mod.ts";
import type { BlobCreateOptions, BlobInfo, BlobWriter } from "../contract.ts";
import { diskError } from "../disk-error.ts";

// Small chunks are gathered: one hop to the thread pool per megabyte. Hashing stays on this thread
// (33 us for 64 KiB with SHA instructions); moving the bytes elsewhere would cost about as much.
const BUFFER_BYTES = MiB;

/** What of a blob is in its file already. */
export interface WrittenBytes {
  readonly hash: Hash;
  readonly sizeBytes: number;
}

/** One blob being written to a temporary file. */
export class FileBlobWriter implements BlobWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #options: BlobCreateOptions;
  readonly #publish: (digest: Digest) => Promise<void>;
  readonly #hash: Hash;
  #sizeBytes: number;
  #writtenBytes: number;
  #filling: Uint8Array | undefined;
  #filledBytes = 0;
  #spare: Uint8Array | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #state: "open" | "committing" | "done" = "open";

  constructor(
    path: string,
    file: FileHandle,
    options: BlobCreateOptions,
    publish: (digest: Digest) => Promise<void>,
    before: WrittenBytes = { hash: createHash("sha256"), sizeBytes: 0 },
  ) {
    this.#hash = before.hash;
    this.#sizeBytes = before.sizeBytes;
    this.#writtenBytes = before.sizeBytes;
    this.#path = path;
    this.#file = file;
    this.#options = options;
    this.#publish = publish;
  }

  /** Bytes that a reader of the file finds. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(this.#state === "open", "a blob is written before it is committed");
    this.#checkSignal();
    this.#sizeBytes += chunk.byteLength;
    const bytesMax = this.#options.expectSizeBytes ?? this.#options.sizeBytesMax;
    if (bytesMax !== undefined && this.#sizeBytes > bytesMax) {
      const kind = this.#options.expectSizeBytes === undefined ? "too_large" : "invalid_argument";
      throw new NaruError(kind, `blob has more than ${bytesMax} bytes`, { bytesMax });
    }
    this.#hash.update(chunk);
    let rest = chunk;
    while (rest.byteLength > 0) {
      this.#filling ??= new Uint8Array(BUFFER_BYTES);
      const part = rest.subarray(0, BUFFER_BYTES - this.#filledBytes);
      this.#filling.set(part, this.#filledBytes);
      this.#filledBytes += part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#filledBytes === BUFFER_BYTES) await this.#flush();
    }
  }

  /** Starts writing the full buffer after the one before it is written: two in memory at most. */
  async #flush(): Promise<void> {
    await this.#flushing;
    const full = this.#filling;
    if (full === undefined || this.#filledBytes === 0) return;
    const bytes = full.subarray(0, this.#filledBytes);
    this.#filling = this.#spare;
    this.#spare = undefined;
    this.#filledBytes = 0;
    const flushing = this.#writeAll(bytes).then(() => {
      this.#spare = full;
    });
    flushing.catch(() => undefined); // reported by the await above or in commit
    this.#flushing = flushing;
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    try {
      while (rest.byteLength > 0) {
        const { bytesWritten } = await this.#file.write(rest);
        rest = rest.subarray(bytesWritten);
        this.#writtenBytes += bytesWritten;
      }
    } catch (error) {
      throw diskError(error, "writing a blob");
    }
  }

  #checkSignal(): void {
    if (this.#options.signal?.aborted !== true) return;
    throw new NaruError("cancelled", "writing a blob was cancelled");
  }

  async commit(): Promise<BlobInfo> {
    assert(this.#state === "open", "a blob is committed once");
    this.#state = "committing";
    try {
      this.#checkSignal();
      const digest = digestFrom(this.#hash);
      this.#checkExpected(digest);
      await this.#flush();
      await this.#flushing;
      await this.#file.sync();
      await this.#file.close();
      await this.#publish(digest);
      this.#state = "done";
      return { digest, sizeBytes: this.#sizeBytes };
    } catch (error) {
      this.#state = "open";
      await this.abort();
      throw diskError(error, "writing a blob");
    }
  }

  #checkExpected(digest: Digest): void {
    const { expectDigest, expectSizeBytes } = this.#options;
    if (expectSizeBytes !== undefined && this.#sizeBytes !== expectSizeBytes) {
      const message = `blob has ${this.#sizeBytes} bytes instead of ${expectSizeBytes}`;
      throw new NaruError("invalid_argument", message);
    }
    if (expectDigest !== undefined && digest !== expectDigest) {
      const message = `blob has digest ${digest} instead of ${expectDigest}`;
      throw new NaruError("invalid_argument", message, { digest, expectDigest });
    }
  }

  /** Gives all bytes to the file. */
  async flush(): Promise<void> {
    await this.#flush();
    await this.#flushing;
  }

  /** Leaves the file, with all that was written on disk. Idempotent, safe after commit. */
  async leave(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "done";
    try {
      await this.flush();
      await this.#file.sync();
    } catch {
      // What is there is checked before it is used.
    }
    await this.#file.close().catch(() => undefined);
  }

  async abort(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "done";
    await this.#flushing.catch(() => undefined);
    await this.#file.close().catch(() => undefined); // closed already when commit failed late
    await rm(this.#path, { force: true });
    this.#filling = undefined;
    this.#spare = undefined;
  }
}
