import { existsSync, readdirSync } from "node:fs";
import { readSysctl, writeSysctl } from "../../linux/mod.ts";
import { applyRuleset, type Family, listRules } from "./nft.ts";
import { deleteTable } from "./ruleset.ts";

/** One table a family for all engines of a host: see guardRuleset. */
const GUARD_TABLE = "naru_forward";

const FORWARDING: Readonly<Record<Family, string>> = {
  ip: "net.ipv4.ip_forward",
  ip6: "net.ipv6.conf.all.forwarding",
};

/**
 * Keeps the host from becoming a router when an engine switches forwarding on: only what enters or
 * leaves by a bridge in the set passes. Shared, since two guards that each know only their own
 * engine would drop each other's traffic. Docker's bridges have rules of their own.
 */
export function guardRuleset(family: Family, links: readonly string[]): string {
  const accepts = ["@bridges", '"docker0"', '"br-*"'].flatMap((names) => [
    `add rule ${family} ${GUARD_TABLE} forward iifname ${names} accept`,
    `add rule ${family} ${GUARD_TABLE} forward oifname ${names} accept`,
  ]);
  return [
    `add table ${family} ${GUARD_TABLE}`,
    `add set ${family} ${GUARD_TABLE} bridges { type ifname; }`,
    `add chain ${family} ${GUARD_TABLE} forward { type filter hook forward priority 10; policy accept; }`,
    `flush chain ${family} ${GUARD_TABLE} forward`,
    ...accepts,
    `add rule ${family} ${GUARD_TABLE} forward drop`,
    `add element ${family} ${GUARD_TABLE} bridges { ${quoted(links)} }`,
    "",
  ].join("\n");
}

/** The guard is there before forwarding is on, so the host is no router for an instant. Idempotent. */
export async function startForwarding(
  family: Family,
  links: readonly string[],
  options: { readonly drop: boolean },
): Promise<void> {
  if (links.length === 0) return;
  const off = readSysctl(FORWARDING[family]) === "0";
  const guarded = (await listRules("table", family, GUARD_TABLE)) !== undefined;
  if (guarded || (off && options.drop)) await applyRuleset(guardRuleset(family, links));
  if (!off) return;
  if (family === "ip6") keepRouterAdvertisements();
  writeSysctl(FORWARDING[family], "1");
}

/** A forwarding host forgets its own routers unless it is told to go on listening to them. */
function keepRouterAdvertisements(): void {
  const dir = "/proc/sys/net/ipv6/conf";
  for (const link of existsSync(dir) ? readdirSync(dir) : []) {
    const name = `net.ipv6.conf.${link.replaceAll(".", "/")}.accept_ra`;
    if (link !== "all" && link !== "default" && readSysctl(name) === "1") writeSysctl(name, "2");
  }
}

/** The last engine to leave switches forwarding off again: the guard says that naru switched it on. */
export async function leaveForwarding(family: Family, links: readonly string[]): Promise<void> {
  const before = await listRules("set", family, GUARD_TABLE, "bridges");
  if (before === undefined) return;
  const ours = links.filter((link) => before.includes(`"${link}"`));
  if (ours.length > 0) {
    await applyRuleset(`delete element ${family} ${GUARD_TABLE} bridges { ${quoted(ours)} }\n`);
  }
  const after = await listRules("set", family, GUARD_TABLE, "bridges");
  if (after?.includes("elements") === true) return;
  writeSysctl(FORWARDING[family], "0");
  await applyRuleset(deleteTable(family, GUARD_TABLE));
}

function quoted(links: readonly string[]): string {
  return links.map((link) => `"${link}"`).join(", ");
}
