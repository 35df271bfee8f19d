import type { LogEntry, LogReadOptions, OutputStream } from "../contract.ts";
import type { LogLine } from "./line.ts";

/** A line that is longer comes in pieces of this size: memory must not grow with what is written. */
const ENTRY_BYTES_MAX = 1024 * 1024;

interface Pending {
  timeNs: bigint;
  bytes: number;
  parts: Uint8Array[];
}

/** Joins the pieces of lines, stream by stream, and keeps what the reader asked for. */
export class EntryJoiner {
  readonly #options: LogReadOptions;
  readonly #pending: Map<OutputStream, Pending> = new Map();
  #skip = 0;
  /** A line later than `untilNs` was seen. */
  past = false;

  constructor(options: LogReadOptions) {
    this.#options = options;
  }

  /** Passes over this many whole lines first. */
  skip(lines: number): void {
    this.#skip = lines;
  }

  *push(line: LogLine): Iterable<LogEntry> {
    const { stream } = line;
    if (!this.#options[stream] || this.past) return;
    const pending = this.#pending.get(stream);
    if (line.partial) {
      const parts = pending ?? { timeNs: line.timeNs, bytes: 0, parts: [] };
      parts.parts.push(line.bytes);
      parts.bytes += line.bytes.byteLength;
      this.#pending.set(stream, parts);
      if (parts.bytes < ENTRY_BYTES_MAX) return;
      this.#pending.delete(stream);
      yield* this.#keep(stream, parts.timeNs, Buffer.concat(parts.parts));
      return;
    }
    this.#pending.delete(stream);
    if (this.#skip > 0) {
      this.#skip -= 1;
      return;
    }
    const bytes =
      pending === undefined ? line.bytes : Buffer.concat([...pending.parts, line.bytes]);
    yield* this.#keep(stream, pending?.timeNs ?? line.timeNs, bytes);
  }

  /** Last lines without a newline, as they are. */
  *rest(): Iterable<LogEntry> {
    for (const [stream, { timeNs, parts }] of this.#pending) {
      yield* this.#keep(stream, timeNs, Buffer.concat(parts));
    }
    this.#pending.clear();
  }

  *#keep(stream: OutputStream, timeNs: bigint, bytes: Uint8Array): Iterable<LogEntry> {
    const { sinceNs, untilNs } = this.#options;
    if (untilNs !== undefined && timeNs > untilNs) {
      this.past = true;
      return;
    }
    if (sinceNs !== undefined && timeNs < sinceNs) return;
    if (bytes.byteLength > 0) yield { stream, timeNs, bytes };
  }
}
