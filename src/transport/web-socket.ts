import { createHash } from "node:crypto";
import { NaruError } from "../base/mod.ts";

/*
 * The server's half of WebSocket, for streams of bytes: where a message begins and ends means
 * nothing there, so payloads are handed on as they arrive and never collected. @see RFC 6455
 */

const ACCEPT_SALT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 section 1.3
const CONTROL_BYTES_MAX = 125; // section 5.5
const HEADER_BYTES_MAX = 14;

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** The answer to Sec-WebSocket-Key. */
export function webSocketAccept(key: string): string {
  return createHash("sha1").update(`${key}${ACCEPT_SALT}`).digest("base64");
}

/** Status codes of a close. @see RFC 6455 section 7.4.1 */
export const WEB_SOCKET_NORMAL = 1000;
export const WEB_SOCKET_PROTOCOL_ERROR = 1002;

/** One whole frame; servers do not mask. */
export function webSocketFrame(kind: "binary" | "text" | "pong", payload: Uint8Array): Uint8Array {
  return frame(kind === "binary" ? BINARY : kind === "text" ? TEXT : PONG, payload);
}

export function webSocketClose(code: number): Uint8Array {
  return frame(CLOSE, Uint8Array.of(code >> 8, code & 0xff));
}

function frame(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const bytes = Buffer.allocUnsafe(2 + extra + length);
  bytes[0] = 0x80 | opcode;
  bytes[1] = extra === 0 ? length : extra === 2 ? 126 : 127;
  if (extra === 2) bytes.writeUInt16BE(length, 2);
  if (extra === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  bytes.set(payload, 2 + extra);
  return bytes;
}

/** What a client sent. Pieces of one message come as they arrive. */
export type WebSocketPiece =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "ping"; readonly bytes: Uint8Array }
  | { readonly kind: "close" };

/** Undoes frames and masks. Holds a header and a control frame at most. */
export class WebSocketDecoder {
  #header: Buffer = Buffer.alloc(0);
  #opcode = 0;
  #mask: Uint8Array = Buffer.alloc(0);
  #maskAt = 0;
  #leftBytes = 0;
  #control: Buffer = Buffer.alloc(0);
  #inFrame = false;
  #inMessage = false;
  #closed = false;

  /** Throws invalid_argument for what RFC 6455 forbids a client; nothing after a close is read. */
  push(chunk: Uint8Array): WebSocketPiece[] {
    const pieces: WebSocketPiece[] = [];
    let rest = chunk;
    while (!this.#closed && (rest.length > 0 || (this.#inFrame && this.#leftBytes === 0))) {
      if (!this.#inFrame) {
        const taken = this.#takeHeader(rest);
        rest = rest.subarray(taken);
        if (!this.#inFrame) break;
      }
      const bytes = this.#unmask(rest.subarray(0, Math.min(rest.length, this.#leftBytes)));
      rest = rest.subarray(bytes.length);
      this.#leftBytes -= bytes.length;
      if (this.#opcode < CLOSE) {
        if (bytes.length > 0) pieces.push({ kind: "data", bytes });
      } else this.#control = Buffer.concat([this.#control, bytes]);
      if (this.#leftBytes === 0) this.#endFrame(pieces);
      else break; // the chunk is used up
    }
    return pieces;
  }

  /** How many bytes of `bytes` went into the header, which may still be incomplete. */
  #takeHeader(bytes: Uint8Array): number {
    const before = this.#header.length;
    const known = Buffer.concat([this.#header, bytes.subarray(0, HEADER_BYTES_MAX - before)]);
    const [first = 0, second = 0] = known;
    const short = second & 0x7f;
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
    const length = 2 + extra + 4;
    if (known.length < 2 || known.length < length) {
      this.#header = known;
      return known.length - before;
    }
    this.#check(first, second);
    const size =
      extra === 2 ? known.readUInt16BE(2) : extra === 8 ? known.readBigUInt64BE(2) : short;
    if (size > Number.MAX_SAFE_INTEGER) throw broken("a frame is too long");
    if (this.#opcode >= CLOSE && size > CONTROL_BYTES_MAX)
      throw broken("a control frame is too long");
    this.#leftBytes = Number(size);
    this.#mask = known.subarray(2 + extra, length);
    this.#maskAt = 0;
    this.#inFrame = true;
    this.#header = Buffer.alloc(0);
    return length - before;
  }

  #check(first: number, second: number): void {
    const final = (first & 0x80) !== 0;
    const opcode = first & 0x0f;
    if ((first & 0x70) !== 0) throw broken("a reserved bit is set");
    if ((second & 0x80) === 0) throw broken("a frame is not masked");
    if (opcode >= CLOSE) {
      if (opcode > PONG) throw broken(`unknown opcode ${opcode}`);
      if (!final) throw broken("a control frame is in parts");
    } else {
      if (opcode > BINARY) throw broken(`unknown opcode ${opcode}`);
      if ((opcode === CONTINUATION) !== this.#inMessage) throw broken("a message is out of order");
      this.#inMessage = !final;
    }
    this.#opcode = opcode;
  }

  #unmask(bytes: Uint8Array): Uint8Array {
    const plain = Buffer.allocUnsafe(bytes.length);
    for (let at = 0; at < bytes.length; at += 1) {
      plain[at] = (bytes[at] ?? 0) ^ (this.#mask[this.#maskAt & 3] ?? 0);
      this.#maskAt += 1;
    }
    return plain;
  }

  #endFrame(pieces: WebSocketPiece[]): void {
    this.#inFrame = false;
    if (this.#opcode === PING) pieces.push({ kind: "ping", bytes: this.#control });
    if (this.#opcode === CLOSE) {
      pieces.push({ kind: "close" });
      this.#closed = true;
    }
    this.#control = Buffer.alloc(0);
  }
}

function broken(why: string): NaruError {
  return new NaruError("invalid_argument", `web socket: ${why}`);
}
