import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BridgeNetworkRules, PublishedEndpoint } from "./contract.ts";
import { type Elements, elementsOf, type FirewallState } from "./elements.ts";
import { chainsOf, handlesIn } from "./foreign-chain.ts";
import { guardRuleset } from "./forwarding.ts";
import type { Family } from "./nft.ts";
import { changedElements, wholeTable } from "./ruleset.ts";

const CHOICES = { allowDirectRouting: false, respectHostFirewall: false };
const GOLDEN = join(import.meta.dir, "../../../test/golden/firewall");

const web: BridgeNetworkRules = {
  networkId: "web",
  link: "nr-web",
  ipv4: { subnet: "10.1.0.0/24", gateway: "10.1.0.1" },
  ipv6: { subnet: "fd00:1::/64", gateway: "fd00:1::1" },
  internal: false,
  icc: true,
  masquerade4: true,
  masquerade6: true,
  gatewayMode4: "nat",
  gatewayMode6: "nat",
  hostBinding4: "",
};
const inner: BridgeNetworkRules = {
  ...web,
  networkId: "inner",
  link: "nr-inner",
  ipv4: { subnet: "10.2.0.0/24", gateway: "10.2.0.1" },
  ipv6: undefined,
  internal: true,
  icc: false,
};
const published: PublishedEndpoint = {
  containerId: "c1",
  networkId: "web",
  link: "nr-web",
  ipv4: "10.1.0.2",
  ipv6: "fd00:1::2",
  ports: [
    { protocol: "tcp", containerPort: 80, hostAddress: "0.0.0.0", hostPort: 8080 },
    { protocol: "tcp", containerPort: 80, hostAddress: "::", hostPort: 8080 },
    { protocol: "udp", containerPort: 53, hostAddress: "127.0.0.1", hostPort: 5353 },
    { protocol: "sctp", containerPort: 9, hostAddress: "2001:db8::1", hostPort: 9 },
  ],
};

const state = (
  networks: readonly BridgeNetworkRules[],
  endpoints: readonly PublishedEndpoint[] = [],
): FirewallState => ({ networks, published: endpoints });

const elements = (family: Family, wanted: FirewallState, choices = CHOICES): Elements =>
  elementsOf(family, wanted, choices);

/** Run with RECORD=1 to write the files anew, and read what changed. */
async function golden(name: string, text: string): Promise<void> {
  const path = join(GOLDEN, `${name}.nft`);
  if (process.env["RECORD"] === "1") await Bun.write(path, text);
  expect(text).toBe(readFileSync(path, "utf8"));
}

