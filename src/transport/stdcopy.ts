import { NaruError } from "../base/mod.ts";

/**
 * The framing of attach, exec and logs without a tty: per run of bytes a header of 8 bytes
 * (stream, three zeros, length as 32 bits big endian), then the bytes.
 * @see reference engine-api ContainerAttach "Stream format"
 */
export type StdcopyStream = "stdin" | "stdout" | "stderr" | "systemerr";

const NUMBER: Readonly<Record<StdcopyStream, number>> = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  systemerr: 3, // an error of the daemon itself, in the stream
};
const NAMES: readonly StdcopyStream[] = ["stdin", "stdout", "stderr", "systemerr"];

export const STDCOPY_HEADER_BYTES: number = 8;

/** Header and `bytes` in one buffer, so that one write sends both. */
export function encodeStdcopy(stream: StdcopyStream, bytes: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(STDCOPY_HEADER_BYTES + bytes.length);
  frame.writeUInt32BE(NUMBER[stream] * 0x100_0000, 0);
  frame.writeUInt32BE(bytes.length, 4);
  frame.set(bytes, STDCOPY_HEADER_BYTES);
  return frame;
}

/** A run of bytes of one stream; a frame that came in pieces gives several. */
export interface StdcopyPart {
  readonly stream: StdcopyStream;
  readonly bytes: Uint8Array;
}

/** Takes the framing apart as it arrives; holds at most one header. */
export class StdcopyDecoder {
  readonly #header: Buffer = Buffer.alloc(STDCOPY_HEADER_BYTES);
  #headerBytes = 0;
  #stream: StdcopyStream = "stdout";
  #left = 0;

  /** The parts of `chunk`, views into it. Throws damaged when the bytes are not this framing. */
  push(chunk: Uint8Array): StdcopyPart[] {
    const parts: StdcopyPart[] = [];
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const end = Math.min(chunk.length, at + this.#left);
        parts.push({ stream: this.#stream, bytes: chunk.subarray(at, end) });
        this.#left -= end - at;
        at = end;
        continue;
      }
      const end = Math.min(chunk.length, at + STDCOPY_HEADER_BYTES - this.#headerBytes);
      this.#header.set(chunk.subarray(at, end), this.#headerBytes);
      this.#headerBytes += end - at;
      at = end;
      if (this.#headerBytes === STDCOPY_HEADER_BYTES) this.#takeHeader();
    }
    return parts;
  }

  /** True between frames: a stream may end here. */
  get whole(): boolean {
    return this.#left === 0 && this.#headerBytes === 0;
  }

  #takeHeader(): void {
    const stream = NAMES[this.#header[0] ?? -1];
    const zeros = this.#header[1] === 0 && this.#header[2] === 0 && this.#header[3] === 0;
    if (stream === undefined || !zeros) {
      throw new NaruError("damaged", "the stream is not in Docker's multiplexed format");
    }
    this.#stream = stream;
    this.#left = this.#header.readUInt32BE(4);
    this.#headerBytes = 0;
  }
}
