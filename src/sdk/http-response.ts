import { KiB, NaruError } from "../base/mod.ts";
import type { ByteChannel } from "./byte-channel.ts";

const HEAD_BYTES_MAX: number = 256 * KiB; // a status line and headers of an engine are under 4 KiB
const CHUNK_LINE_BYTES_MAX: number = 4 * KiB; // a chunk's size and extensions

export interface ResponseHead {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** May the connection carry another request after this one's body? */
  readonly keepAlive: boolean;
}

/** Reads a status line and headers; null when the peer closed before a byte. @see RFC 9112 */
export async function readResponseHead(channel: ByteChannel): Promise<ResponseHead | null> {
  let text: Buffer = Buffer.alloc(0);
  for (;;) {
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) {
      channel.unread(text.subarray(end + 4));
      return parseHead(text.toString("latin1", 0, end));
    }
    if (text.length > HEAD_BYTES_MAX) throw malformed("its headers are too long");
    const chunk = await channel.read();
    if (chunk === null) {
      if (text.length === 0) return null;
      throw malformed("it ended within the headers");
    }
    text = text.length === 0 ? Buffer.from(chunk) : Buffer.concat([text, chunk]);
  }
}

function parseHead(text: string): ResponseHead {
  const lines = text.split("\r\n");
  const match = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(lines[0] ?? "");
  if (match === null) throw malformed("its first line is not HTTP");
  const headers = new Map<string, string>();
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(":");
    if (colon <= 0) throw malformed("a header has no name");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  const connection = headers.get("connection")?.toLowerCase() ?? "";
  const keepAlive = match[1] === "1" ? connection !== "close" : connection === "keep-alive";
  return { status: Number(match[2]), headers, keepAlive };
}

/** How the length of a body is known. */
export type BodyLength =
  | { readonly kind: "none" }
  | { readonly kind: "fixed"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

/** @see RFC 9112 section 6.3 */
export function bodyLength(method: string, head: ResponseHead): BodyLength {
  if (method === "HEAD" || head.status < 200 || head.status === 204 || head.status === 304) {
    return { kind: "none" };
  }
  const encoding = head.headers.get("transfer-encoding")?.toLowerCase();
  if (encoding !== undefined) {
    return encoding.endsWith("chunked") ? { kind: "chunked" } : { kind: "close" };
  }
  const length = head.headers.get("content-length");
  if (length === undefined) return { kind: "close" };
  if (!/^\d{1,15}$/.test(length)) throw malformed("its Content-Length is not a number");
  return length === "0" ? { kind: "none" } : { kind: "fixed", bytes: Number(length) };
}

/** The body's bytes as they arrive. Throws unavailable when the peer closes too early. */
export async function* readBody(
  channel: ByteChannel,
  length: BodyLength,
): AsyncGenerator<Uint8Array, void, void> {
  switch (length.kind) {
    case "none":
      return;
    case "fixed":
      yield* readExactly(channel, length.bytes);
      return;
    case "close":
      for (let chunk = await channel.read(); chunk !== null; chunk = await channel.read()) {
        yield chunk;
      }
      return;
    case "chunked":
      yield* readChunks(channel);
  }
}

async function* readExactly(
  channel: ByteChannel,
  bytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  let left = bytes;
  while (left > 0) {
    const chunk = await channel.read();
    if (chunk === null) throw cutOff();
    if (chunk.length > left) {
      channel.unread(chunk.subarray(left));
      yield chunk.subarray(0, left);
      return;
    }
    left -= chunk.length;
    yield chunk;
  }
}

async function* readChunks(channel: ByteChannel): AsyncGenerator<Uint8Array, void, void> {
  for (;;) {
    const line = await readLine(channel);
    const size = /^([0-9a-fA-F]{1,12})\s*(?:;|$)/.exec(line)?.[1];
    if (size === undefined) throw malformed("a chunk has no size");
    const bytes = Number.parseInt(size, 16);
    if (bytes === 0) break;
    yield* readExactly(channel, bytes);
    if ((await readLine(channel)) !== "") throw malformed("a chunk is longer than it says");
  }
  while ((await readLine(channel)) !== "") {
    // Trailers carry nothing that a client of an engine needs.
  }
}

async function readLine(channel: ByteChannel): Promise<string> {
  let text = "";
  for (;;) {
    const chunk = await channel.read();
    if (chunk === null) throw cutOff();
    const end = chunk.indexOf(10);
    if (end >= 0) {
      channel.unread(chunk.subarray(end + 1));
      text += Buffer.from(chunk.buffer, chunk.byteOffset, end).toString("latin1");
      return text.endsWith("\r") ? text.slice(0, -1) : text;
    }
    text += Buffer.from(chunk).toString("latin1");
    if (text.length > CHUNK_LINE_BYTES_MAX) throw malformed("a chunk's first line is too long");
  }
}

function malformed(why: string): NaruError {
  return new NaruError("unavailable", `malformed answer from the engine: ${why}`);
}

function cutOff(): NaruError {
  return new NaruError("unavailable", "the engine closed the connection within its answer");
}
