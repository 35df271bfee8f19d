import { randomBytes } from "node:crypto";
import { NaruError } from "../base/mod.ts";
import {
  bitsOf,
  type IpNetwork,
  ipText,
  needNetwork,
  networkText,
  overlaps,
  parseCidr,
  sizeOf,
} from "./ip-network.ts";

/** Where subnets are taken from: a network that is cut into parts of one size. */
export interface AddressPool {
  readonly base: string;
  readonly size: number;
}

/** Docker's own, in its order. */
const DEFAULT_POOLS: readonly AddressPool[] = [
  { base: "172.17.0.0/16", size: 16 },
  { base: "172.18.0.0/16", size: 16 },
  { base: "172.19.0.0/16", size: 16 },
  { base: "172.20.0.0/14", size: 16 },
  { base: "172.24.0.0/14", size: 16 },
  { base: "172.28.0.0/14", size: 16 },
  { base: "192.168.0.0/16", size: 20 },
];

const PARTS_MAX = 65_536n; // of one pool; more than that many networks are on no host

/** The first part of the pools that touches none of `taken`. Throws exhausted in Docker's words. */
export function chooseSubnet(
  family: 4 | 6,
  taken: readonly IpNetwork[],
  pools: readonly AddressPool[],
): IpNetwork {
  const own = pools.filter(({ base }) => base.includes(":") === (family === 6));
  const from = own.length > 0 ? own : family === 4 ? DEFAULT_POOLS : [ownPool6()];
  for (const { base, size } of from) {
    const pool = parseCidr(base)?.network ?? needNetwork(base, "address pool"); // which throws
    const parts = 1n << BigInt(size - pool.prefixLength);
    const step = 1n << BigInt(bitsOf(family) - size);
    for (let part = 0n; part < parts && part < PARTS_MAX; part += 1n) {
      const network = { family, base: pool.base + part * step, prefixLength: size };
      if (!taken.some((other) => overlaps(network, other))) return network;
    }
  }
  throw new NaruError(
    "exhausted",
    "could not find an available, non-overlapping address pool among the defaults to assign to the network: name a subnet, or add to default-address-pools",
  );
}

/** A unique local /48 at random, as RFC 4193 wants it. */
function ownPool6(): AddressPool {
  const global = randomBytes(5).toString("hex");
  const groups = [`fd${global.slice(0, 2)}`, global.slice(2, 6), global.slice(6, 10)];
  return { base: networkText(needNetwork(`${canonical(groups.join(":"))}/48`, "pool")), size: 64 };
}

function canonical(prefix: string): string {
  return ipText(6, BigInt(`0x${prefix.replaceAll(":", "")}`) << 80n);
}

/** Throws invalid_argument for a subnet that no network can be made of. */
export function checkUsable(network: IpNetwork): void {
  if (sizeOf(network) >= 4n) return; // a gateway and a container, at least
  throw new NaruError(
    "invalid_argument",
    `invalid subnet ${networkText(network)}: it has no room for a gateway and a container`,
  );
}

/** Throws invalid_argument in Docker's words. */
export function checkFree(network: IpNetwork, taken: readonly IpNetwork[]): void {
  const other = taken.find((one) => overlaps(network, one));
  if (other === undefined) return;
  throw new NaruError(
    "forbidden",
    `invalid pool request: Pool overlaps with other one on this address space (${networkText(network)} with ${networkText(other)})`,
  );
}
