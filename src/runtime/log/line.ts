import type { OutputStream } from "../contract.ts";

/** One line of conmon's k8s-file: `2026-01-31T23:59:59.123456789+09:00 stdout F text`. */
export interface LogLine {
  readonly stream: OutputStream;
  readonly timeNs: bigint;
  /** The output ended here without a newline: more of the same line follows. */
  readonly partial: boolean;
  /** What the container wrote, with its newline unless `partial`. A view: copy to keep. */
  readonly bytes: Uint8Array;
}

/** conmon reads at most 8192 bytes at a time; a line beyond this is damage, and is left out. */
export const LINE_BYTES_MAX: number = 64 * 1024;

const NEWLINE = 0x0a;
const SPACE = 0x20;
const LETTER_P = 0x50;
const LETTER_F = 0x46;
const STDOUT = Buffer.from("stdout");
const STDERR = Buffer.from("stderr");
const STREAM_BYTES = 6;

/**
 * Reads one line, `end` being the index of its newline. Undefined for what is not such a line (a
 * line torn by power loss with another after it): readers go on with the next.
 */
export function parseLine(buffer: Buffer, start: number, end: number): LogLine | undefined {
  const timeEnd = buffer.indexOf(SPACE, start);
  if (timeEnd === -1 || timeEnd + STREAM_BYTES + 3 >= end + 1) return undefined;
  const streamStart = timeEnd + 1;
  const tag = streamStart + STREAM_BYTES + 1;
  if (buffer[tag - 1] !== SPACE || (buffer[tag + 1] !== SPACE && tag + 1 !== end)) return undefined;
  const stream = streamAt(buffer, streamStart);
  const letter = buffer[tag];
  if (stream === undefined || (letter !== LETTER_P && letter !== LETTER_F)) return undefined;
  const timeNs = parseTime(buffer, start, timeEnd);
  if (timeNs === undefined) return undefined;
  const partial = letter === LETTER_P;
  const content = Math.min(tag + 2, end);
  return { stream, timeNs, partial, bytes: buffer.subarray(content, partial ? end : end + 1) };
}

function streamAt(buffer: Buffer, start: number): OutputStream | undefined {
  const end = start + STREAM_BYTES;
  if (buffer.compare(STDOUT, 0, STREAM_BYTES, start, end) === 0) return "stdout";
  if (buffer.compare(STDERR, 0, STREAM_BYTES, start, end) === 0) return "stderr";
  return undefined;
}

// Lines of one second share their date: parsing it once a second is most of the speed.
let cachedText = "";
let cachedNs = 0n;

const DATE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})$/;
const DATE_BYTES = 19;

/** `2026-01-31T23:59:59.123456789+09:00` */
function parseTime(buffer: Buffer, start: number, end: number): bigint | undefined {
  if (end - start < DATE_BYTES + 1 || end - start > 40) return undefined;
  const text = buffer.toString("latin1", start, end);
  let zone = DATE_BYTES;
  let fraction = 0;
  if (text.charCodeAt(DATE_BYTES) === 0x2e) {
    zone += 1;
    let digits = 0;
    for (; zone < text.length; zone += 1) {
      const digit = text.charCodeAt(zone) - 0x30;
      if (digit < 0 || digit > 9) break;
      fraction = fraction * 10 + digit;
      digits += 1;
    }
    if (digits === 0 || digits > 9) return undefined;
    fraction *= 10 ** (9 - digits);
  }
  const whole = text.slice(0, DATE_BYTES) + text.slice(zone);
  if (whole !== cachedText) {
    const milliseconds = DATE.test(whole) ? Date.parse(whole) : Number.NaN;
    if (Number.isNaN(milliseconds)) return undefined;
    cachedText = whole;
    cachedNs = BigInt(milliseconds) * 1_000_000n;
  }
  return cachedNs + BigInt(fraction);
}

/** Cuts pieces of a file, wherever they are cut, into lines. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0);
  /** Where `#rest` begins in the file. */
  #at = 0;
  /** Where each line of the last `push` ends in the file, its newline included. */
  ends: number[] = [];

  /** The whole lines in `chunk` and what was left of the last one. */
  push(chunk: Buffer): LogLine[] {
    const buffer = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const lines: LogLine[] = [];
    this.ends = [];
    let start = 0;
    for (;;) {
      const end = buffer.indexOf(NEWLINE, start);
      if (end === -1) break;
      const line = parseLine(buffer, start, end);
      if (line !== undefined) {
        lines.push(line);
        this.ends.push(this.#at + end + 1);
      }
      start = end + 1;
    }
    const rest = buffer.subarray(start);
    const damaged = rest.byteLength > LINE_BYTES_MAX;
    this.#at += damaged ? buffer.byteLength : start;
    this.#rest = damaged ? Buffer.alloc(0) : rest;
    return lines;
  }

  /** Forgets a torn end, before the next file, which is read from `offset` on. */
  reset(offset = 0): void {
    this.#rest = Buffer.alloc(0);
    this.#at = offset;
    this.ends = [];
  }
}
