import type { SharedLinkKind } from "../linux/mod.ts";
import { type BridgeRange, type DefaultBridge, ownAddresses } from "./default-bridge.ts";
import { parseBridgeOptions, parseSharedOptions } from "./driver-options.ts";
import type { BridgeNetworkRules } from "./firewall/contract.ts";
import { type IpNetwork, needNetwork, parseIp } from "./ip-network.ts";
import type { NetworkRange, NetworkRow, UserNetwork } from "./network-row.ts";

/** Addresses of one family that a network gives away. */
export interface AddressRange {
  readonly network: IpNetwork;
  /** The part of it that addresses are taken from. */
  readonly pool: IpNetwork;
  /** "" without. */
  readonly gateway: string;
  /** Never given away: the gateway and the auxiliary addresses. */
  readonly excluded: ReadonlySet<bigint>;
  /** Addresses may be asked for. */
  readonly asked: boolean;
}

/** A network that containers can be on, as its endpoints see it. */
export interface ActiveNetwork {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  /** The bridge, or the parent of macvlan and ipvlan. */
  readonly link: string;
  readonly shared: SharedLinkKind | undefined;
  /** Bytes; 0: the link's own. */
  readonly mtu: number;
  readonly icc: boolean;
  /** Nothing leads out: no default route. */
  readonly internal: boolean;
  readonly interfacePrefix: string;
  readonly range4: AddressRange | undefined;
  readonly range6: AddressRange | undefined;
  /** Names are answered on it. */
  readonly named: boolean;
}

export function activeDefault(
  bridge: DefaultBridge,
  options: { readonly icc: boolean },
): ActiveNetwork {
  const { row, range6 } = bridge;
  return {
    ...{ id: row.id, name: "bridge", driver: "bridge", link: row.link ?? "", shared: undefined },
    ...{ mtu: bridge.mtu, icc: options.icc, internal: false, interfacePrefix: "eth", named: false },
    range4: bridgeRange(bridge.range4),
    range6: range6 && bridgeRange(range6),
  };
}

function bridgeRange(range: BridgeRange): AddressRange {
  const { network, pool, gateway } = range;
  return { network, pool, gateway, excluded: ownAddresses(range), asked: false };
}

/** Undefined for what no container can be on. */
export function activeUser(row: NetworkRow, user: UserNetwork): ActiveNetwork | undefined {
  if (user.configOnly) return undefined;
  const common = {
    ...{ id: row.id, name: row.name, driver: row.driver, link: row.link ?? "", named: true },
    internal: user.internal,
    range4: rangeOf(user.ranges.find(({ family }) => family === 4)),
    range6: rangeOf(user.ranges.find(({ family }) => family === 6)),
  };
  if (row.driver === "bridge") {
    const { mtu, icc, interfacePrefix } = parseBridgeOptions(user.options);
    return { ...common, shared: undefined, mtu, icc, interfacePrefix };
  }
  if (row.driver !== "macvlan" && row.driver !== "ipvlan") return undefined;
  const { shared, mtu } = parseSharedOptions(row.driver, user.options);
  return { ...common, shared, mtu, icc: true, interfacePrefix: "eth" };
}

function rangeOf(range: NetworkRange | undefined): AddressRange | undefined {
  if (range === undefined) return undefined;
  const network = needNetwork(range.subnet, "subnet");
  const excluded = [range.gateway, ...Object.values(range.auxiliary)];
  return {
    network,
    pool: range.ipRange === "" ? network : needNetwork(range.ipRange, "ip-range"),
    gateway: range.gateway,
    excluded: new Set(excluded.flatMap((text) => parseIp(text)?.number ?? [])),
    asked: range.asked,
  };
}

/** What the firewall is told of a user's bridge. */
export function userRules(row: NetworkRow, user: UserNetwork): BridgeNetworkRules {
  const options = parseBridgeOptions(user.options);
  const side = (family: 4 | 6): BridgeNetworkRules["ipv4"] => {
    const range = user.ranges.find((one) => one.family === family);
    return range === undefined ? undefined : { subnet: range.subnet, gateway: range.gateway };
  };
  return {
    networkId: row.id,
    link: row.link ?? "",
    ipv4: side(4),
    ipv6: side(6),
    internal: user.internal,
    icc: options.icc,
    masquerade4: options.masquerade,
    masquerade6: options.masquerade,
    gatewayMode4: options.gatewayMode4,
    gatewayMode6: options.gatewayMode6,
    hostBinding4: options.hostBinding4,
  };
}
