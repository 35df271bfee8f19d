import {
  attribute,
  decodeAttributes,
  type NetlinkReply,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_EXCL,
  nestedAttribute,
  textAttribute,
  textOf,
  u8Attribute,
  u32Attribute,
} from "./message.ts";

/** Messages about links. @see rtnetlink(7), linux/if_link.h */
export const RTM_NEWLINK: number = 16;
export const RTM_DELLINK: number = 17;
export const RTM_GETLINK: number = 18;
const RTM_SETLINK = 19;

const AF_BRIDGE = 7;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_PROTINFO = 12;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_VLAN_ID = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;

/** Bytes and packets since the link was made, seen from the link itself. */
export interface LinkCounters {
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  /** Index of the bridge that it is a port of, or 0. */
  readonly master: number;
  /** `bridge`, `veth`, ...; "" for hardware and loopback. */
  readonly kind: string;
  readonly macAddress: string;
  readonly mtu: number;
  readonly counters: LinkCounters | undefined;
}

/** struct ifinfomsg { u8 family, u8 0, u16 type, i32 index, u32 flags, u32 change }. */
function linkHeader(options: { family?: number; index?: number; up?: boolean } = {}): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(options.family ?? 0, 0);
  bytes.writeInt32LE(options.index ?? 0, 4);
  if (options.up === true) {
    bytes.writeUInt32LE(IFF_UP, 8);
    bytes.writeUInt32LE(IFF_UP, 12);
  }
  return bytes;
}

export interface VethRequest {
  readonly name: string;
  readonly masterIndex: number;
  readonly mtu: number;
  readonly peer: {
    readonly name: string;
    readonly macAddress: string;
    readonly namespaceFd: number;
  };
}

/** A pair: our end up and in a bridge, the other made in another namespace from the start. */
export function newVeth(request: VethRequest): NetlinkRequest {
  const mtu = u32Attribute(IFLA_MTU, request.mtu);
  const peer = [
    linkHeader(),
    textAttribute(IFLA_IFNAME, request.peer.name),
    mtu,
    attribute(IFLA_ADDRESS, macBytes(request.peer.macAddress)),
    u32Attribute(IFLA_NET_NS_FD, request.peer.namespaceFd),
  ];
  const body = Buffer.concat([
    linkHeader({ up: true }),
    textAttribute(IFLA_IFNAME, request.name),
    mtu,
    u32Attribute(IFLA_MASTER, request.masterIndex),
    nestedAttribute(
      IFLA_LINKINFO,
      textAttribute(IFLA_INFO_KIND, "veth"),
      nestedAttribute(IFLA_INFO_DATA, nestedAttribute(VETH_INFO_PEER, ...peer)),
    ),
  ]);
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body };
}

/** A bridge, up. Its address is set, so that it does not change with the ports. */
export function newBridge(
  name: string,
  macAddress: string,
  mtu: number | undefined,
): NetlinkRequest {
  const body = Buffer.concat([
    linkHeader({ up: true }),
    textAttribute(IFLA_IFNAME, name),
    attribute(IFLA_ADDRESS, macBytes(macAddress)),
    ...(mtu === undefined ? [] : [u32Attribute(IFLA_MTU, mtu)]),
    nestedAttribute(IFLA_LINKINFO, textAttribute(IFLA_INFO_KIND, "bridge")),
  ]);
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body };
}

/** A link of a container that shares its parent's wire. @see linux/if_link.h, macvlan and ipvlan */
export type SharedLinkKind =
  | { readonly kind: "macvlan"; readonly mode: keyof typeof MACVLAN_MODES }
  | {
      readonly kind: "ipvlan";
      readonly mode: keyof typeof IPVLAN_MODES;
      readonly flag: keyof typeof IPVLAN_FLAGS;
    };

const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;

export interface SharedLinkRequest {
  readonly name: string;
  readonly parentIndex: number;
  readonly shared: SharedLinkKind;
  /** "" where the parent's is used (ipvlan). */
  readonly macAddress: string;
  readonly mtu: number;
  readonly namespaceFd: number;
}

/** Made in another namespace from the start. */
export function newSharedLink(request: SharedLinkRequest): NetlinkRequest {
  const { shared } = request;
  const data =
    shared.kind === "macvlan"
      ? [u32Attribute(IFLA_MACVLAN_MODE, MACVLAN_MODES[shared.mode])]
      : [
          u16Attribute(IFLA_IPVLAN_MODE, IPVLAN_MODES[shared.mode]),
          u16Attribute(IFLA_IPVLAN_FLAGS, IPVLAN_FLAGS[shared.flag]),
        ];
  const body = Buffer.concat([
    linkHeader(),
    textAttribute(IFLA_IFNAME, request.name),
    u32Attribute(IFLA_LINK, request.parentIndex),
    ...(request.mtu === 0 ? [] : [u32Attribute(IFLA_MTU, request.mtu)]),
    ...(request.macAddress === "" ? [] : [attribute(IFLA_ADDRESS, macBytes(request.macAddress))]),
    u32Attribute(IFLA_NET_NS_FD, request.namespaceFd),
    nestedAttribute(
      IFLA_LINKINFO,
      textAttribute(IFLA_INFO_KIND, shared.kind),
      nestedAttribute(IFLA_INFO_DATA, ...data),
    ),
  ]);
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body };
}

