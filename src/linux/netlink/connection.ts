import { AF_INET, AF_INET6, addressBytes } from "../socket-address.ts";
import { attribute, decodeAttributes, type NetlinkReply, type NetlinkRequest } from "./message.ts";

/*
 * Entries of connection tracking. @see linux/netfilter/nfnetlink_conntrack.h
 */
const NFNL_SUBSYS_CTNETLINK = 1;
export const CONNECTION_GET: number = (NFNL_SUBSYS_CTNETLINK << 8) | 1;
const CONNECTION_DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | 2;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_DST: Readonly<Record<number, number>> = { [AF_INET]: 2, [AF_INET6]: 4 };
const CTA_IP_SRC: Readonly<Record<number, number>> = { [AF_INET]: 1, [AF_INET6]: 3 };
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const NLA_F_NESTED = 0x8000;
const HEADER_BYTES = 4; // struct nfgenmsg { u8 family, u8 version, be16 resource }

/** What of an entry says whether a published port stands behind it. */
export interface TrackedConnection {
  readonly family: number;
  readonly protocol: number;
  /** Where the client sent it. */
  readonly toAddress: Buffer;
  readonly toPort: number;
  /** Who answers. */
  readonly fromAddress: Buffer;
  readonly fromPort: number;
  /** Its attributes that name it in a deletion. */
  readonly name: readonly Uint8Array[];
}

/** Where a client may have sent packets of a port, or who answered them. */
export interface TrackedPort {
  /** Of IPPROTO_: 17 is udp. */
  readonly protocol: number;
  /** `0.0.0.0` and `::` stand for every address of their family. */
  readonly hostAddress: string;
  readonly hostPort: number;
  /** "" where none is known. */
  readonly containerAddress: string;
  readonly containerPort: number;
}

/** The body of a question for all entries of a family. */
export function connectionsOf(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0);
}

/** undefined for an entry without ports. */
export function parseConnection(reply: NetlinkReply): TrackedConnection | undefined {
  const family = reply.body[0] ?? 0;
  const parts = decodeAttributes(reply.body.subarray(HEADER_BYTES));
  const original = parts.get(CTA_TUPLE_ORIG);
  const answer = parts.get(CTA_TUPLE_REPLY);
  const zone = parts.get(CTA_ZONE);
  if (original === undefined || answer === undefined) return undefined;
  const to = tuple(original, CTA_IP_DST[family], CTA_PROTO_DST_PORT);
  const from = tuple(answer, CTA_IP_SRC[family], CTA_PROTO_SRC_PORT);
  if (to === undefined || from === undefined) return undefined;
  return {
    family,
    protocol: to.protocol,
    toAddress: to.address,
    toPort: to.port,
    fromAddress: from.address,
    fromPort: from.port,
    name: [
      attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, Buffer.from(original)),
      ...(zone === undefined ? [] : [attribute(CTA_ZONE, Buffer.from(zone))]),
    ],
  };
}

function tuple(
  bytes: Buffer,
  addressType: number | undefined,
  portType: number,
): { protocol: number; address: Buffer; port: number } | undefined {
  const parts = decodeAttributes(bytes);
  const ip = parts.get(CTA_TUPLE_IP);
  const transport = parts.get(CTA_TUPLE_PROTO);
  if (ip === undefined || transport === undefined || addressType === undefined) return undefined;
  const address = decodeAttributes(ip).get(addressType);
  const protocol = decodeAttributes(transport);
  const number = protocol.get(CTA_PROTO_NUM)?.[0];
  const port = protocol.get(portType)?.readUInt16BE(0);
  if (address === undefined || number === undefined || port === undefined) return undefined;
  return { protocol: number, address: Buffer.from(address), port };
}

export function deleteConnection(connection: TrackedConnection): NetlinkRequest {
  const header = Uint8Array.of(connection.family, 0, 0, 0);
  return { type: CONNECTION_DELETE, flags: 0, body: Buffer.concat([header, ...connection.name]) };
}

/** Was the connection for this port when it began, or is it answered by its container? */
export function isOfPort(connection: TrackedConnection, port: TrackedPort): boolean {
  if (connection.protocol !== port.protocol) return false;
  const host = addressBytes(port.hostAddress);
  const sameFamily = host.byteLength === connection.toAddress.byteLength;
  const any = host.every((byte) => byte === 0);
  if (
    sameFamily &&
    connection.toPort === port.hostPort &&
    (any || connection.toAddress.equals(host))
  ) {
    return true;
  }
  if (port.containerAddress === "" || connection.fromPort !== port.containerPort) return false;
  return connection.fromAddress.equals(addressBytes(port.containerAddress));
}
