import { type Clock, formatTimestamp, NaruError, newId } from "../base/mod.ts";
import type { NetworkKernel, ParentRequest } from "../linux/mod.ts";
import type { NetworkCreateBody } from "../spec/mod.ts";
import type { Metadata } from "../storage/mod.ts";
import { type ActiveNetwork, activeDefault, activeUser, userRules } from "./active-network.ts";
import type { IpamRange, NetworkSummary } from "./contract.ts";
import {
  type BridgeOptions,
  type BridgeRange,
  bridgeDriverOptions,
  bridgeRules,
  type DefaultBridge,
  removeBridge,
  startBridge,
  takenNetworks,
} from "./default-bridge.ts";
import { parseBridgeOptions, parseSharedOptions } from "./driver-options.ts";
import type { BridgeNetworkRules, Firewall } from "./firewall/contract.ts";
import { type IpNetwork, needNetwork, networkText } from "./ip-network.ts";
import { planNetwork } from "./network-plan.ts";
import { BUILT_IN, type NetworkRow, type UserNetwork } from "./network-row.ts";

export interface NetworkDirectoryOptions {
  readonly kernel: NetworkKernel;
  readonly metadata: Metadata;
  readonly firewall: Firewall;
  readonly clock: Clock;
  /** Of the default bridge; named `none`: an engine without one. */
  readonly bridge: Omit<BridgeOptions, "createdAt">;
  /** By driver: what networks have that do not say otherwise. */
  readonly defaultOptions: DefaultNetworkOptions;
  /** Begins the names of bridges that naru makes; with 7 digits at most 15 bytes. */
  readonly linkPrefix: string;
  readonly containersOn: (networkId: string) => readonly string[];
}

const DEFAULT_MTU = 1500; // of Ethernet, as Docker

