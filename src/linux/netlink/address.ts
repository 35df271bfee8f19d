import ipaddr from "ipaddr.js";
import {
  attribute,
  decodeAttributes,
  type NetlinkReply,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  u32Attribute,
} from "./message.ts";

/** Messages about addresses and routes of both families. @see rtnetlink(7) */
export const RTM_NEWADDR: number = 20;
export const RTM_GETADDR: number = 22;
export const RTM_NEWROUTE: number = 24;
export const RTM_GETROUTE: number = 26;
const RTM_DELROUTE = 25;

export const AF_INET: number = 2;
export const AF_INET6: number = 10;
const IFA_FLAGS = 8;
/** No search for duplicates: the address is of use at once, and ours alone. */
const IFA_F_NODAD = 0x02;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;

/** An address of a link, as text. */
export interface LinkAddress {
  readonly index: number;
  readonly address: string;
  readonly prefixLength: number;
}

/** A route of the main table. `gateway` is "" for what is directly connected. */
export interface Route {
  readonly destination: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly index: number;
}

/** struct ifaddrmsg { u8 family, u8 prefix, u8 flags, u8 scope, u32 index }, with broadcast for IPv4. */
export function newAddress(request: LinkAddress): NetlinkRequest {
  const family = familyOf(request.address);
  const header = Buffer.alloc(8);
  header.writeUInt8(family, 0);
  header.writeUInt8(request.prefixLength, 1);
  header.writeUInt32LE(request.index, 4);
  const address = addressBytes(request.address);
  const parts = [header, attribute(IFA_LOCAL, address), attribute(IFA_ADDRESS, address)];
  if (family === AF_INET6) parts.push(u32Attribute(IFA_FLAGS, IFA_F_NODAD));
  else if (request.prefixLength < 31) {
    const broadcast = Buffer.alloc(4);
    const hostMask = 0xffff_ffff >>> request.prefixLength;
    broadcast.writeUInt32BE((Buffer.from(address).readUInt32BE() | hostMask) >>> 0);
    parts.push(attribute(IFA_BROADCAST, broadcast));
  }
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, body: Buffer.concat(parts) };
}

/** struct rtmsg { u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags }. */
function routeHeader(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0, 0, 0, 0);
}

/** The default route of the gateway's family, in place of any there is. */
export function setDefaultRoute(gateway: string): NetlinkRequest {
  const gatewayAttribute = attribute(RTA_GATEWAY, addressBytes(gateway));
  const body = Buffer.concat([routeHeader(familyOf(gateway)), gatewayAttribute]);
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, body };
}

/** A default route through a link without a gateway (ipvlan in mode l3). */
export function setLinkRoute(family: number, index: number): NetlinkRequest {
  const body = Buffer.concat([routeHeader(family), u32Attribute(RTA_OIF, index)]);
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, body };
}

/** The default route goes. ESRCH: there is none. */
export function deleteDefaultRoute(family: number): NetlinkRequest {
  return { type: RTM_DELROUTE, flags: 0, body: routeHeader(family) };
}

/** Bodies of dumps. */
export function anyAddress(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0, 0, 0, 0, 0);
}

export function anyRoute(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

export function parseAddress(reply: NetlinkReply): LinkAddress {
  const family = reply.body.readUInt8(0);
  const attributes = decodeAttributes(reply.body.subarray(8));
  return {
    index: reply.body.readUInt32LE(4),
    address: addressText(family, attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)),
    prefixLength: reply.body.readUInt8(1),
  };
}

/** Undefined for a route of another table than main (local, broadcast). */
export function parseRoute(reply: NetlinkReply): Route | undefined {
  if (reply.body.readUInt8(4) !== RT_TABLE_MAIN) return undefined;
  const attributes = decodeAttributes(reply.body.subarray(12));
  const family = reply.body.readUInt8(0);
  const gateway = attributes.get(RTA_GATEWAY);
  return {
    destination: addressText(family, attributes.get(RTA_DST)),
    prefixLength: reply.body.readUInt8(1),
    gateway: gateway === undefined ? "" : addressText(family, gateway),
    index: attributes.get(RTA_OIF)?.readUInt32LE() ?? 0,
  };
}

function familyOf(address: string): number {
  return address.includes(":") ? AF_INET6 : AF_INET;
}

function addressBytes(text: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(text).toByteArray());
}

function addressText(family: number, data: Buffer | undefined): string {
  if (data === undefined) return family === AF_INET6 ? "::" : "0.0.0.0";
  return family === AF_INET6 ? ipaddr.fromByteArray([...data]).toString() : [...data].join(".");
}
