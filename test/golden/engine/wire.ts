/**
 * A raw HTTP/1.1 client over a unix socket. It keeps every byte that the engine wrote, so that
 * handshakes, framing and early headers can be recorded as they are; no library in between may
 * tidy them up.
 */
import { connect, type Socket } from "node:net";

/** A recorded run must never hang on an engine that does not answer. */
const ANSWER_TIMEOUT_MS = 15_000;

/** Status line and headers, in the order and the letter case they were sent. */
export interface Head {
  readonly statusLine: string;
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
}

/** One header's value, whatever its letter case. */
export function headerOf(head: Head, name: string): string | undefined {
  const wanted = name.toLowerCase();
  return head.headers.find(([key]) => key.toLowerCase() === wanted)?.[1];
}

/** One request on a connection of its own. */
export class Exchange {
  readonly #socket: Socket;
  readonly #method: string;
  #received: Buffer = Buffer.alloc(0);
  #bodyStart = 0;
  #head: Head | undefined;
  #closed = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket, method: string) {
    this.#socket = socket;
    this.#method = method;
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    const end = (): void => {
      this.#closed = true;
      this.#wake?.();
    };
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", (error: Error) => {
      this.#failure = error;
      end();
    });
  }

  /** Connects and writes the request bytes. */
  static async open(socketPath: string, method: string, request: Uint8Array): Promise<Exchange> {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const exchange = new Exchange(socket, method);
    socket.write(request);
    return exchange;
  }

  write(bytes: string | Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Ends the client's side only; the engine goes on sending. */
  halfClose(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Waits for the head of the answer (1xx other than 101 are skipped). */
  async head(): Promise<Head> {
    await this.#until(() => this.#takeHead() !== undefined, "no head");
    if (this.#head === undefined) throw new Error("the engine closed without an answer");
    return this.#head;
  }

  /** True when the engine has sent its head already. */
  get hasHead(): boolean {
    return this.#takeHead() !== undefined;
  }

  /** Waits until the body is complete (or the engine closed) and gives it. */
  async body(): Promise<Buffer> {
    const head = await this.head();
    await this.#until(() => this.#decoded(head).done, "body did not end");
    return this.#decoded(head).bytes;
  }

  /** What of the body has come so far. */
  async bodySoFar(): Promise<Buffer> {
    return this.#decoded(await this.head()).bytes;
  }

  /** Waits until the body so far contains `text`. */
  async expect(text: string): Promise<void> {
    const head = await this.head();
    const found = (): boolean => this.#decoded(head).bytes.includes(text);
    await this.#until(() => found(), `did not see ${JSON.stringify(text)}`);
    if (!found()) throw new Error(`stream ended without ${JSON.stringify(text)}`);
  }

  #takeHead(): Head | undefined {
    if (this.#head !== undefined) return this.#head;
    const end = this.#received.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const [statusLine = "", ...lines] = this.#received.subarray(0, end).toString().split("\r\n");
    const status = Number(statusLine.split(" ")[1]);
    if (status === 100) {
      this.#received = this.#received.subarray(end + 4);
      return this.#takeHead();
    }
    const headers = lines.map((line): readonly [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    this.#bodyStart = end + 4;
    this.#head = { statusLine, status, headers };
    return this.#head;
  }

  #decoded(head: Head): { bytes: Buffer; done: boolean } {
    const raw = this.#received.subarray(this.#bodyStart);
    if (this.#method === "HEAD" || head.status === 204 || head.status === 304) {
      return { bytes: Buffer.alloc(0), done: true };
    }
    if (headerOf(head, "Transfer-Encoding") === "chunked") {
      const { bytes, done } = dechunk(raw);
      return { bytes, done: done || this.#closed };
    }
    const length = headerOf(head, "Content-Length");
    if (length !== undefined && head.status !== 101) {
      return { bytes: raw, done: raw.length >= Number(length) || this.#closed };
    }
    return { bytes: raw, done: this.#closed };
  }

  async #until(ready: () => boolean, complaint: string): Promise<void> {
    const deadline = Bun.nanoseconds() + ANSWER_TIMEOUT_MS * 1e6;
    while (!ready() && !this.#closed) {
      const leftMs = (deadline - Bun.nanoseconds()) / 1e6;
      if (leftMs <= 0) throw new Error(`${complaint} within ${ANSWER_TIMEOUT_MS} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#failure !== undefined && this.#received.length === 0) throw this.#failure;
  }
}

function dechunk(raw: Buffer): { bytes: Buffer; done: boolean } {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = raw.indexOf("\r\n", at);
    if (lineEnd < 0) return { bytes: Buffer.concat(parts), done: false };
    const size = Number.parseInt(raw.subarray(at, lineEnd).toString(), 16);
    if (size === 0) return { bytes: Buffer.concat(parts), done: true };
    parts.push(raw.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
    if (at > raw.length) return { bytes: Buffer.concat(parts), done: false };
  }
}

/** A run of bytes of one stream of the multiplexed framing. */
export type Frame = readonly [stream: "stdin" | "stdout" | "stderr", text: string];

const STREAMS = ["stdin", "stdout", "stderr"] as const;

/** Undoes the 8-byte framing; neighbours of one stream are joined, since read sizes vary. */
export function deframe(bytes: Buffer): Frame[] {
  const frames: [Frame[0], string][] = [];
  for (let at = 0; at < bytes.length; ) {
    const stream = STREAMS[bytes[at] ?? 255];
    if (stream === undefined || at + 8 > bytes.length) {
      throw new Error(
        `not multiplexed at ${at}: ${bytes.subarray(at, at + 40).toString("latin1")}`,
      );
    }
    const size = bytes.readUInt32BE(at + 4);
    const text = bytes.subarray(at + 8, at + 8 + size).toString();
    const last = frames.at(-1);
    if (last !== undefined && last[0] === stream) last[1] += text;
    else frames.push([stream, text]);
    at += 8 + size;
  }
  return frames;
}
