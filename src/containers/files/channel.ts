import { NaruError } from "../../base/mod.ts";
import type { FileAnswer, FileRequest } from "./protocol.ts";

const CHUNK_BYTES = 256 * 1024; // a message costs about 10 us; larger chunks gain nothing
const CREDIT_FIRST = 4; // chunks under way to the main thread, which has them all in memory

/** The Worker's end: chunks out as the main thread has room, chunks in as they are asked for. */
export class FileChannel {
  readonly #post: (answer: FileAnswer, transfer?: ArrayBuffer[]) => void;
  readonly #arrived: Uint8Array[] = [];
  #credit = CREDIT_FIRST;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  #filledVolumes = false;
  #ended = false;
  #aborted = false;
  #wake: (() => void) | undefined;

  constructor(post: (answer: FileAnswer, transfer?: ArrayBuffer[]) => void) {
    this.#post = post;
  }

  received(request: FileRequest): void {
    if (request.kind === "credit") this.#credit += 1;
    else if (request.kind === "chunk") this.#arrived.push(request.bytes);
    else if (request.kind === "end") this.#ended = true;
    else if (request.kind === "filled") this.#filledVolumes = true;
    else if (request.kind === "abort") this.#aborted = true;
    this.#wake?.();
  }

  checkAborted(): void {
    if (this.#aborted) throw new NaruError("cancelled", "the client is gone");
  }

  /** Resolves when the main thread has filled the volumes. Throws cancelled. */
  async filled(): Promise<void> {
    while (!this.#filledVolumes) {
      this.checkAborted();
      await this.#change();
    }
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  // --- out -----------------------------------------------------------------------------------

  /** Room for at least one byte: fill some of it and call `advance`. */
  async space(): Promise<Uint8Array> {
    if (this.#filled === CHUNK_BYTES) await this.flush();
    return this.#buffer.subarray(this.#filled);
  }

  advance(count: number): void {
    this.#filled += count;
  }

  /** Resolves (or returns at once) when the bytes are taken. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (bytes.byteLength > CHUNK_BYTES - this.#filled) return this.#writeSlowly(bytes);
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.byteLength;
    return undefined;
  }

  async #writeSlowly(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.byteLength > 0; ) {
      const space = await this.space();
      const part = rest.subarray(0, space.byteLength);
      space.set(part);
      this.advance(part.byteLength);
      rest = rest.subarray(part.byteLength);
    }
  }

  /** Sends what is gathered. Throws cancelled when nobody wants it. */
  async flush(): Promise<void> {
    // Messages (credit, an abort) are only delivered between turns of the event loop.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.checkAborted();
    if (this.#filled === 0) return;
    while (this.#credit === 0) {
      await this.#change();
      this.checkAborted();
    }
    this.#credit -= 1;
    const full = this.#filled === CHUNK_BYTES;
    const bytes = full ? this.#buffer : this.#buffer.slice(0, this.#filled);
    this.#post({ kind: "chunk", bytes }, [bytes.buffer]);
    if (full) this.#buffer = new Uint8Array(CHUNK_BYTES);
    this.#filled = 0;
  }

  // --- in ------------------------------------------------------------------------------------

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      this.checkAborted();
      const chunk = this.#arrived.shift();
      if (chunk !== undefined) {
        this.#post({ kind: "want" });
        yield chunk;
      } else if (this.#ended) {
        return;
      } else {
        await this.#change();
      }
    }
  }
}
