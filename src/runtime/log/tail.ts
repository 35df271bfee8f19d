import { open } from "node:fs/promises";
import type { OutputStream } from "../contract.ts";
import { LineSplitter, parseLine } from "./line.ts";
import { SegmentReader, type SegmentSource } from "./segment-reader.ts";

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** Where to begin so that the last lines remain: a position, and whole lines to pass over there. */
export interface TailStart {
  readonly serial: number;
  readonly offset: number;
  readonly skip: number;
}

/**
 * Finds the start of the last `count` lines of the wanted streams, from the end: the live file is
 * read backwards in blocks, older segments only when it has too few. A line that began in pieces
 * before the first wanted one of the other stream may lose its head, as with Docker.
 */
export async function findTail(
  source: SegmentSource,
  count: number,
  wanted: (stream: OutputStream) => boolean,
): Promise<TailStart> {
  let need = count;
  const live = await scanBackwards(source.path, need, wanted);
  if (live.found >= need) return { serial: source.liveSerial, offset: live.offset, skip: 0 };
  need -= live.found;
  let first: TailStart = { serial: source.liveSerial, offset: 0, skip: 0 };
  const oldest = source.segmentFrom(0)?.serial ?? source.liveSerial;
  for (let serial = source.liveSerial - 1; serial >= oldest && need > 0; serial -= 1) {
    const segment = source.segmentFrom(serial);
    if (segment?.serial !== serial) continue;
    if (!segment.compressed) {
      const part = await scanBackwards(segment.path, need, wanted);
      if (part.found >= need) return { serial, offset: part.offset, skip: 0 };
      need -= part.found;
    } else {
      const total = await countForwards(source, serial, wanted);
      if (total >= need) return { serial, offset: 0, skip: total - need };
      need -= total;
    }
    first = { serial, offset: 0, skip: 0 };
  }
  return first;
}

/** `offset` is right after the line before the last `need`; `found` is at most `need`. */
async function scanBackwards(
  path: string,
  need: number,
  wanted: (stream: OutputStream) => boolean,
): Promise<{ found: number; offset: number }> {
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return { found: 0, offset: 0 };
  try {
    let position = (await file.stat()).size;
    if (need === 0) return { found: 0, offset: position };
    let carry: Buffer = Buffer.alloc(0);
    let found = 0;
    const open = new Set<OutputStream>(["stdout", "stderr"]); // no line of it seen yet, from the end
    let atEnd = true;
    while (position > 0) {
      const length = Math.min(BLOCK_BYTES, position);
      const block = Buffer.allocUnsafe(length);
      await file.read(block, 0, length, position - length);
      position -= length;
      const buffer = carry.byteLength === 0 ? block : Buffer.concat([block, carry]);
      // Without a newline at its very end the last line is torn, and is nobody's.
      let end = atEnd ? buffer.lastIndexOf(NEWLINE) : buffer.byteLength - 1;
      if (atEnd && end === -1) {
        carry = buffer;
        continue;
      }
      atEnd = false;
      for (;;) {
        const start = end <= 0 ? 0 : buffer.lastIndexOf(NEWLINE, end - 1) + 1;
        if (start === 0 && position > 0) break;
        const line = end < 0 ? undefined : parseLine(buffer, start, end);
        if (line !== undefined && wanted(line.stream) && (!line.partial || open.has(line.stream))) {
          if (found === need) return { found, offset: position + end + 1 };
          found += 1;
        }
        if (line !== undefined) open.delete(line.stream);
        end = start - 1;
        if (end < 0) break;
      }
      carry = buffer.subarray(0, end + 1);
    }
    return { found, offset: 0 };
  } finally {
    await file.close();
  }
}

async function countForwards(
  source: SegmentSource,
  serial: number,
  wanted: (stream: OutputStream) => boolean,
): Promise<number> {
  const reader = new SegmentReader(source, { serial, offset: 0 });
  let count = 0;
  try {
    for (;;) {
      const lines = await reader.next();
      if (lines === undefined || reader.serial !== serial) return count;
      for (const line of lines) if (!line.partial && wanted(line.stream)) count += 1;
    }
  } finally {
    await reader.close();
  }
}

/** Output bytes by stream in pieces of a log file: what a segment adds to the positions. */
export class OutputCounter {
  readonly #splitter: LineSplitter = new LineSplitter();
  #skip: number;
  stdout = 0;
  stderr = 0;

  /** `skip` bytes of the file are passed over first. */
  constructor(skip: number) {
    this.#skip = skip;
  }

  push(chunk: Buffer): void {
    const skipped = Math.min(this.#skip, chunk.byteLength);
    this.#skip -= skipped;
    // The splitter keeps views of what it is given, and a stream may use its chunk again.
    for (const line of this.#splitter.push(Buffer.from(chunk.subarray(skipped)))) {
      this[line.stream] += line.bytes.byteLength;
    }
  }
}
