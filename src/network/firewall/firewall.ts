import { readSysctl, writeSysctl } from "../../linux/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import type { BridgeNetworkRules, Firewall, PublishedEndpoint } from "./contract.ts";
import { type Elements, elementsOf, type FirewallChoices, type FirewallState } from "./elements.ts";
import { forwardDrops, joinForeign, leaveForeign } from "./foreign-chain.ts";
import { leaveForwarding, startForwarding } from "./forwarding.ts";
import { applyRuleset, type Family, listRules } from "./nft.ts";
import { changedElements, deleteTable, wholeTable } from "./ruleset.ts";

export interface FirewallOptions extends FirewallChoices {
  /** In naru's own name: `naru_` and the engine's short id. */
  readonly table: string;
  readonly ipForward: boolean;
  /** Drop forwarding that is nobody's when the engine had to switch forwarding on. */
  readonly ipForwardDrop: boolean;
  /** Makes the kernel forget the connections of UDP ports that came, went or moved. */
  readonly forgetConnections: (endpoint: PublishedEndpoint) => Promise<void>;
  readonly logger: Logger;
}

export function createFirewall(options: FirewallOptions): Firewall {
  return new NftFirewall(options);
}

/** What the kernel was told last; undefined where it has no table of the family. */
type Applied = Readonly<Record<Family, Elements | undefined>>;

class NftFirewall implements Firewall {
  readonly #options: FirewallOptions;
  readonly #networks: Map<string, BridgeNetworkRules> = new Map();
  readonly #published: Map<string, PublishedEndpoint> = new Map();
  readonly #localRoutes: Set<string> = new Set();
  #applied: Applied = { ip: undefined, ip6: undefined };
  #last: Promise<void> = Promise.resolve();

  constructor(options: FirewallOptions) {
    this.#options = options;
  }