/** Which networks there are: the built-in ones and users'. The only writer of the table `networks`. */
export class NetworkDirectory {
  readonly #options: NetworkDirectoryOptions;
  /** By key: the name of a built-in one, the id of a user's. */
  readonly #rows: Map<string, NetworkRow> = new Map();
  readonly #active: Map<string, ActiveNetwork> = new Map();
  #bridge: DefaultBridge | undefined;
  /** One after the other: two must not choose the same subnet or name. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: NetworkDirectoryOptions) {
    this.#options = options;
    checkDefaults(options.defaultOptions);
    for (const [key, value] of options.metadata.rows("networks")) {
      this.#rows.set(key, value as NetworkRow);
    }
  }

  get #hasBridge(): boolean {
    return this.#options.bridge.bridge !== "none";
  }

  /** Makes what is missing in the kernel, and says which bridges there are. Idempotent. */
  async start(): Promise<readonly BridgeNetworkRules[]> {
    const { metadata, kernel, bridge } = this.#options;
    for (const [name, driver] of [
      ["host", "host"],
      ["none", "null"],
    ] as const) {
      if (this.#rows.has(name)) continue;
      const row: NetworkRow = { id: newId(), name, driver, createdAt: this.#now() };
      await metadata.commit([{ table: "networks", key: name, value: row }]);
      this.#rows.set(name, row);
    }
    const rules: BridgeNetworkRules[] = [];
    if (this.#hasBridge) {
      const options = { ...bridge, createdAt: this.#now() };
      this.#bridge = await startBridge(options, kernel, metadata, this.#rows.get("bridge"));
      const { row } = this.#bridge;
      this.#rows.set("bridge", row);
      this.#active.set(row.id, activeDefault(this.#bridge, bridge));
      rules.push(bridgeRules(this.#bridge, options));
    }
    for (const row of this.#rows.values()) {
      if (row.user === undefined || row.user.configOnly) continue;
      await this.#realise(row, row.user);
      if (row.driver === "bridge") rules.push(userRules(row, row.user));
    }
    return rules;
  }

  #now(): string {
    return formatTimestamp(this.#options.clock.nowNs());
  }

  /** The links of a user's network. */
  async #realise(row: NetworkRow, user: UserNetwork): Promise<void> {
    const { kernel } = this.#options;
    const active = activeUser(row, user);
    if (active === undefined) return;
    if (row.driver === "bridge") {
      const { mtu } = parseBridgeOptions(user.options);
      const [four, six] = [active.range4, active.range6];
      await kernel.ensureBridge({
        name: active.link,
        macAddress: `02:${row.id.slice(0, 10).match(/../g)?.join(":")}`,
        mtu: mtu || DEFAULT_MTU,
        fixedMtu: mtu !== 0,
        ipv4Address: four?.gateway ?? "",
        ipv4PrefixLength: four?.network.prefixLength ?? 0,
        ipv6Address: six?.gateway ?? "",
        ipv6PrefixLength: six?.network.prefixLength ?? 0,
      });
    } else {
      await kernel.ensureParent(parentOf(row, user)).catch((cause: unknown) => {
        throw parentError(row, cause);
      });
    }
    this.#active.set(row.id, active);
  }

  list(): NetworkSummary[] {
    const rows = [...this.#rows.values()].filter(
      ({ name }) => name !== "bridge" || this.#hasBridge,
    );
    return rows.map((row) => this.#summary(row));
  }

  byName(name: string): NetworkSummary | undefined {
    const row = this.#rowNamed(name);
    return row && this.#summary(row);
  }

  #rowNamed(name: string): NetworkRow | undefined {
    for (const row of this.#rows.values()) {
      if (row.name === "bridge" && !this.#hasBridge) continue;
      if (row.name === name || row.id === name) return row;
    }
    return undefined;
  }

  /** By name, id or a unique beginning of one. Throws not_found in Docker's words, conflict. */
  find(ref: string): NetworkSummary {
    return this.#summary(this.#find(ref));
  }

  #find(ref: string): NetworkRow {
    const exact = this.#rowNamed(ref);
    if (exact !== undefined) return exact;
    const shown = ref.slice(0, 100);
    const matches =
      ref === "" ? [] : [...this.#rows.values()].filter(({ id }) => id.startsWith(ref));
    if (matches.length > 1) {
      throw new NaruError(
        "conflict",
        `network ${shown} is ambiguous (${matches.length} matches found based on ID prefix)`,
      );
    }
    const [only] = matches;
    if (only === undefined)
      throw new NaruError("not_found", `network ${shown} not found`, { network: shown });
    return only;
  }

  /** Throws not_found, forbidden for a network that is only configuration. */
  active(ref: string): ActiveNetwork {
    const row = this.#find(ref);
    const found = this.#active.get(row.id);
    if (found !== undefined) return found;
    throw new NaruError(
      "forbidden",
      `container cannot be connected to the network ${row.name}: it is only for configuration, or not of the kind`,
    );
  }

  /** What the firewall knows of a bridge; undefined for other drivers. */
  rules(id: string): BridgeNetworkRules | undefined {
    const row = this.#rowNamed(id);
    if (row?.driver !== "bridge") return undefined;
    if (row.user !== undefined) return userRules(row, row.user);
    return this.#bridge && bridgeRules(this.#bridge, this.#options.bridge);
  }

  #summary(row: NetworkRow): NetworkSummary {
    const { id, name, driver, createdAt = "", user } = row;
    const common = { id, name, driver, createdAt, builtIn: user === undefined };
    if (user !== undefined) {
      const ipam = user.ranges.map(({ subnet, ipRange, gateway, auxiliary }) => ({
        subnet,
        ipRange,
        gateway,
        auxiliary,
      }));
      const { ranges: _, ...rest } = user;
      return { ...common, ...rest, ipam };
    }
    const bridge = name === "bridge" ? this.#bridge : undefined;
    const enableIPv6 = bridge?.range6 !== undefined;
    return {
      ...common,
      ...{ enableIPv4: true, enableIPv6, internal: false, attachable: false },
      ...{ configOnly: false, configFrom: "", ipamDriver: "default", ipamOptions: null },
      ipam: bridge === undefined ? [] : [bridge.range4, bridge.range6].flatMap(bridgeIpam),
      options: bridge === undefined ? {} : bridgeDriverOptions(bridge, this.#options.bridge),
      labels: {},
    };
  }

  create(body: NetworkCreateBody): Promise<NetworkSummary> {
    return this.#inOrder(async () => {
      if (BUILT_IN.has(body.Name)) {
        throw new NaruError(
          "forbidden",
          `operation is not permitted on predefined ${body.Name} network `,
        );
      }
      if (this.#rowNamed(body.Name) !== undefined) {
        throw new NaruError("conflict", `network with name ${body.Name} already exists`);
      }
      const { kernel, bridge, defaultOptions } = this.#options;
      const row = planNetwork(withDefaults(body, defaultOptions), {
        own: this.#ownSubnets(),
        host: await takenNetworks(kernel),
        pools: bridge.addressPools,
        configOf: (ref) => {
          const user = this.#rowNamed(ref)?.user;
          return user?.configOnly === true ? user : undefined;
        },
        linkName: (id) => `${this.#options.linkPrefix}${id.slice(0, 7)}`,
        createdAt: this.#now(),
      });
      await this.#checkLink(row);
      await this.#add(row);
      return this.#summary(row);
    });
  }

  /** A bridge that somebody else made is not taken over. */
  async #checkLink({ driver, link, user }: NetworkRow): Promise<void> {
    if (driver !== "bridge" || link === undefined || user?.configOnly === true) return;
    const links = await this.#options.kernel.links();
    if (!links.some(({ name }) => name === link)) return;
    throw new NaruError(
      "conflict",
      `com.docker.network.bridge.name: there is a link ${link} already`,
    );
  }

  /** The record first: a crash after it leaves a link that the next start knows, and makes whole. */
  async #add(row: NetworkRow): Promise<void> {
    const { metadata, firewall } = this.#options;
    await metadata.commit([{ table: "networks", key: row.id, value: row }]);
    this.#rows.set(row.id, row);
    const { user } = row;
    if (user === undefined || user.configOnly) return;
    try {
      await this.#realise(row, user);
      if (row.driver === "bridge") await firewall.setNetwork(userRules(row, user));
    } catch (error) {
      await this.#take(row).catch(() => undefined);
      throw error;
    }
  }

  /** Throws forbidden in Docker's words. */
  remove(ref: string): Promise<NetworkSummary> {
    return this.#inOrder(async () => {
      const row = this.#find(ref);
      if (row.user === undefined) {
        throw new NaruError(
          "forbidden",
          `${row.name} is a pre-defined network and cannot be removed`,
        );
      }
      const users = this.#options.containersOn(row.id);
      if (users.length > 0) {
        const ids = users.map((id) => id.slice(0, 12)).join(", ");
        throw new NaruError(
          "forbidden",
          `error while removing network: network ${row.name} has active endpoints (containers ${ids})`,
        );
      }
      const heir = [...this.#rows.values()].find(({ user }) => user?.configFrom === row.name);
      if (row.user.configOnly && heir !== undefined) {
        throw new NaruError(
          "forbidden",
          `configuration network "${row.name}" is in use by ${heir.name}`,
        );
      }
      await this.#take(row);
      return this.#summary(row);
    });
  }

