import { createGunzip, createZstdDecompress } from "node:zlib";
import { errorMessage, GiB, isNaruError, KiB, NaruError } from "../../base/mod.ts";

export type Compression = "none" | "gzip" | "zstd";

/** Told by the first bytes; an archive that is neither is taken as plain. @see RFC 1952, RFC 8878 */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  const magic = (head[1] ?? 0) === 0xb5 && (head[2] ?? 0) === 0x2f && (head[3] ?? 0) === 0xfd;
  if (magic && head[0] === 0x28) return "zstd";
  // A skippable frame (0x184D2A50 to 5F) may come first, as zstd:chunked writes it.
  const skippable = head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;
  return skippable && ((head[0] ?? 0) & 0xf0) === 0x50 ? "zstd" : "none";
}

const OUTPUT_BYTES = 256 * KiB; // larger chunks fall out of the second-level cache

/** When what comes out is no content any more but an attack on the disk. */
export interface ExpansionLimit {
  /** As much may come out of anything. */
  readonly freeBytes: number;
  /** Beyond that, bytes out for each byte in. */
  readonly ratioMax: number;
}

/** Layers of packages shrink to a third; those of zeros alone (1000 times by gzip) are no image's. */
export const EXPANSION_LIMIT: ExpansionLimit = { freeBytes: 16 * GiB, ratioMax: 300 };

/**
 * Decompresses a stream, several members after each other too. Throws invalid_argument for one that
 * is damaged, or is gzip and ends early (Bun's zstd takes a cut stream for a whole one: whoever reads
 * on must look for the end in what comes out), too_large for a bomb. Memory: a few chunks. Stopping early ends the source.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  limit: ExpansionLimit = EXPANSION_LIMIT,
): AsyncGenerator<Uint8Array, void, undefined> {
  const input = source[Symbol.asyncIterator]();
  let compression: Compression = "none";
  try {
    const head = await readHead(input);
    compression = compressionOf(head);
    if (compression !== "none") {
      yield* inflate(compression, head, input, limit);
      return;
    }
    if (head.byteLength > 0) yield head;
    for (;;) {
      const next = await input.next();
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    if (compression === "none") await input.return?.(); // else `inflate` has ended it
  }
}

async function readHead(input: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.byteLength < 4) {
    const next = await input.next();
    if (next.done === true) return head;
    head = head.byteLength === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  return head;
}

async function* inflate(
  compression: "gzip" | "zstd",
  head: Uint8Array,
  input: AsyncIterator<Uint8Array>,
  limit: ExpansionLimit,
): AsyncGenerator<Uint8Array, void, undefined> {
  const options = { chunkSize: OUTPUT_BYTES };
  const stream = compression === "gzip" ? createGunzip(options) : createZstdDecompress(options);
  let [inBytes, outBytes] = [0, 0];
  let sourceError: Error | undefined;
  let wake: (() => void) | undefined;
  stream.on("drain", () => wake?.());
  stream.on("close", () => wake?.());
  const feeding = (async () => {
    try {
      for (let chunk: Uint8Array | undefined = head; chunk !== undefined; ) {
        inBytes += chunk.byteLength;
        if (!stream.write(chunk) && !stream.destroyed) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        if (stream.destroyed) return;
        const next: IteratorResult<Uint8Array> = await input.next();
        chunk = next.done === true ? undefined : next.value;
      }
      stream.end();
    } catch (error) {
      sourceError = error instanceof Error ? error : new Error(errorMessage(error));
      stream.destroy(sourceError);
    }
  })();
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      outBytes += chunk.byteLength;
      checkExpansion(inBytes, outBytes, limit);
      yield chunk;
    }
  } catch (error) {
    if (sourceError !== undefined) throw sourceError;
    if (isNaruError(error, "too_large")) throw error;
    const message = `invalid ${compression} data: ${errorMessage(error)}`;
    throw new NaruError("invalid_argument", message, {}, { cause: error });
  } finally {
    stream.destroy();
    wake?.();
    // A source that stalls (a client that sends nothing) is ended when it moves again: what was found
    // wrong with the data must not wait for that.
    const ended = feeding.then(() => input.return?.());
    ended.catch(() => undefined);
    await Promise.race([ended, new Promise((resolve) => setImmediate(resolve))]);
  }
}

function checkExpansion(inBytes: number, outBytes: number, limit: ExpansionLimit): void {
  if (outBytes <= limit.freeBytes || outBytes <= inBytes * limit.ratioMax) return;
  const message = `compressed data grows more than ${limit.ratioMax} times: it is refused as a bomb`;
  throw new NaruError("too_large", message, { inBytes, outBytes });
}