  start: Firewall["start"] = ({ networks, published }) =>
    this.#inOrder(async () => {
      this.#networks.clear();
      this.#published.clear();
      for (const network of networks) this.#networks.set(network.networkId, network);
      for (const endpoint of published) this.#published.set(endpoint.containerId, endpoint);
      await this.#applyWhole();
      const links = networks.map(({ link }) => link);
      await joinForeign(links, this.#options.table);
      for (const endpoint of published) this.#routeLoopback(endpoint);
      await this.#forward(networks);
    });

  setNetwork: Firewall["setNetwork"] = (rules) =>
    this.#inOrder(async () => {
      this.#networks.set(rules.networkId, rules);
      await this.#apply();
      await joinForeign([rules.link], this.#options.table);
      await this.#forward([rules]);
    });

  look: Firewall["look"] = async () => {
    const { table } = this.#options;
    const tables = await Promise.all(
      (["ip", "ip6"] as const)
        .filter((family) => this.#applied[family] !== undefined)
        .map((family) => listRules("table", family, table)),
    );
    return {
      hasRules: tables.every((text) => text !== undefined),
      drops: await forwardDrops(table),
    };
  };

  removeNetwork: Firewall["removeNetwork"] = (networkId) =>
    this.#inOrder(async () => {
      const network = this.#networks.get(networkId);
      if (network === undefined) return;
      await this.#leave([network]);
      this.#networks.delete(networkId);
      this.#localRoutes.delete(network.link);
      await this.#apply();
    });

  publish: Firewall["publish"] = (endpoint) =>
    this.#inOrder(async () => {
      const before = this.#published.get(endpoint.containerId);
      this.#published.set(endpoint.containerId, endpoint);
      try {
        await this.#apply();
      } catch (error) {
        this.#published.delete(endpoint.containerId);
        if (before !== undefined) this.#published.set(endpoint.containerId, before);
        throw error;
      }
      this.#routeLoopback(endpoint);
      await this.#forget(before, endpoint);
    });

  unpublish: Firewall["unpublish"] = (containerId) =>
    this.#inOrder(async () => {
      const before = this.#published.get(containerId);
      if (before === undefined) return;
      this.#published.delete(containerId);
      await this.#apply();
      await this.#forget(before, undefined);
    });

  teardown: Firewall["teardown"] = () =>
    this.#inOrder(async () => {
      await this.#leave([...this.#networks.values()]);
      const { table } = this.#options;
      const families = (["ip", "ip6"] as const).filter(
        (family) => family === "ip" || this.#applied[family] !== undefined,
      );
      await applyRuleset(families.map((family) => deleteTable(family, table)).join(""));
      this.#networks.clear();
      this.#published.clear();
      this.#localRoutes.clear();
      this.#applied = { ip: undefined, ip6: undefined };
    });

  /** One after the other: what is wanted and what was applied never get out of step. */
  #inOrder(task: () => Promise<void>): Promise<void> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }

  #wanted(): Applied {
    const state: FirewallState = {
      networks: [...this.#networks.values()],
      published: [...this.#published.values()],
    };
    const needsIp6 = state.networks.some(({ ipv6 }) => ipv6 !== undefined);
    return {
      ip: elementsOf("ip", state, this.#options),
      ip6: needsIp6 ? elementsOf("ip6", state, this.#options) : undefined,
    };
  }

  /** What changed. Where somebody else changed our tables meanwhile, all of it. */
  async #apply(): Promise<void> {
    const wanted = this.#wanted();
    const { ip, ip6 } = this.#applied;
    if (
      ip === undefined ||
      wanted.ip === undefined ||
      (ip6 === undefined) !== (wanted.ip6 === undefined)
    ) {
      await this.#applyWhole();
      return;
    }
    const { table } = this.#options;
    const changes = changedElements("ip", table, { before: ip, after: wanted.ip });
    const changes6 =
      ip6 === undefined || wanted.ip6 === undefined
        ? ""
        : changedElements("ip6", table, { before: ip6, after: wanted.ip6 });
    if (changes + changes6 === "") return;
    try {
      await applyRuleset(changes + changes6);
      this.#applied = wanted;
    } catch (error) {
      this.#options.logger.warn("the firewall's tables were changed by others, mending them", {
        error,
      });
      await this.#applyWhole();
    }
  }

  async #applyWhole(): Promise<void> {
    const wanted = this.#wanted();
    const { table } = this.#options;
    const texts: string[] = [];
    if (wanted.ip !== undefined) texts.push(wholeTable("ip", table, wanted.ip));
    if (wanted.ip6 !== undefined) texts.push(wholeTable("ip6", table, wanted.ip6));
    else if ((await listRules("table", "ip6", table)) !== undefined) {
      texts.push(deleteTable("ip6", table));
    }
    await applyRuleset(texts.join(""));
    this.#applied = wanted;
  }

  async #forward(networks: readonly BridgeNetworkRules[]): Promise<void> {
    const { ipForward, ipForwardDrop: drop } = this.#options;
    if (!ipForward) return;
    const links = (family: Family): string[] =>
      networks
        .filter(({ ipv4, ipv6 }) => (family === "ip" ? ipv4 : ipv6) !== undefined)
        .map(({ link }) => link);
    await startForwarding("ip", links("ip"), { drop });
    await startForwarding("ip6", links("ip6"), { drop });
  }

  async #leave(networks: readonly BridgeNetworkRules[]): Promise<void> {
    const links = networks.map(({ link }) => link);
    if (links.length === 0) return;
    await leaveForeign(links, this.#options.table);
    await leaveForwarding("ip", links);
    if (networks.some(({ ipv6 }) => ipv6 !== undefined)) await leaveForwarding("ip6", links);
  }

  /** For connections from the host's 127.0.0.1; the guard keeps everybody else away from it. */
  #routeLoopback({ link }: PublishedEndpoint): void {
    if (this.#localRoutes.has(link)) return;
    const name = `net.ipv4.conf.${link.replaceAll(".", "/")}.route_localnet`;
    if (readSysctl(name) === undefined) return;
    writeSysctl(name, "1");
    this.#localRoutes.add(link);
  }

  async #forget(
    before: PublishedEndpoint | undefined,
    after: PublishedEndpoint | undefined,
  ): Promise<void> {
    for (const endpoint of [before, after]) {
      if (endpoint?.ports.some(({ protocol }) => protocol === "udp") !== true) continue;
      await this.#options.forgetConnections(endpoint).catch((error: unknown) => {
        this.#options.logger.warn("old UDP connections may go on for a while", { error });
      });
    }
  }
}
