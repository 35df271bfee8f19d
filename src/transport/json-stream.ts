import type { Writable } from "node:stream";
import { writeDrained } from "./drained-write.ts";

/** One JSON message per write, which HTTP sends as one chunk at once; waits for slow readers. */
export class JsonStreamWriter {
  readonly #stream: Writable;
  readonly #separator: string;

  /** `separator` after each message: CRLF in progress streams, LF in events. */
  constructor(stream: Writable, separator: "\r\n" | "\n") {
    this.#stream = stream;
    this.#separator = separator;
  }

  /** Throws cancelled when the client is gone. */
  write(message: unknown): Promise<void> {
    return this.writeText(JSON.stringify(message));
  }

  /** A message that is JSON text already. */
  writeText(json: string): Promise<void> {
    return writeDrained(this.#stream, `${json}${this.#separator}`);
  }
}
