import { NaruError } from "../base/mod.ts";
import { type Ipv4Network, ipv4Number, networkOf, networksOverlap } from "./ipv4.ts";

/** Docker's default address pools, in its order: base, prefix of the pool, prefix of one network. */
const DEFAULT_POOLS: readonly (readonly [string, number, number])[] = [
  ["172.17.0.0", 16, 16],
  ["172.18.0.0", 16, 16],
  ["172.19.0.0", 16, 16],
  ["172.20.0.0", 14, 16],
  ["172.24.0.0", 14, 16],
  ["172.28.0.0", 14, 16],
  ["192.168.0.0", 16, 20],
];

/** The first network of the pools that touches none of `taken`. Throws exhausted. */
export function chooseNetwork(taken: readonly Ipv4Network[]): Ipv4Network {
  for (const [text, poolPrefix, prefixLength] of DEFAULT_POOLS) {
    const base = ipv4Number(text) ?? 0;
    for (let part = 0; part < 2 ** (prefixLength - poolPrefix); part += 1) {
      const network = networkOf(base + part * 2 ** (32 - prefixLength), prefixLength);
      if (!taken.some((other) => networksOverlap(network, other))) return network;
    }
  }
  throw new NaruError(
    "exhausted",
    "all predefined address pools have been fully subnetted: name a free one with --bip",
  );
}
