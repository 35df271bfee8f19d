import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Leak } from "./leak.ts";
import type { Records } from "./records.ts";

/** Published ports in the engine's sets lead to endpoints of containers that run, and nowhere else. */
export async function probeRules(records: Records): Promise<Leak[]> {
  const table = `naru_${records.engineShortName}`;
  const known = new Set(
    records.endpoints
      .filter(({ quarantined }) => !quarantined)
      .flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
  );
  const leaks: Leak[] = [];
  for (const family of ["ip", "ip6"] as const) {
    const stale = (await publishedTo(family, table)).filter((address) => !known.has(address));
    for (const address of new Set(stale)) {
      const subject = `table ${family} ${table}`;
      leaks.push({ kind: "rule", subject, reason: `leads to ${address}, which is no endpoint's` });
    }
  }
  return leaks;
}

/** Addresses in the set `published`; none without a table: the engine has no bridge. */
async function publishedTo(family: "ip" | "ip6", table: string): Promise<string[]> {
  try {
    const list = ["-j", "list", "set", family, table, "published"];
    const { stdout } = await promisify(execFile)("nft", list);
    const { nftables } = JSON.parse(stdout) as {
      nftables: { set?: { elem?: { concat: [string, string, number] }[] } }[];
    };
    return nftables.flatMap(({ set }) => (set?.elem ?? []).map(({ concat: [address] }) => address));
  } catch {
    return [];
  }
}
