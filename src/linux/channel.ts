import { NaruError } from "../base/mod.ts";
import { close } from "./descriptor.ts";
import { adoptSocket, type EventSocket } from "./event-socket.ts";
import { SOCK_STREAM, socketPair } from "./socket.ts";

/** A line longer than this is no answer of conmon's: its longest carries a runtime's stderr. */
export const CHANNEL_LINE_BYTES_MAX: number = 256 * 1024;

/**
 * Our end of a pipe to a child, event driven, so that a waiting read costs no thread. Made of a
 * stream socket pair: to the child it reads, writes and ends like a pipe, and Bun's loop can own
 * our end, which it cannot for a pipe's (a cancelled stream leaves that open).
 *
 *     const sync = await openChannel();
 *     Bun.spawn(argv, { stdio: ["ignore", "ignore", "ignore", "ignore", sync.childFd] });
 *     sync.closeChild();
 *     const line = await sync.readLine();
 */
export interface Channel {
  /** For `stdio` of Bun.spawn. Close-on-exec; the copy in the child is not. */
  readonly childFd: number;
  /** Closes our copy of the child's end; without it EOF never comes. Idempotent. */
  closeChild(): void;
  /** The next line without its newline; undefined at EOF (what precedes EOF counts as a line). */
  readLine(): Promise<string | undefined>;
  /** Everything up to EOF, cut after `bytesMax`. */
  readAll(bytesMax: number): Promise<string>;
  /** For a few bytes: they go to the kernel's buffer at once. Throws unavailable when it is full. */
  write(bytes: Uint8Array): void;
  /** Closes both ends. Idempotent. A waiting read gives what there is. */
  close(): void;
}

export async function openChannel(): Promise<Channel> {
  const [ourFd, childFd] = socketPair(SOCK_STREAM);
  const channel = new SocketChannel(childFd);
  try {
    await channel.open(ourFd);
  } catch (error) {
    channel.closeChild();
    throw error;
  }
  return channel;
}

class SocketChannel implements Channel {
  readonly childFd: number;
  #childOpen = true;
  #ended = false;
  #socket: EventSocket | undefined;
  #buffered: Buffer = Buffer.alloc(0);
  #paused = false;
  #wake: () => void = () => undefined;

  constructor(childFd: number) {
    this.childFd = childFd;
  }

  async open(ourFd: number): Promise<void> {
    this.#socket = await adoptSocket(ourFd, {
      data: (bytes) => {
        this.#buffered = Buffer.concat([this.#buffered, bytes]);
        this.#holdBack();
        this.#wake();
      },
      drain: () => undefined,
      close: () => {
        this.#ended = true;
        this.#wake();
      },
    });
  }

  /** Nobody reads: let the child wait rather than our memory grow. */
  #holdBack(): void {
    const full = this.#buffered.byteLength > CHANNEL_LINE_BYTES_MAX;
    if (full === this.#paused || this.#ended) return;
    this.#paused = full;
    if (full) this.#socket?.pause();
    else this.#socket?.resume();
  }

  #take(bytes: number): Buffer {
    const taken = this.#buffered.subarray(0, bytes);
    this.#buffered = this.#buffered.subarray(bytes);
    this.#holdBack();
    return taken;
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = () => undefined;
  }

  closeChild(): void {
    if (!this.#childOpen) return;
    this.#childOpen = false;
    close(this.childFd);
  }

  async readLine(): Promise<string | undefined> {
    for (;;) {
      const newline = this.#buffered.indexOf(0x0a);
      if (newline !== -1) return this.#take(newline + 1).toString("utf8", 0, newline);
      if (this.#ended) {
        const rest = this.#take(this.#buffered.byteLength).toString("utf8");
        return rest === "" ? undefined : rest;
      }
      if (this.#buffered.byteLength > CHANNEL_LINE_BYTES_MAX) {
        throw new NaruError("too_large", `line of more than ${CHANNEL_LINE_BYTES_MAX} bytes`);
      }
      await this.#more();
    }
  }

  async readAll(bytesMax: number): Promise<string> {
    const pieces: Buffer[] = [];
    let room = bytesMax;
    for (;;) {
      const piece = this.#take(this.#buffered.byteLength).subarray(0, room);
      room -= piece.byteLength;
      if (piece.byteLength > 0) pieces.push(piece);
      if (this.#ended) return Buffer.concat(pieces).toString("utf8");
      await this.#more();
    }
  }

  write(bytes: Uint8Array): void {
    if (this.#ended) throw new NaruError("unavailable", "the child has closed its pipe");
    if (this.#socket?.write(bytes) !== bytes.byteLength) {
      throw new NaruError("unavailable", "the child does not read its pipe");
    }
  }

  close(): void {
    this.closeChild();
    if (!this.#ended) this.#socket?.terminate();
  }
}