/** The VLAN `id` of a link, up. @see ip-link(8) vlan */
export function newVlan(name: string, parentIndex: number, id: number): NetlinkRequest {
  const body = Buffer.concat([
    linkHeader({ up: true }),
    textAttribute(IFLA_IFNAME, name),
    u32Attribute(IFLA_LINK, parentIndex),
    nestedAttribute(
      IFLA_LINKINFO,
      textAttribute(IFLA_INFO_KIND, "vlan"),
      nestedAttribute(IFLA_INFO_DATA, u16Attribute(IFLA_VLAN_ID, id)),
    ),
  ]);
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body };
}

/** A parent that leads nowhere: its containers reach each other alone. */
export function newDummy(name: string): NetlinkRequest {
  const body = Buffer.concat([
    linkHeader({ up: true }),
    textAttribute(IFLA_IFNAME, name),
    nestedAttribute(IFLA_LINKINFO, textAttribute(IFLA_INFO_KIND, "dummy")),
  ]);
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, body };
}

function u16Attribute(type: number, value: number): Uint8Array {
  const data = Buffer.alloc(2);
  data.writeUInt16LE(value);
  return attribute(type, data);
}

export function linkUp(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader({ up: true }), textAttribute(IFLA_IFNAME, name)]);
  return { type: RTM_NEWLINK, flags: 0, body };
}

/**
 * A bridge keeps its MTU when ports with others come and go only if it was changed to it after it was
 * made (BROPT_MTU_SET_BY_USER).
 */
export function setLinkMtu(name: string, mtu: number): NetlinkRequest {
  const attributes = [textAttribute(IFLA_IFNAME, name), u32Attribute(IFLA_MTU, mtu)];
  return { type: RTM_NEWLINK, flags: 0, body: Buffer.concat([linkHeader(), ...attributes]) };
}

/** An isolated port reaches no other isolated port of its bridge, only the bridge itself. */
export function isolatePort(index: number): NetlinkRequest {
  return setPort(index, IFLA_BRPORT_ISOLATED);
}

/** What came by the port may leave by it, as a packet that a container sends to its own published port. */
export function hairpinPort(index: number): NetlinkRequest {
  return setPort(index, IFLA_BRPORT_MODE);
}

function setPort(index: number, flag: number): NetlinkRequest {
  const body = Buffer.concat([
    linkHeader({ family: AF_BRIDGE, index }),
    nestedAttribute(IFLA_PROTINFO, u8Attribute(flag, 1)),
  ]);
  return { type: RTM_SETLINK, flags: 0, body };
}

export function deleteLink(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader(), textAttribute(IFLA_IFNAME, name)]);
  return { type: RTM_DELLINK, flags: 0, body };
}

export function getLink(name: string): NetlinkRequest {
  const body = Buffer.concat([linkHeader(), textAttribute(IFLA_IFNAME, name)]);
  return { type: RTM_GETLINK, flags: 0, body };
}

/** Body of a dump of all links. */
export function anyLink(): Uint8Array {
  return linkHeader();
}

export function parseLink(reply: NetlinkReply): Link {
  const attributes = decodeAttributes(reply.body.subarray(16));
  const info = attributes.get(IFLA_LINKINFO);
  return {
    index: reply.body.readInt32LE(4),
    name: textOf(attributes.get(IFLA_IFNAME)),
    up: (reply.body.readUInt32LE(8) & IFF_UP) !== 0,
    master: attributes.get(IFLA_MASTER)?.readUInt32LE() ?? 0,
    kind: info === undefined ? "" : textOf(decodeAttributes(info).get(IFLA_INFO_KIND)),
    macAddress: macText(attributes.get(IFLA_ADDRESS)),
    mtu: attributes.get(IFLA_MTU)?.readUInt32LE() ?? 0,
    counters: parseCounters(attributes.get(IFLA_STATS64)),
  };
}

/** struct rtnl_link_stats64: u64 packets, bytes, errors, dropped, each first received, then sent. */
function parseCounters(data: Buffer | undefined): LinkCounters | undefined {
  if (data === undefined || data.byteLength < 64) return undefined;
  const at = (index: number): number => Number(data.readBigUInt64LE(index * 8));
  return {
    rxPackets: at(0),
    txPackets: at(1),
    rxBytes: at(2),
    txBytes: at(3),
    rxErrors: at(4),
    txErrors: at(5),
    rxDropped: at(6),
    txDropped: at(7),
  };
}

export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (pair) => Number.parseInt(pair, 16));
}

function macText(data: Buffer | undefined): string {
  return [...(data ?? [])].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
