/** What the rules of the default bridge depend on. */
export interface BridgeRules {
  /** Table in naru's own name: `naru_` and the engine's short id. */
  readonly table: string;
  readonly bridge: string;
  /** `172.17.0.0/16` */
  readonly subnet: string;
  readonly icc: boolean;
  readonly masquerade: boolean;
}

/** Replaces the engine's table in one transaction: at no instant are there no rules. */
export function bridgeRuleset(rules: BridgeRules): string {
  const { table, bridge, subnet } = rules;
  const masquerade = rules.masquerade
    ? [`    ip saddr ${subnet} oifname != "${bridge}" masquerade`]
    : [];
  return [
    `table ip ${table} {}`,
    `delete table ip ${table}`,
    `table ip ${table} {`,
    "  chain forward {",
    "    type filter hook forward priority filter; policy accept;",
    // Only seen here where br_netfilter sends a bridge's own traffic through; ports are isolated too.
    `    iifname "${bridge}" oifname "${bridge}" ${rules.icc ? "accept" : "drop"}`,
    `    oifname "${bridge}" ct state established,related accept`,
    // Nothing comes in that was not asked for: only published ports open a way.
    `    oifname "${bridge}" drop`,
    "  }",
    "  chain postrouting {",
    "    type nat hook postrouting priority srcnat; policy accept;",
    ...masquerade,
    "  }",
    "}",
    "",
  ].join("\n");
}

/** One table for all engines of a host: see guardRuleset. */
export const GUARD_TABLE: string = "naru_forward";

/**
 * Keeps the host from becoming a router when an engine switches forwarding on: only what enters or
 * leaves by a bridge in the set passes. Shared, since two guards that each know only their own
 * engine would drop each other's traffic. Docker's bridges have rules of their own.
 */
export function guardRuleset(bridge: string): string {
  const accepts = ["@bridges", '"docker0"', '"br-*"'].flatMap((names) => [
    `add rule ip ${GUARD_TABLE} forward iifname ${names} accept`,
    `add rule ip ${GUARD_TABLE} forward oifname ${names} accept`,
  ]);
  return [
    `add table ip ${GUARD_TABLE}`,
    `add set ip ${GUARD_TABLE} bridges { type ifname; }`,
    `add chain ip ${GUARD_TABLE} forward { type filter hook forward priority 10; policy accept; }`,
    `flush chain ip ${GUARD_TABLE} forward`,
    ...accepts,
    `add rule ip ${GUARD_TABLE} forward drop`,
    `add element ip ${GUARD_TABLE} bridges { "${bridge}" }`,
    "",
  ].join("\n");
}

export function leaveGuard(bridge: string): string {
  return `delete element ip ${GUARD_TABLE} bridges { "${bridge}" }\n`;
}

export function deleteTable(table: string): string {
  return `table ip ${table} {}\ndelete table ip ${table}\n`;
}
