import { assert } from "../../base/mod.ts";

/** One netlink message without its header. @see netlink(7) */
export interface NetlinkRequest {
  readonly type: number;
  /** Beyond NLM_F_REQUEST, which is always added. */
  readonly flags: number;
  readonly body: Uint8Array;
}

export interface NetlinkReply {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: Buffer;
}

export const NLM_F_REQUEST: number = 0x1;
export const NLM_F_ACK: number = 0x4;
export const NLM_F_DUMP_INTR: number = 0x10;
export const NLM_F_DUMP: number = 0x300;
export const NLM_F_REPLACE: number = 0x100;
export const NLM_F_EXCL: number = 0x200;
export const NLM_F_CREATE: number = 0x400;
export const NLMSG_ERROR: number = 2;
export const NLMSG_DONE: number = 3;

const HEADER_BYTES = 16;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff; // without the nested and byte-order marks

/** Header { u32 length, u16 type, u16 flags, u32 sequence, u32 port } and body, padded to 4. */
export function encodeMessage(request: NetlinkRequest, sequence: number): Uint8Array {
  const length = HEADER_BYTES + request.body.byteLength;
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(request.type, 4);
  bytes.writeUInt16LE(request.flags | NLM_F_REQUEST, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(request.body, HEADER_BYTES);
  return bytes;
}

/** All messages of one datagram. What the kernel sends is trusted to be whole. */
export function decodeMessages(datagram: Buffer): NetlinkReply[] {
  const messages: NetlinkReply[] = [];
  for (let start = 0; start + HEADER_BYTES <= datagram.byteLength; ) {
    const length = datagram.readUInt32LE(start);
    assert(length >= HEADER_BYTES && start + length <= datagram.byteLength, "netlink length");
    messages.push({
      type: datagram.readUInt16LE(start + 4),
      flags: datagram.readUInt16LE(start + 6),
      sequence: datagram.readUInt32LE(start + 8),
      body: datagram.subarray(start + HEADER_BYTES, start + length),
    });
    start += align(length);
  }
  return messages;
}

/** Attribute { u16 length, u16 type, data }, padded to 4. */
export function attribute(type: number, data: Uint8Array): Uint8Array {
  const length = 4 + data.byteLength;
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(data, 4);
  return bytes;
}

export function textAttribute(type: number, text: string): Uint8Array {
  return attribute(type, Buffer.from(`${text}\0`));
}

export function u32Attribute(type: number, value: number): Uint8Array {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(value);
  return attribute(type, data);
}

export function u8Attribute(type: number, value: number): Uint8Array {
  return attribute(type, Uint8Array.of(value));
}

export function nestedAttribute(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, Buffer.concat(parts));
}

/** Attributes by type; of several of one type the last. */
export function decodeAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let start = 0; start + 4 <= bytes.byteLength; ) {
    const length = bytes.readUInt16LE(start);
    assert(length >= 4 && start + length <= bytes.byteLength, "netlink attribute length");
    const type = bytes.readUInt16LE(start + 2) & NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(start + 4, start + length));
    start += align(length);
  }
  return attributes;
}

/** A text attribute without its NUL. */
export function textOf(data: Buffer | undefined): string {
  if (data === undefined) return "";
  const end = data.indexOf(0);
  return data.toString("utf8", 0, end === -1 ? data.byteLength : end);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