  /** The record last: what a crash leaves is a network that the next start makes whole. */
  async #take(row: NetworkRow): Promise<void> {
    const { metadata, firewall, kernel } = this.#options;
    this.#active.delete(row.id);
    if (row.driver === "bridge") await firewall.removeNetwork(row.id);
    const { link, user } = row;
    if (
      link !== undefined &&
      user !== undefined &&
      !user.configOnly &&
      isOurs(row, this.#options.linkPrefix)
    ) {
      await kernel.deleteLinks([link]);
    }
    await metadata.commit([{ table: "networks", key: row.id, value: undefined }]);
    this.#rows.delete(row.id);
  }

  #ownSubnets(): IpNetwork[] {
    return this.list().flatMap(({ ipam }) =>
      ipam.map(({ subnet }) => needNetwork(subnet, "subnet")),
    );
  }

  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** What `host-gateway` stands for when no option says it: the host's addresses on the bridge. */
  get hostGateways(): readonly string[] {
    return [this.#bridge?.range4, this.#bridge?.range6].flatMap((range) => range?.address ?? []);
  }

  /** The default bridge goes, unless somebody else made it. */
  async teardown(): Promise<void> {
    const { kernel, metadata } = this.#options;
    for (const row of [...this.#rows.values()]) if (row.user !== undefined) await this.#take(row);
    const row = this.#rows.get("bridge");
    if (row === undefined) return;
    await removeBridge(row, kernel, metadata);
    this.#rows.delete("bridge");
    this.#bridge = undefined;
  }
}

/** By driver, then option: what `network create` gives networks that do not say otherwise. */
export type DefaultNetworkOptions = Readonly<Record<string, Readonly<Record<string, string>>>>;

function checkDefaults(defaults: DefaultNetworkOptions): void {
  for (const [driver, options] of Object.entries(defaults)) {
    if (driver === "bridge") parseBridgeOptions(options);
    else if (driver === "macvlan" || driver === "ipvlan") parseSharedOptions(driver, options);
    else {
      const text = `default-network-opts: want bridge, macvlan or ipvlan, got "${driver}"`;
      throw new NaruError("invalid_argument", text);
    }
  }
}

function withDefaults(body: NetworkCreateBody, defaults: DefaultNetworkOptions): NetworkCreateBody {
  const own = defaults[body.Driver || "bridge"];
  if (own === undefined || (body.ConfigFrom?.Network ?? "") !== "") return body;
  return { ...body, Options: { ...own, ...body.Options } };
}

function bridgeIpam(range: BridgeRange | undefined): IpamRange[] {
  if (range === undefined) return [];
  const { network, pool, address, gateway } = range;
  const isWhole = pool.prefixLength === network.prefixLength;
  const ipRange = isWhole ? "" : networkText(pool);
  const name = `DefaultGatewayIPv${network.family}`;
  const auxiliary = gateway === address ? {} : { [name]: gateway };
  return [{ subnet: networkText(network), ipRange, gateway: address, auxiliary }];
}

/** Parents that a user named stay, except the VLAN that was made for the network. */
function isOurs(row: NetworkRow, linkPrefix: string): boolean {
  if (row.driver === "bridge") return row.madeByEngine === true;
  return row.link?.startsWith(linkPrefix) === true || vlanOf(row.link ?? "") !== undefined;
}

function vlanOf(link: string): { readonly parent: string; readonly id: number } | undefined {
  const match = /^(.+)\.(\d{1,4})$/.exec(link);
  const id = Number(match?.[2] ?? 0);
  return match?.[1] === undefined || id < 1 || id > 4094 ? undefined : { parent: match[1], id };
}

function parentOf(row: NetworkRow, user: UserNetwork): ParentRequest {
  const name = row.link ?? "";
  if ((user.options["parent"] ?? "") === "") return { name, make: { kind: "dummy" } };
  const vlan = vlanOf(name);
  return { name, make: vlan === undefined ? { kind: "none" } : { kind: "vlan", ...vlan } };
}

function parentError(row: NetworkRow, cause: unknown): NaruError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const text = `cannot make a ${row.driver} network on ${row.link}: ${why}`;
  const kind = /EOPNOTSUPP|not supported/i.test(why) ? "unsupported" : "invalid_argument";
  return new NaruError(kind, text, { parent: row.link ?? "" }, { cause });
}
