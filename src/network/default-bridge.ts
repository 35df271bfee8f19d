import { NaruError, newId } from "../base/mod.ts";
import type { NetworkKernel } from "../linux/mod.ts";
import type { Metadata } from "../storage/mod.ts";
import type { BridgeNetworkRules } from "./firewall/contract.ts";
import {
  containsIp,
  type IpFamily,
  type IpNetwork,
  ipText,
  needAddress,
  needNetwork,
  networkText,
  overlaps,
  parseCidr,
  parseIp,
} from "./ip-network.ts";
import { macForAddress, randomMac } from "./mac.ts";
import type { NetworkRow } from "./network-row.ts";
import { type AddressPool, checkUsable, chooseSubnet } from "./subnets.ts";

/** What the engine's options say of one family of the default bridge; "" where they say nothing. */
export interface BridgeFamily {
  /** Address with prefix length (`bip`); "" to choose one. */
  readonly address: string;
  /** Part of the subnet that containers' addresses are taken from. */
  readonly fixedCidr: string;
  /** Where containers' default routes go, in place of the bridge. */
  readonly gateway: string;
}

export interface BridgeOptions {
  /** Name of the link. */
  readonly bridge: string;
  readonly ipv4: BridgeFamily;
  /** Undefined: the default bridge has IPv4 alone. */
  readonly ipv6: BridgeFamily | undefined;
  /** Where a subnet is taken from that no option names; empty for Docker's own. */
  readonly addressPools: readonly AddressPool[];
  /** Bytes; 0 leaves 1500. */
  readonly mtu: number;
  readonly icc: boolean;
  readonly ipMasquerade: boolean;
  /** Where ports are published that name no address, "" for everywhere. */
  readonly publishAddress: string;
  /** RFC 3339: when a network that is not there yet begins. */
  readonly createdAt: string;
}

/** One family of the default bridge, as it is. */
export interface BridgeRange {
  readonly network: IpNetwork;
  /** The bridge's own. */
  readonly address: string;
  /** Part of the network that containers' addresses are taken from. */
  readonly pool: IpNetwork;
  /** Of containers: the bridge, or what the options name. */
  readonly gateway: string;
}

export interface DefaultBridge {
  readonly row: NetworkRow;
  readonly range4: BridgeRange;
  readonly range6: BridgeRange | undefined;
  readonly mtu: number;
}

const DEFAULT_MTU = 1500; // of Ethernet, as Docker

/** Finds or makes the bridge and its addresses. Idempotent. */
export async function startBridge(
  options: BridgeOptions,
  kernel: NetworkKernel,
  metadata: Metadata,
  former: NetworkRow | undefined,
): Promise<DefaultBridge> {
  const found = await findBridge(options.bridge, kernel);
  const taken = await takenNetworks(kernel);
  const choice = { options, found, taken, former };
  const range4 = chooseRange(4, options.ipv4, choice);
  const range6 = options.ipv6 && chooseRange(6, options.ipv6, choice);
  const row: NetworkRow = {
    id: former?.id ?? newId(),
    name: "bridge",
    driver: "bridge",
    createdAt: former?.createdAt ?? options.createdAt,
    link: options.bridge,
    address: range4.address,
    prefixLength: range4.network.prefixLength,
    ...(range6 && { address6: range6.address, prefixLength6: range6.network.prefixLength }),
    // A link that was there before us stays when we go. Ours, if a former run of this engine made it.
    madeByEngine:
      !found.exists || (former?.madeByEngine === true && former.link === options.bridge),
  };
  // First the record: a crash after it leaves a bridge that we know to be ours.
  await metadata.commit([{ table: "networks", key: "bridge", value: row }]);
  const link = await kernel.ensureBridge({
    name: options.bridge,
    macAddress: macForAddress(range4.address) ?? randomMac(),
    mtu: options.mtu || DEFAULT_MTU,
    fixedMtu: options.mtu !== 0 && row.madeByEngine === true,
    ipv4Address: range4.address,
    ipv4PrefixLength: range4.network.prefixLength,
    ipv6Address: range6?.address ?? "",
    ipv6PrefixLength: range6?.network.prefixLength ?? 0,
  });
  return { row, range4, range6, mtu: options.mtu || link.mtu };
}

interface Place {
  readonly address: bigint;
  readonly network: IpNetwork;
}

interface FoundBridge {
  readonly exists: boolean;
  readonly places: readonly Place[];
}

interface Choice {
  readonly options: BridgeOptions;
  readonly found: FoundBridge;
  readonly taken: readonly IpNetwork[];
  readonly former: NetworkRow | undefined;
}

async function findBridge(name: string, kernel: NetworkKernel): Promise<FoundBridge> {
  const link = (await kernel.links()).find((other) => other.name === name);
  if (link === undefined) return { exists: false, places: [] };
  const own = (await kernel.addresses()).filter(({ index }) => index === link.index);
  const places = own
    .flatMap(({ address, prefixLength }) => parseCidr(`${address}/${prefixLength}`) ?? [])
    .filter(({ network }) => !overlaps(network, LINK_LOCAL))
    .map(({ number, network }) => ({ address: number, network }));
  return { exists: true, places };
}

const LINK_LOCAL: IpNetwork = { family: 6, base: 0xfe80n << 112n, prefixLength: 10 }; // RFC 4291

