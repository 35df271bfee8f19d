import {
  attribute,
  decodeAttributes,
  type NetlinkReply,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_EXCL,
} from "./message.ts";

/** Messages about IPv4 addresses and routes. @see rtnetlink(7) */
export const RTM_NEWADDR: number = 20;
export const RTM_GETADDR: number = 22;
export const RTM_NEWROUTE: number = 24;
export const RTM_GETROUTE: number = 26;

const AF_INET = 2;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;

/** An IPv4 address of a link, as text. */
export interface LinkAddress {
  readonly index: number;
  readonly address: string;
  readonly prefixLength: number;
}

/** An IPv4 route of the main table. `gateway` is "" for what is directly connected. */
export interface Route {
  readonly destination: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly index: number;
}

/** struct ifaddrmsg { u8 family, u8 prefix, u8 flags, u8 scope, u32 index }, with broadcast. */
export function newAddress(request: LinkAddress): NetlinkRequest {
  const header = Buffer.alloc(8);
  header.writeUInt8(AF_INET, 0);
  header.writeUInt8(request.prefixLength, 1);
  header.writeUInt32LE(request.index, 4);
  const address = ipv4Bytes(request.address);
  const parts = [header, attribute(IFA_LOCAL, address), attribute(IFA_ADDRESS, address)];
  if (request.prefixLength < 31) {
    const broadcast = Buffer.alloc(4);
    const hostMask = 0xffff_ffff >>> request.prefixLength;
    broadcast.writeUInt32BE((Buffer.from(address).readUInt32BE() | hostMask) >>> 0);
    parts.push(attribute(IFA_BROADCAST, broadcast));
  }
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, body: Buffer.concat(parts) };
}

/** struct rtmsg { u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags }. */
export function newDefaultRoute(gateway: string): NetlinkRequest {
  const header = Uint8Array.of(
    AF_INET,
    0,
    0,
    0,
    RT_TABLE_MAIN,
    RTPROT_BOOT,
    0,
    RTN_UNICAST,
    0,
    0,
    0,
    0,
  );
  const body = Buffer.concat([header, attribute(RTA_GATEWAY, ipv4Bytes(gateway))]);
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_EXCL, body };
}

/** Bodies of dumps. */
export function anyAddress(): Uint8Array {
  return Uint8Array.of(AF_INET, 0, 0, 0, 0, 0, 0, 0);
}

export function anyRoute(): Uint8Array {
  return Uint8Array.of(AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

export function parseAddress(reply: NetlinkReply): LinkAddress {
  const attributes = decodeAttributes(reply.body.subarray(8));
  return {
    index: reply.body.readUInt32LE(4),
    address: ipv4Text(attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)),
    prefixLength: reply.body.readUInt8(1),
  };
}

/** Undefined for a route of another table than main (local, broadcast). */
export function parseRoute(reply: NetlinkReply): Route | undefined {
  if (reply.body.readUInt8(4) !== RT_TABLE_MAIN) return undefined;
  const attributes = decodeAttributes(reply.body.subarray(12));
  const gateway = attributes.get(RTA_GATEWAY);
  return {
    destination: ipv4Text(attributes.get(RTA_DST)),
    prefixLength: reply.body.readUInt8(1),
    gateway: gateway === undefined ? "" : ipv4Text(gateway),
    index: attributes.get(RTA_OIF)?.readUInt32LE() ?? 0,
  };
}

function ipv4Bytes(text: string): Uint8Array {
  return Uint8Array.from(text.split("."), Number);
}

function ipv4Text(data: Buffer | undefined): string {
  return data === undefined ? "0.0.0.0" : [...data].join(".");
}