describe("the engine's tables", () => {
  test("are replaced in one transaction, each family's as recorded", async () => {
    const wanted = state([web, inner], [published]);
    await golden("whole-ip", wholeTable("ip", "naru_x", elements("ip", wanted)));
    await golden("whole-ip6", wholeTable("ip6", "naru_x", elements("ip6", wanted)));
  });

  test("one port more or less is one element of each set, however many there are", () => {
    const many = Array.from(
      { length: 1000 },
      (_, index): PublishedEndpoint => ({
        ...published,
        containerId: `many-${index}`,
        ipv4: `10.9.${Math.floor(index / 250)}.${(index % 250) + 2}`,
        ipv6: "",
        ports: [
          { protocol: "tcp", containerPort: 80, hostAddress: "0.0.0.0", hostPort: 20_000 + index },
        ],
      }),
    );
    const before = elements("ip", state([web], many));
    const after = elements("ip", state([web], [...many, published]));
    expect(changedElements("ip", "naru_x", { before, after }).split("\n")).toEqual([
      "add element ip naru_x published { 10.1.0.2 . tcp . 80, 10.1.0.2 . udp . 53 }",
      "add element ip naru_x published_any { tcp . 8080 : 10.1.0.2 . 80 }",
      "add element ip naru_x published_at { 127.0.0.1 . udp . 5353 : 10.1.0.2 . 53 }",
      "add element ip naru_x loopback_ports { udp . 5353 }",
      "",
    ]);
    expect(changedElements("ip", "naru_x", { before: after, after: before })).toContain(
      "delete element ip naru_x published_any { tcp . 8080 }",
    );
    expect(changedElements("ip", "naru_x", { before, after: before })).toBe("");
  });

  test("a port that moves is deleted before it is added", () => {
    const moved = { ...published, ipv6: "fd00:1::9" };
    const before = elements("ip6", state([web], [published]));
    const after = elements("ip6", state([web], [moved]));
    const lines = changedElements("ip6", "t", { before, after }).split("\n");
    const find = (verb: string): number =>
      lines.findIndex((line) => line.startsWith(`${verb} element ip6 t published_any`));
    expect(lines[find("delete")]).toBe("delete element ip6 t published_any { tcp . 8080 }");
    expect(lines[find("add")]).toBe(
      "add element ip6 t published_any { tcp . 8080 : fd00:1::9 . 80 }",
    );
    expect(find("delete")).toBeLessThan(find("add"));
  });

  test("internal networks and families without addresses are closed; icc off is not talking", () => {
    const four = elements("ip", state([web, inner]));
    expect([...four.closed]).toEqual(['"nr-inner"']);
    expect([...four.talking]).toEqual(['"nr-web" . "nr-web"']);
    expect([...four.leaving]).toEqual(["10.1.0.0/24"]);
    expect([...four.subnets]).toEqual(["10.1.0.0/24", "10.2.0.0/24"]);
    const six = elements("ip6", state([web, inner]));
    expect([...six.closed]).toEqual(['"nr-inner"']);
    expect([...six.subnets]).toEqual(["fd00:1::/64"]);
  });

  test("gateway modes: routed is direct without masquerade, unprotected is open, isolated closed", () => {
    const mode = (gatewayMode4: BridgeNetworkRules["gatewayMode4"]): Elements =>
      elements("ip", state([{ ...web, gatewayMode4 }]));
    expect([mode("routed").direct.size, mode("routed").leaving.size]).toEqual([1, 0]);
    expect([mode("nat-unprotected").open.size, mode("nat-unprotected").leaving.size]).toEqual([
      1, 1,
    ]);
    expect([mode("isolated").closed.size, mode("isolated").leaving.size]).toEqual([1, 0]);
    expect(mode("nat").direct.size).toBe(0);
    const direct = { ...CHOICES, allowDirectRouting: true };
    expect(elements("ip", state([web]), direct).direct.size).toBe(1);
  });

  test("a routed port is opened and not translated; the forwarder's ports are neither", () => {
    const routed = { ...published, ports: [{ ...published.ports[0], hostPort: 0 }] };
    const open = elements("ip", state([web], [routed as PublishedEndpoint]));
    expect([...open.published]).toEqual(["10.1.0.2 . tcp . 80"]);
    expect(open.published_any.size).toBe(0);
    const respect = { ...CHOICES, respectHostFirewall: true };
    const none = elements("ip", state([web], [published]), respect);
    expect(none.published.size + none.published_any.size + none.published_at.size).toBe(0);
  });

  test("the guard names every link of the engine and drops what is nobody's", () => {
    const text = guardRuleset("ip6", ["a", "b"]);
    expect(text.trimEnd()).toEndWith('add element ip6 naru_forward bridges { "a", "b" }');
    expect(text).toContain("add rule ip6 naru_forward forward drop");
  });
});

test("foreign places: chains of a table, and our own rules in them by comment and link", () => {
  const listing = [
    "table ip filter { # handle 1",
    "\tchain DOCKER-USER { # handle 4",
    "\t}",
    "}",
    "table ip6 filter { # handle 2",
    "\tchain FORWARD { # handle 1",
    "\t\ttype filter hook forward priority filter; policy drop;",
    "\t}",
    "}",
  ].join("\n");
  expect(chainsOf(listing, "ip", "filter")).toEqual(["DOCKER-USER"]);
  expect(chainsOf(listing, "ip6", "filter")).toEqual(["FORWARD"]);
  const chain = [
    '\t\tiifname "a" counter packets 0 bytes 0 accept comment "naru_x" # handle 7',
    '\t\tiifname "b" counter packets 0 bytes 0 accept comment "naru_x" # handle 8',
    '\t\tiifname "a" counter packets 0 bytes 0 accept comment "naru_y" # handle 9',
  ].join("\n");
  expect(handlesIn(chain, "naru_x", "a")).toEqual([7]);
});