function chooseRange(family: IpFamily, wanted: BridgeFamily, choice: Choice): BridgeRange {
  const names = family === 4 ? NAMES_4 : NAMES_6;
  const { address, network } = choosePlace(family, wanted, choice);
  const own = ipText(family, address);
  const pool = wanted.fixedCidr === "" ? network : needNetwork(wanted.fixedCidr, names.fixedCidr);
  if (!containsIp(network, pool.base) || pool.prefixLength < network.prefixLength) {
    const text = `${names.fixedCidr} ${wanted.fixedCidr} is not a part of ${networkText(network)}`;
    throw new NaruError(
      "invalid_argument",
      `${text}, the subnet of bridge ${choice.options.bridge}`,
    );
  }
  if (wanted.gateway !== "") needAddress(wanted.gateway, network, names.gateway);
  return { network, address: own, pool, gateway: wanted.gateway || own };
}

const NAMES_4 = { address: "bip", fixedCidr: "fixed-cidr", gateway: "default-gateway" };
const NAMES_6 = { address: "bip6", fixedCidr: "fixed-cidr-v6", gateway: "default-gateway-v6" };

function choosePlace(family: IpFamily, wanted: BridgeFamily, choice: Choice): Place {
  const { options, found, taken } = choice;
  const places = found.places.filter(({ network }) => network.family === family);
  const [existing] = places;
  if (wanted.address !== "") {
    const asked = parsePlace(family, wanted.address);
    if (existing === undefined || places.some(({ address }) => address === asked.address)) {
      return asked;
    }
    const names = family === 4 ? NAMES_4 : NAMES_6;
    const text = `bridge ${options.bridge} has address ${ipText(family, existing.address)}, ${names.address} asks for ${wanted.address}`;
    throw new NaruError("conflict", `${text}: remove the link, or start without ${names.address}`);
  }
  if (existing !== undefined) return existing;
  if (wanted.fixedCidr !== "") return firstOf(needNetwork(wanted.fixedCidr, "fixed-cidr"));
  return formerPlace(family, choice) ?? firstOf(chooseSubnet(family, taken, options.addressPools));
}

/** As it was when the host was last up, unless something else took it meanwhile. */
function formerPlace(family: IpFamily, { options, taken, former }: Choice): Place | undefined {
  if (former === undefined || former.link !== options.bridge) return undefined;
  const text =
    family === 4
      ? `${former.address}/${former.prefixLength}`
      : `${former.address6}/${former.prefixLength6}`;
  const kept = parseCidr(text);
  if (kept === undefined || taken.some((other) => overlaps(kept.network, other))) return undefined;
  return { address: kept.number, network: kept.network };
}

function firstOf(network: IpNetwork): Place {
  checkUsable(network);
  return { address: network.base + 1n, network };
}

/** `172.17.0.1/16`: an address and the network that it is in. Throws invalid_argument. */
function parsePlace(family: IpFamily, text: string): Place {
  const found = parseCidr(text);
  if (found !== undefined && found.network.family === family) {
    checkUsable(found.network);
    if (found.number !== found.network.base)
      return { address: found.number, network: found.network };
  }
  const [name, example] = family === 4 ? ["bip", "172.17.0.1/16"] : ["bip6", "fd00:1::1/64"];
  const want = `want address/prefix, as ${example}`;
  throw new NaruError("invalid_argument", `invalid ${name} "${text.slice(0, 100)}": ${want}`);
}

/** Networks that the host has an address in or a route to, the default route aside. */
export async function takenNetworks(kernel: NetworkKernel): Promise<IpNetwork[]> {
  const [addresses, routes] = await Promise.all([kernel.addresses(), kernel.routes()]);
  const texts = [
    ...addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    ...routes.map(({ destination, prefixLength }) => `${destination}/${prefixLength}`),
  ];
  return texts.flatMap((text) => {
    const network = parseCidr(text)?.network;
    return network === undefined || network.prefixLength === 0 ? [] : [network];
  });
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

type BridgeSettings = Omit<BridgeOptions, "createdAt">;

/** What the firewall is told of it. */
export function bridgeRules(bridge: DefaultBridge, options: BridgeSettings): BridgeNetworkRules {
  const side = (range: BridgeRange | undefined): BridgeNetworkRules["ipv4"] =>
    range && { subnet: networkText(range.network), gateway: range.address };
  return {
    networkId: bridge.row.id,
    link: options.bridge,
    ipv4: side(bridge.range4),
    ipv6: side(bridge.range6),
    internal: false,
    icc: options.icc,
    masquerade4: options.ipMasquerade,
    masquerade6: options.ipMasquerade,
    gatewayMode4: "nat",
    gatewayMode6: "nat",
    hostBinding4: "",
  };
}

/** What an inspect shows, in Docker's words. */
export function bridgeDriverOptions(
  bridge: DefaultBridge,
  options: BridgeSettings,
): Record<string, string> {
  return {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": String(options.icc),
    "com.docker.network.bridge.enable_ip_masquerade": String(options.ipMasquerade),
    "com.docker.network.bridge.host_binding_ipv4": options.publishAddress || "0.0.0.0",
    "com.docker.network.bridge.name": options.bridge,
    "com.docker.network.driver.mtu": String(bridge.mtu),
  };
}

/** Addresses that no container gets: the bridge's and the gateway's. */
export function ownAddresses(range: BridgeRange): ReadonlySet<bigint> {
  return new Set([range.address, range.gateway].flatMap((text) => parseIp(text)?.number ?? []));
}
