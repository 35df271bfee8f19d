import { type Elements, SETS, type SetName } from "./elements.ts";
import type { Family } from "./nft.ts";

/*
 * The text of the engine's tables. Chains never change while an engine runs; what changes are
 * elements of sets, so that one published port more is one element more and not a thousand rules.
 * @see docs/decisions/0110-published-ports.md for what each rule is there for
 */

/** A table as a whole in place of what is there: one transaction, at no instant are there no rules. */
export function wholeTable(family: Family, table: string, elements: Elements): string {
  return [
    `table ${family} ${table} {}`,
    `delete table ${family} ${table}`,
    `table ${family} ${table} {`,
    ...SETS.map((name) => declaration(family, name, elements[name])),
    ...CHAINS[family],
    "}",
    "",
  ].join("\n");
}

/** What leads from one state of a table's sets to another; "" when they are alike. */
export function changedElements(
  family: Family,
  table: string,
  change: { readonly before: Elements; readonly after: Elements },
): string {
  const { before, after } = change;
  const lines: string[] = [];
  for (const name of SETS) {
    const gone = [...before[name]].filter((element) => !after[name].has(element)).map(keyOf);
    if (gone.length > 0) lines.push(elementLine("delete", family, table, name, gone));
  }
  for (const name of SETS) {
    const come = [...after[name]].filter((element) => !before[name].has(element));
    if (come.length > 0) lines.push(elementLine("add", family, table, name, come));
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

export function deleteTable(family: Family, table: string): string {
  return `table ${family} ${table} {}\ndelete table ${family} ${table}\n`;
}

function elementLine(
  verb: "add" | "delete",
  ...[family, table, name, elements]: [Family, string, SetName, readonly string[]]
): string {
  return `${verb} element ${family} ${table} ${name} { ${elements.join(", ")} }`;
}

/** Of `tcp . 80 : 10.0.0.2 . 80` the part before the colon that stands alone; IPv6 has none such. */
function keyOf(element: string): string {
  return element.split(" : ")[0] ?? element;
}

function declaration(family: Family, name: SetName, elements: ReadonlySet<string>): string {
  const kind = name === "published_any" || name === "published_at" ? "map" : "set";
  const list = elements.size === 0 ? "" : ` elements = { ${[...elements].join(", ")} };`;
  return `  ${kind} ${name} { type ${typeOf(family, name)};${list} }`;
}

function typeOf(family: Family, name: SetName): string {
  const address = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  const service = "inet_proto . inet_service";
  switch (name) {
    case "links":
    case "closed":
    case "open":
    case "direct":
      return "ifname";
    case "talking":
      return "ifname . ifname";
    case "leaving":
    case "subnets":
      return `${address}; flags interval`;
    case "published":
      return `${address} . ${service}`;
    case "published_any":
      return `${service} : ${address} . inet_service`;
    case "published_at":
      return `${address} . ${service} : ${address} . inet_service`;
    case "loopback_ports":
      return service;
  }
}

function chains(family: Family): string[] {
  const service = "meta l4proto . th dport";
  const loopback = family === "ip" ? "127.0.0.0/8" : "::1";
  return [
    "  chain guard {",
    "    type filter hook prerouting priority raw; policy accept;",
    // Only this host may speak to its loopback; route_localnet and dnat would let others.
    `    iifname @links ${family} daddr ${loopback} drop`,
    `    iifname != "lo" ${family} daddr ${loopback} ${service} @loopback_ports drop`,
    "  }",
    "  chain prerouting {",
    "    type nat hook prerouting priority dstnat; policy accept;",
    "    fib daddr type local jump publish",
    "  }",
    "  chain output {",
    "    type nat hook output priority -100; policy accept;",
    "    fib daddr type local jump publish",
    "  }",
    "  chain publish {",
    // The kernel has no way from these to another link: netd forwards them.
    ...(family === "ip6" ? ["    ip6 daddr { ::1, fe80::/10 } return"] : []),
    `    dnat ${family} to ${family} daddr . ${service} map @published_at`,
    `    dnat ${family} to ${service} map @published_any`,
    "  }",
    "  chain postrouting {",
    "    type nat hook postrouting priority srcnat; policy accept;",
    `    ${family} saddr @leaving oifname != @links masquerade`,
    // Answers must come back this way: to a container of ours by a port of the host, or loopback.
    `    ct status dnat oifname @links ${family} saddr @subnets masquerade`,
    ...(family === "ip" ? ["    oifname @links ip saddr 127.0.0.0/8 masquerade"] : []),
    "  }",
    "  chain forward {",
    "    type filter hook forward priority filter; policy accept;",
    "    oifname @links jump enter",
    "    iifname @closed drop",
    "  }",
    "  chain enter {",
    "    ct state established,related accept",
    // Within a bridge: only seen where br_netfilter is loaded; ports are isolated too without icc.
    "    iifname . oifname @talking accept",
    "    iifname @closed drop",
    "    oifname @closed drop",
    `    ct status dnat ${family} daddr . ${service} @published accept`,
    `    oifname @direct ${family} daddr . ${service} @published accept`,
    `    oifname @direct meta l4proto ${family === "ip" ? "icmp" : "ipv6-icmp"} accept`,
    "    iifname @links drop",
    "    oifname @open accept",
    // Nothing comes in that was not asked for.
    "    drop",
    "  }",
  ];
}

const CHAINS: Readonly<Record<Family, readonly string[]>> = {
  ip: chains("ip"),
  ip6: chains("ip6"),
};
