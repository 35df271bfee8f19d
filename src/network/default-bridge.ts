import { NaruError, newId } from "../base/mod.ts";
import type { NetworkKernel } from "../linux/mod.ts";
import type { Metadata } from "../storage/mod.ts";
import type { BridgeNetworkRules } from "./firewall/contract.ts";
import {
  type Ipv4Network,
  ipv4Number,
  ipv4Text,
  macForAddress,
  networkOf,
  networksOverlap,
  networkText,
  parseIpv4Cidr,
} from "./ipv4.ts";
import type { NetworkRow } from "./network-row.ts";
import { chooseNetwork } from "./pool.ts";

export interface BridgeOptions {
  /** Name of the link. */
  readonly bridge: string;
  /** Address with prefix length, or "" to choose one. */
  readonly bip: string;
  /** Bytes; 0 leaves 1500. */
  readonly mtu: number;
  readonly icc: boolean;
  readonly ipMasquerade: boolean;
  /** RFC 3339: when a network that is not there yet begins. */
  readonly createdAt: string;
}

export interface DefaultBridge {
  readonly row: NetworkRow;
  readonly network: Ipv4Network;
  readonly gateway: number;
  readonly mtu: number;
}

const DEFAULT_MTU = 1500; // of Ethernet, as Docker

/** Finds or makes the bridge and its address. Idempotent. */
export async function startBridge(
  options: BridgeOptions,
  kernel: NetworkKernel,
  metadata: Metadata,
  former: NetworkRow | undefined,
): Promise<DefaultBridge> {
  const found = await findBridge(options.bridge, kernel);
  const { address, network } = await chooseAddress(options, kernel, former, found);
  const row: NetworkRow = {
    id: former?.id ?? newId(),
    name: "bridge",
    driver: "bridge",
    createdAt: former?.createdAt ?? options.createdAt,
    link: options.bridge,
    address: ipv4Text(address),
    prefixLength: network.prefixLength,
    // A link that was there before us stays when we go. Ours, if a former run of this engine made it.
    madeByEngine:
      !found.exists || (former?.madeByEngine === true && former.link === options.bridge),
  };
  // First the record: a crash after it leaves a bridge that we know to be ours.
  await metadata.commit([{ table: "networks", key: "bridge", value: row }]);
  const link = await kernel.ensureBridge({
    name: options.bridge,
    macAddress: macForAddress(address),
    mtu: options.mtu || DEFAULT_MTU,
    fixedMtu: options.mtu !== 0 && row.madeByEngine === true,
    ipv4Address: ipv4Text(address),
    ipv4PrefixLength: network.prefixLength,
    ipv6Address: "",
    ipv6PrefixLength: 0,
  });
  return { row, network, gateway: address, mtu: options.mtu || link.mtu };
}

interface FoundBridge {
  readonly exists: boolean;
  readonly addresses: readonly { readonly address: number; readonly network: Ipv4Network }[];
}

async function findBridge(name: string, kernel: NetworkKernel): Promise<FoundBridge> {
  const link = (await kernel.links()).find((other) => other.name === name);
  if (link === undefined) return { exists: false, addresses: [] };
  const all = await kernel.addresses();
  const own = all.filter(({ index }) => index === link.index);
  return {
    exists: true,
    addresses: own.map(({ address, prefixLength }) => {
      const number = ipv4Number(address) ?? 0;
      return { address: number, network: networkOf(number, prefixLength) };
    }),
  };
}

async function chooseAddress(
  options: BridgeOptions,
  kernel: NetworkKernel,
  former: NetworkRow | undefined,
  found: FoundBridge,
): Promise<{ readonly address: number; readonly network: Ipv4Network }> {
  const existing = found.addresses[0];
  if (options.bip !== "") {
    const wanted = parseIpv4Cidr(options.bip, "bip");
    if (
      existing === undefined ||
      found.addresses.some(({ address }) => address === wanted.address)
    ) {
      return wanted;
    }
    const text = `bridge ${options.bridge} has address ${ipv4Text(existing.address)}, bip asks for ${options.bip}`;
    throw new NaruError("conflict", `${text}: remove the link, or start without bip`);
  }
  if (existing !== undefined) return existing;
  const taken = await takenNetworks(kernel);
  if (former?.link === options.bridge && former.address !== undefined) {
    const kept = parseIpv4Cidr(`${former.address}/${former.prefixLength}`, "recorded address");
    if (!taken.some((other) => networksOverlap(kept.network, other))) return kept;
  }
  const network = chooseNetwork(taken);
  return { address: network.base + 1, network };
}

/** Networks that the host has an address in or a route to, the default route aside. */
async function takenNetworks(kernel: NetworkKernel): Promise<Ipv4Network[]> {
  const [addresses, routes] = await Promise.all([kernel.addresses(), kernel.routes()]);
  const pairs = [
    ...addresses.map(({ address, prefixLength }) => [address, prefixLength] as const),
    ...routes.map(({ destination, prefixLength }) => [destination, prefixLength] as const),
  ];
  return pairs
    .filter(([address, prefixLength]) => prefixLength > 0 && !address.includes(":"))
    .map(([address, prefixLength]) => networkOf(ipv4Number(address) ?? 0, prefixLength));
}

/** The inverse of startBridge. A bridge that we did not make stays. */
export async function removeBridge(
  row: NetworkRow,
  kernel: NetworkKernel,
  metadata: Metadata,
): Promise<void> {
  if (row.link !== undefined && row.madeByEngine === true) await kernel.deleteLinks([row.link]);
  await metadata.commit([{ table: "networks", key: "bridge", value: undefined }]);
}

/** What the firewall is told of it. */
export function bridgeRules(bridge: DefaultBridge, options: BridgeOptions): BridgeNetworkRules {
  return {
    networkId: bridge.row.id,
    link: options.bridge,
    ipv4: { subnet: networkText(bridge.network), gateway: ipv4Text(bridge.gateway) },
    ipv6: undefined,
    internal: false,
    icc: options.icc,
    masquerade4: options.ipMasquerade,
    masquerade6: options.ipMasquerade,
    gatewayMode4: "nat",
    gatewayMode6: "nat",
    hostBinding4: "",
  };
}
