import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Leak } from "./leak.ts";
import type { Records } from "./records.ts";

/** The engine's nftables may name its bridge only: a rule for one container is left over. */
export async function probeRules(records: Records): Promise<Leak[]> {
  const table = `naru_${records.engineShortName}`;
  const rules = await listTable(table);
  const known = new Set(records.endpoints.map(({ hostLink }) => hostLink));
  const named = rules.match(/nv[0-9a-f]{13}/g) ?? [];
  return [...new Set(named)]
    .filter((link) => !known.has(link))
    .map((link) => ({
      kind: "rule",
      subject: `table ip ${table}`,
      reason: `names ${link}, which is no endpoint's`,
    }));
}

async function listTable(table: string): Promise<string> {
  try {
    return (await promisify(execFile)("nft", ["list", "table", "ip", table])).stdout;
  } catch {
    return ""; // no table: the engine has no bridge
  }
}
