import type { OutputStream } from "../../contract.ts";
import type { LogLine } from "../line.ts";
import { SegmentReader, type SegmentSource } from "../segment-reader.ts";
import type { ShipMessage } from "./message.ts";
import type { StreamPlace } from "./offset-file.ts";

/** Docker's size of a message: longer lines go in pieces. Every peer takes a datagram of this. */
export const MESSAGE_BYTES_MAX: number = 16 * 1024;

const MESSAGES_MAX = 1000; // of one batch, however short they are

export type Places = Readonly<Record<OutputStream, StreamPlace>>;

export interface Batch {
  readonly messages: readonly ShipMessage[];
  /** Once the messages are taken. */
  readonly after: Places;
}

interface Pending {
  readonly timeNs: bigint;
  parts: Uint8Array[];
  bytes: number;
  /** Where the last part ends. */
  end: { serial: number; offset: number };
}

interface Placed {
  readonly line: LogLine;
  readonly end: number;
}

/**
 * Reads the spool from places on, each stream from its own, and makes messages of it. Memory is a
 * chunk of the file and one message for each stream.
 */
export class ShippingFeed {
  readonly #reader: SegmentReader;
  readonly #idOf: (stream: OutputStream, serial: number, offset: number) => string;
  readonly #places: Record<OutputStream, StreamPlace>;
  readonly #pending: Map<OutputStream, Pending> = new Map();
  #lines: Placed[] = [];
  #linesSerial: number;
  #last: { serial: number; offset: number };

  constructor(
    source: SegmentSource,
    from: Places,
    idOf: (stream: OutputStream, serial: number, offset: number) => string,
  ) {
    const first = before(from.stdout, from.stderr) ? from.stdout : from.stderr;
    this.#reader = new SegmentReader(source, { serial: first.serial, offset: first.offset });
    this.#idOf = idOf;
    this.#places = { ...from };
    this.#linesSerial = first.serial;
    this.#last = { serial: first.serial, offset: first.offset };
  }

  /** The file being read: it and later ones are needed. */
  get serial(): number {
    return this.#linesSerial;
  }

  /**
   * The next messages of about `bytesMax`, or undefined at the end of what is there. None of them
   * when only a file was left behind.
   */
  async next(bytesMax: number): Promise<Batch | undefined> {
    const messages: ShipMessage[] = [];
    let bytes = 0;
    for (;;) {
      for (let placed = this.#lines.shift(); placed !== undefined; placed = this.#lines.shift()) {
        for (const message of this.#take(placed)) {
          messages.push(message);
          bytes += message.line.byteLength;
        }
        if (bytes >= bytesMax || messages.length >= MESSAGES_MAX) return this.#batch(messages);
      }
      if (messages.length > 0) return this.#batch(messages);
      const lines = await this.#reader.next();
      const moved = this.#reader.serial !== this.#linesSerial;
      if (moved) {
        // A file that is not needed for the rest of a long line can go, also before the next line.
        messages.push(...this.#cutPending());
        this.#linesSerial = this.#reader.serial;
        this.#last = { serial: this.#linesSerial, offset: 0 };
      }
      if (lines === undefined) return moved ? this.#batch(messages) : undefined;
      const ends = this.#reader.lineEnds;
      this.#lines = lines.map((line, index) => ({ line, end: ends[index] ?? 0 }));
    }
  }

  /** The run is over: last lines without a newline, as they are. */
  rest(): Batch | undefined {
    const messages = [...this.#pending.keys()].flatMap((stream) => this.#emit(stream, true));
    return messages.length === 0 ? undefined : this.#batch(messages);
  }

  async close(): Promise<void> {
    await this.#reader.close();
  }

  #take({ line, end }: Placed): ShipMessage[] {
    const serial = this.#linesSerial;
    this.#last = { serial, offset: end };
    const { stream } = line;
    const place = this.#places[stream];
    if (serial < place.serial || (serial === place.serial && end <= place.offset)) return [];
    const messages: ShipMessage[] = [];
    const size = line.bytes.byteLength;
    const filled = this.#pending.get(stream)?.bytes ?? 0;
    if (filled > 0 && filled + size > MESSAGE_BYTES_MAX)
      messages.push(...this.#emit(stream, false));
    const pending = this.#pending.get(stream) ?? {
      timeNs: line.timeNs,
      parts: [],
      bytes: 0,
      end: this.#last,
    };
    pending.parts.push(line.bytes);
    pending.bytes += size;
    pending.end = this.#last;
    this.#pending.set(stream, pending);
    if (!line.partial) messages.push(...this.#emit(stream, true));
    return messages;
  }

  #cutPending(): ShipMessage[] {
    return [...this.#pending.keys()].flatMap((stream) => this.#emit(stream, false));
  }

  #emit(stream: OutputStream, last: boolean): ShipMessage[] {
    const pending = this.#pending.get(stream);
    if (pending === undefined) return [];
    this.#pending.delete(stream);
    const bytes = pending.parts.length === 1 ? pending.parts[0] : Buffer.concat(pending.parts);
    const line = withoutNewline(bytes ?? new Uint8Array());
    const open = this.#places[stream].partial;
    const id = open?.id ?? this.#idOf(stream, pending.end.serial, pending.end.offset);
    const ordinal = (open?.ordinal ?? 0) + 1;
    const partial = last && open === null ? undefined : { id, ordinal, last };
    this.#places[stream] = { ...pending.end, partial: last ? null : { id, ordinal } };
    return [{ stream, timeNs: pending.timeNs, line, partial }];
  }

  #batch(messages: ShipMessage[]): Batch {
    for (const stream of ["stdout", "stderr"] as const) {
      // A stream that says nothing must not hold its old files.
      const place = this.#places[stream];
      if (this.#pending.has(stream) || !before(place, this.#last)) continue;
      this.#places[stream] = { ...this.#last, partial: place.partial };
    }
    return { messages, after: { ...this.#places } };
  }
}

function before(
  left: { serial: number; offset: number },
  right: { serial: number; offset: number },
): boolean {
  return left.serial < right.serial || (left.serial === right.serial && left.offset < right.offset);
}

const NEWLINE = 0x0a;

function withoutNewline(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === NEWLINE ? bytes.subarray(0, -1) : bytes;
}
