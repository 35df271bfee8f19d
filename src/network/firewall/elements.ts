import { isIPv4 } from "node:net";
import type {
  BridgeNetworkRules,
  GatewayMode,
  NetworkRange,
  PublishedEndpoint,
} from "./contract.ts";
import type { Family } from "./nft.ts";

/** What the engine wants of the kernel's packet filter. */
export interface FirewallState {
  readonly networks: readonly BridgeNetworkRules[];
  readonly published: readonly PublishedEndpoint[];
}

export interface FirewallChoices {
  /** Lets others on the link reach published ports by the container's own address. */
  readonly allowDirectRouting: boolean;
  /** Published ports are served by netd's forwarder alone, so that the host's input rules count. */
  readonly respectHostFirewall: boolean;
}

/**
 * The sets and maps of a table: all that differs between engines, networks and ports. The chains
 * are always the same, so that a change is the elements that came and went, whatever their number.
 */
export const SETS = [
  "links",
  "closed",
  "talking",
  "open",
  "direct",
  "leaving",
  "subnets",
  "published",
  "published_any",
  "published_at",
  "loopback_ports",
] as const;

export type SetName = (typeof SETS)[number];
export type Elements = Readonly<Record<SetName, ReadonlySet<string>>>;

/** The elements of one family, as nft writes them. */
export function elementsOf(
  family: Family,
  state: FirewallState,
  choices: FirewallChoices,
): Elements {
  const elements = Object.fromEntries(SETS.map((name) => [name, new Set<string>()])) as Record<
    SetName,
    Set<string>
  >;
  for (const network of state.networks) addNetwork(elements, family, network, choices);
  for (const endpoint of state.published) addPorts(elements, family, endpoint, choices);
  return elements;
}

interface FamilySide {
  readonly range: NetworkRange | undefined;
  readonly masquerade: boolean;
  readonly mode: GatewayMode;
}

function sideOf(network: BridgeNetworkRules, family: Family): FamilySide {
  return family === "ip"
    ? { range: network.ipv4, masquerade: network.masquerade4, mode: network.gatewayMode4 }
    : { range: network.ipv6, masquerade: network.masquerade6, mode: network.gatewayMode6 };
}

function addNetwork(
  elements: Record<SetName, Set<string>>,
  family: Family,
  network: BridgeNetworkRules,
  choices: FirewallChoices,
): void {
  const { range, masquerade, mode } = sideOf(network, family);
  const link = `"${network.link}"`;
  elements.links.add(link);
  // Without addresses of the family nothing has to go in or out.
  const closed = network.internal || mode === "isolated" || range === undefined;
  if (closed) elements.closed.add(link);
  if (network.icc && range !== undefined) elements.talking.add(`${link} . ${link}`);
  if (range === undefined) return;
  elements.subnets.add(range.subnet);
  if (closed) return;
  if (mode === "nat-unprotected") elements.open.add(link);
  if (mode === "routed" || (mode === "nat" && choices.allowDirectRouting)) {
    elements.direct.add(link);
  }
  if (masquerade && mode !== "routed") elements.leaving.add(range.subnet);
}

const ANY: Readonly<Record<Family, string>> = { ip: "0.0.0.0", ip6: "::" };

function addPorts(
  elements: Record<SetName, Set<string>>,
  family: Family,
  endpoint: PublishedEndpoint,
  choices: FirewallChoices,
): void {
  const address = family === "ip" ? endpoint.ipv4 : endpoint.ipv6;
  if (address === "") return;
  for (const port of endpoint.ports) {
    if ((isIPv4(port.hostAddress) ? "ip" : "ip6") !== family) continue;
    const { protocol, hostAddress, hostPort } = port;
    if (choices.respectHostFirewall && hostPort !== 0) continue;
    elements.published.add(`${address} . ${protocol} . ${port.containerPort}`);
    if (hostPort === 0) continue;
    const to = `${address} . ${port.containerPort}`;
    if (hostAddress === ANY[family]) {
      elements.published_any.add(`${protocol} . ${hostPort} : ${to}`);
    } else {
      elements.published_at.add(`${hostAddress} . ${protocol} . ${hostPort} : ${to}`);
      if (hostAddress.startsWith("127.")) {
        elements.loopback_ports.add(`${protocol} . ${hostPort}`);
      }
    }
  }
}
