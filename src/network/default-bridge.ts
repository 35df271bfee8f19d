import { NaruError, newId } from "../base/mod.ts";
import { type NetworkKernel, readSysctl, writeSysctl } from "../linux/mod.ts";
import type { Metadata } from "../storage/mod.ts";
import { joinDockerChain, leaveDockerChain } from "./docker-chain.ts";
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
import { applyRuleset, listRules } from "./nft.ts";
import { chooseNetwork } from "./pool.ts";
import { bridgeRuleset, deleteTable, GUARD_TABLE, guardRuleset, leaveGuard } from "./rules.ts";

export interface BridgeOptions {
  /** Name of the link. */
  readonly bridge: string;
  /** Address with prefix length, or "" to choose one. */
  readonly bip: string;
  /** Bytes; 0 leaves 1500. */
  readonly mtu: number;
  readonly icc: boolean;
  readonly ipMasquerade: boolean;
  readonly ipForward: boolean;
  /** Drop forwarding that is nobody's when the engine had to switch forwarding on. */
  readonly ipForwardDrop: boolean;
  readonly table: string;
  /** RFC 3339: when a network that is not there yet begins. */
  readonly createdAt: string;
}

/** A row of the `networks` table. */
export interface NetworkRow {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  /** RFC 3339 with nanoseconds; rows of older engines lack it. */
  readonly createdAt?: string;
  /** Only of bridges: the link, its address, and whether it is ours to remove. */
  readonly link?: string;
  readonly address?: string;
  readonly prefixLength?: number;
  readonly madeByEngine?: boolean;
}

export interface DefaultBridge {
  readonly row: NetworkRow;
  readonly network: Ipv4Network;
  readonly gateway: number;
  readonly mtu: number;
}

const DEFAULT_MTU = 1500; // of Ethernet, as Docker
const FORWARDING = "net.ipv4.ip_forward";

/** Finds or makes the bridge and its address, then rules, then forwarding. Idempotent. */
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
  });
  await applyRuleset(
    bridgeRuleset({
      table: options.table,
      bridge: options.bridge,
      subnet: networkText(network),
      icc: options.icc,
      masquerade: options.ipMasquerade,
    }),
  );
  await joinDockerChain(options.bridge, options.table);
  if (options.ipForward) await startForwarding(options);
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
    .filter(([, prefixLength]) => prefixLength > 0)
    .map(([address, prefixLength]) => networkOf(ipv4Number(address) ?? 0, prefixLength));
}

/** The guard is there before forwarding is on, so the host is no router for an instant. */
async function startForwarding(options: BridgeOptions): Promise<void> {
  const off = readSysctl(FORWARDING) === "0";
  const guarded = (await listRules("table", GUARD_TABLE)) !== undefined;
  if (guarded || (off && options.ipForwardDrop)) await applyRuleset(guardRuleset(options.bridge));
  if (off) writeSysctl(FORWARDING, "1");
}

/** The inverse of startBridge. A bridge that we did not make stays. */
export async function removeBridge(
  row: NetworkRow,
  table: string,
  kernel: NetworkKernel,
  metadata: Metadata,
): Promise<void> {
  await leaveDockerChain(table);
  await applyRuleset(deleteTable(table));
  if (row.link !== undefined) {
    await leaveForwarding(row.link);
    if (row.madeByEngine === true) await kernel.deleteLinks([row.link]);
  }
  await metadata.commit([{ table: "networks", key: "bridge", value: undefined }]);
}

/** The last engine to leave switches forwarding off again: the guard says that naru switched it on. */
async function leaveForwarding(bridge: string): Promise<void> {
  const before = await listRules("set", GUARD_TABLE, "bridges");
  if (before === undefined) return;
  if (before.includes(`"${bridge}"`)) await applyRuleset(leaveGuard(bridge));
  const after = await listRules("set", GUARD_TABLE, "bridges");
  if (after?.includes("elements") === true) return;
  writeSysctl(FORWARDING, "0");
  await applyRuleset(deleteTable(GUARD_TABLE));
}
