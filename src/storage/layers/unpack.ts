import { createHash } from "node:crypto";
import { assert, type Digest, digestFrom, isNaruError, MiB, NaruError } from "../../base/mod.ts";
import {
  close,
  fchmod,
  fchown,
  O_DIRECTORY,
  O_RDONLY,
  open,
  read,
  syncfs,
} from "../../linux/mod.ts";
import { TarParser, tarFailure } from "../../oci/mod.ts";
import { compressionOf, decompress } from "./decompress.ts";
import { LayerWriter } from "./layer-writer.ts";
import type { UnpackResult } from "./protocol.ts";

const FILE_READ_BYTES = MiB;
const PROGRESS_BYTES = 4 * MiB; // a terminal redraws no faster than that anyway

export interface UnpackOptions {
  /** An empty directory. */
  readonly root: string;
  /** Digest of the source as it is stored, when that is certain. */
  readonly knownDigest: Digest | undefined;
  readonly onProgress: (bytes: number) => void;
  /** Throws when the job is to end. */
  readonly checkAborted: () => void;
}

/**
 * Unpacks a layer into `root`; everything is on disk when this resolves. Workers only: it blocks.
 * What a failure leaves in `root` is for the caller to remove.
 */
export async function unpackLayer(
  source: AsyncIterable<Uint8Array>,
  options: UnpackOptions,
): Promise<UnpackResult> {
  const rootFd = open(options.root, O_RDONLY | O_DIRECTORY);
  const writer = new LayerWriter(rootFd);
  try {
    fchown(rootFd, 0, 0); // whatever a set-group-id bit above says
    fchmod(rootFd, 0o755);
    const parser = new TarParser(writer);
    const counted = new CountedSource(source, options);
    const head = await counted.peek();
    const compression = compressionOf(head);
    // The digest of a plain blob was checked when it was written: it is the diff id.
    const known = compression === "none" ? options.knownDigest : undefined;
    const hash = known === undefined ? createHash("sha256") : undefined;
    try {
      for await (const chunk of decompress(counted)) {
        hash?.update(chunk);
        parser.push(chunk);
      }
    } catch (error) {
      throw namedEntry(error, parser.current);
    }
    parser.end();
    if (compression === "zstd" && !parser.sawTrailer) {
      throw tarFailure(parser.current, "the zstd stream ends too early"); // which Bun does not tell
    }
    writer.finish();
    syncfs(rootFd);
    const diffId = known ?? digestFrom(hash ?? createHash("sha256"));
    const { sizeBytes, skippedXattrs } = writer;
    return { diffId, sizeBytes, skippedXattrs, compression };
  } finally {
    writer.close();
    close(rootFd);
  }
}

/** Damage in the compressed stream is told with the entry that it was met in. */
function namedEntry(error: unknown, entry: string): unknown {
  if (!isNaruError(error, "invalid_argument") || "entry" in error.details || entry === "") {
    return error;
  }
  return new NaruError("invalid_argument", `${error.message} (at entry "${entry}")`, { entry });
}

/** Counts what is consumed, tells of progress and gives others a turn now and then. */
class CountedSource implements AsyncIterable<Uint8Array> {
  readonly #input: AsyncIterator<Uint8Array>;
  readonly #options: UnpackOptions;
  #head: Uint8Array | undefined;
  #bytes = 0;
  #toldBytes = 0;

  constructor(source: AsyncIterable<Uint8Array>, options: UnpackOptions) {
    this.#input = source[Symbol.asyncIterator]();
    this.#options = options;
  }

  /** The first four bytes (fewer at the end), which are read again afterwards. */
  async peek(): Promise<Uint8Array> {
    assert(this.#head === undefined, "the head is looked at once");
    let head: Uint8Array = new Uint8Array(0);
    while (head.byteLength < 4) {
      const next = await this.#input.next();
      if (next.done === true) break;
      head = Buffer.concat([head, next.value]);
    }
    this.#head = head;
    return head.subarray(0, 4);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      if (this.#head !== undefined && this.#head.byteLength > 0) yield this.#head;
      this.#bytes += this.#head?.byteLength ?? 0;
      for (;;) {
        this.#options.checkAborted();
        const next = await this.#input.next();
        if (next.done === true) break;
        this.#bytes += next.value.byteLength;
        yield next.value;
        if (this.#bytes - this.#toldBytes >= PROGRESS_BYTES) await this.#tell();
      }
      this.#options.onProgress(this.#bytes);
    } finally {
      await this.#input.return?.();
    }
  }

  async #tell(): Promise<void> {
    this.#toldBytes = this.#bytes;
    this.#options.onProgress(this.#bytes);
    // Messages (an abort) are only delivered between turns of the event loop.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** The bytes of a file, read on this thread. Two buffers in turn: each is good until the next but one. */
export async function* readFileChunks(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const fd = open(path, O_RDONLY);
  try {
    for (;;) {
      // A new buffer each time: a decompressor may hold on to the one before.
      const buffer = Buffer.allocUnsafeSlow(FILE_READ_BYTES);
      const count = read(fd, buffer);
      if (count === 0) return;
      yield buffer.subarray(0, count);
    }
  } finally {
    close(fd);
  }
}
