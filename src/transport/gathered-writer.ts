import type { Writable } from "node:stream";
import { writeDrained } from "./drained-write.ts";

const GATHERED_BYTES_MAX = 64 * 1024; // what a socket takes at once; more gains nothing

/**
 * Gathers small pieces that come in one turn of the event loop into one write: a write for each line
 * of a log costs more than reading it. Nothing waits for longer than that turn.
 */
export class GatheredWriter {
  readonly #stream: Writable;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #scheduled: NodeJS.Immediate | undefined;
  /** The write that is under way; the reader's pace. */
  #written: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /** Takes the piece, which must not change any more. Throws cancelled when the reader is gone. */
  async write(piece: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#pieces.push(piece);
    this.#bytes += piece.byteLength;
    if (this.#bytes >= GATHERED_BYTES_MAX) await this.#send();
    else this.#scheduled ??= setImmediate(() => void this.#send().catch(() => undefined));
  }

  /** Everything taken so far has been given to the stream. */
  async flush(): Promise<void> {
    await this.#send();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #send(): Promise<void> {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    this.#written = this.#written.then(async () => {
      if (this.#pieces.length === 0) return;
      const pieces = this.#pieces;
      this.#pieces = [];
      this.#bytes = 0;
      try {
        await writeDrained(
          this.#stream,
          pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces),
        );
      } catch (error) {
        this.#failure ??= { error };
        throw error;
      }
    });
    return this.#written;
  }
}
