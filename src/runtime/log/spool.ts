import type { OutputStream } from "../contract.ts";
import type { SegmentReader } from "./segment-reader.ts";

/** Bytes of output since the run began, by stream. */
export type Positions = Readonly<Record<OutputStream, number>>;

export interface LogSpool {
  /** A reader from these positions on, or undefined when the log cannot tell where they are. */
  openCursor(positions: Positions): SpoolCursor | undefined;
  /** A peer that the log is shipped to is so far behind that the container has to wait. */
  readonly full: boolean;
  /** Called when `full` changes. */
  onFullChanged: () => void;
}

/** Reads output again from the log, exactly from a position on. Keeps its segments from removal. */
export class SpoolCursor {
  readonly #reader: SegmentReader;
  readonly #at: Record<OutputStream, number>;
  readonly #from: Positions;
  readonly #release: () => void;

  /** `reader` stands at the positions `at`; output before `from` is passed over. */
  constructor(reader: SegmentReader, at: Positions, from: Positions, release: () => void) {
    this.#reader = reader;
    this.#at = { ...at };
    this.#from = from;
    this.#release = release;
  }

  get serial(): number {
    return this.#reader.serial;
  }

  /** The next output, in the order it was written; undefined when the log has no more yet. */
  async next(): Promise<{ stream: OutputStream; bytes: Uint8Array }[] | undefined> {
    const lines = await this.#reader.next();
    if (lines === undefined) return undefined;
    const pieces: { stream: OutputStream; bytes: Uint8Array[] }[] = [];
    for (const { stream, bytes } of lines) {
      const start = this.#at[stream];
      const skipped = Math.min(bytes.byteLength, Math.max(0, this.#from[stream] - start));
      this.#at[stream] = start + bytes.byteLength;
      if (skipped === bytes.byteLength) continue;
      // One piece for neighbours: a frame and a write for each line cost more than the bytes.
      const last = pieces.at(-1);
      if (last?.stream === stream) last.bytes.push(bytes.subarray(skipped));
      else pieces.push({ stream, bytes: [bytes.subarray(skipped)] });
    }
    return pieces.map(({ stream, bytes }) => ({ stream, bytes: Buffer.concat(bytes) }));
  }

  async close(): Promise<void> {
    this.#release();
    await this.#reader.close();
  }
}
