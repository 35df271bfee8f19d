import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { errorCode, isNaruError, KeyedQueue, NaruError, newId } from "../base/mod.ts";
import {
  type DefaultRoutes,
  type NamespaceEndpoint,
  type NetworkKernel,
  sysctlPath,
} from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { Metadata, WorkQueue } from "../storage/mod.ts";
import type { ActiveNetwork } from "./active-network.ts";
import type { AttachRequest, Endpoint, EndpointRequest } from "./contract.ts";
import { EndpointBook, type EndpointRow } from "./endpoint-book.ts";
import { LinkWatch } from "./link-watch.ts";
import { macForAddress, randomMac } from "./mac.ts";
import type { NameRecords } from "./netd/contract.ts";

export interface SandboxOptions {
  readonly kernel: NetworkKernel;
  readonly metadata: Metadata;
  readonly queue: WorkQueue;
  readonly logger: Logger;
  /** Directory in the run root for namespace files. */
  readonly netnsDir: string;
  /** Of the links of this engine. */
  readonly linkPrefix: string;
  /** Id of the network `none`. */
  readonly noneId: () => string;
  /** By name or id. Throws not_found. */
  readonly active: (ref: string) => ActiveNetwork;
}

const CLEANUP_WORK = "network-cleanup";
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
/** Of the row that keeps the namespace of a container which was disconnected from everything. */
const NOWHERE = "";

/** Containers' network namespaces with the links in them, and the addresses that these have. */
export class Sandboxes {
  readonly #options: SandboxOptions;
  readonly #book: EndpointBook;
  readonly #watch: LinkWatch;
  readonly #perContainer: KeyedQueue<string> = new KeyedQueue();

  constructor(options: SandboxOptions) {
    this.#options = options;
    this.#book = new EndpointBook(options.metadata);
    this.#watch = new LinkWatch(options.kernel);
    options.queue.handle(CLEANUP_WORK, (payload) => this.#cleanUp(payload as Endpoint));
  }

  get isEmpty(): boolean {
    return this.#book.rows().length === 0;
  }

  /** Containers with an endpoint on the network. */
  containersOn(networkId: string): string[] {
    return this.#book
      .rows()
      .filter(({ state, endpoint }) => state === "used" && endpoint.networkId === networkId)
      .map(({ containerId }) => containerId);
  }

  endpointsOf(containerId: string): Endpoint[] {
    return this.#book
      .usedBy(containerId)
      .map(({ endpoint }) => endpoint)
      .filter(({ networkName }) => networkName !== NOWHERE);
  }

  /** Throws what `attach` would for what can be judged now. */
  check(request: EndpointRequest): void {
    checkMac(request.macAddress);
    const network = this.#options.active(request.network);
    for (const [range, wanted] of [
      [network.range4, request.ipv4Address],
      [network.range6, request.ipv6Address],
    ] as const) {
      if (wanted === "") continue;
      if (range === undefined) throw noFamily(network, wanted);
      if (range.asked) continue;
      this.#book.reserve(range, wanted); // throws
    }
  }

  attach(request: AttachRequest): Promise<readonly Endpoint[]> {
    const { containerId, endpoints: asked } = request;
    return this.#perContainer.run(containerId, async () => {
      // What a crash left of a former run is no endpoint to go on with.
      await this.#detach(containerId);
      const netnsPath = this.#newNetnsPath();
      const endpoints: Endpoint[] = [];
      try {
        for (const [index, one] of asked.entries())
          endpoints.push(this.#plan(one, netnsPath, index));
      } catch (error) {
        this.#release(endpoints);
        throw error;
      }
      const none = noEndpoint({ id: this.#options.noneId(), name: "none" }, netnsPath);
      const all = endpoints.length === 0 ? [none] : endpoints;
      await this.#create(request, all);
      return all;
    });
  }

  #newNetnsPath(): string {
    return `${this.#options.netnsDir}/${randomBytes(6).toString("hex")}`;
  }

  /** An endpoint with its addresses reserved. */
  #plan(request: EndpointRequest, netnsPath: string, index: number): Endpoint {
    checkMac(request.macAddress);
    const network = this.#options.active(request.network);
    const { range4, range6, shared } = network;
    if (request.ipv4Address !== "" && range4 === undefined)
      throw noFamily(network, request.ipv4Address);
    if (request.ipv6Address !== "" && range6 === undefined)
      throw noFamily(network, request.ipv6Address);
    const ipv4 = range4 === undefined ? "" : this.#book.reserve(range4, request.ipv4Address);
    let ipv6: string;
    try {
      ipv6 = range6 === undefined ? "" : this.#book.reserve(range6, request.ipv6Address);
    } catch (error) {
      this.#book.release(ipv4);
      throw error;
    }
    const { linkPrefix } = this.#options;
    const veth = `${linkPrefix}${randomBytes(4).toString("hex").slice(0, 7)}`;
    return {
      networkId: network.id,
      networkName: network.name,
      endpointId: newId(),
      netnsPath,
      hostLink: shared === undefined ? veth : "",
      macAddress: shared?.kind === "ipvlan" ? "" : request.macAddress.toLowerCase() || macOf(ipv4),
      ipv4Address: ipv4,
      ipv4PrefixLength: range4?.network.prefixLength ?? 0,
      gateway: range4?.gateway ?? "",
      innerLink: `${network.interfacePrefix}${index}`,
      ipv6Address: ipv6,
      ipv6PrefixLength: range6?.network.prefixLength ?? 0,
      ipv6Gateway: range6?.gateway ?? "",
      gwPriority: request.gwPriority,
      ...(network.named
        ? { dnsNames: request.dnsNames, links: request.links, upstreams: request.upstreams }
        : {}),
    };
  }

  #release(endpoints: readonly Endpoint[]): void {
    for (const { ipv4Address, ipv6Address = "" } of endpoints) {
      this.#book.release(ipv4Address);
      this.#book.release(ipv6Address);
    }
  }

  /** The records first, then the kernel: whatever a crash leaves behind has a row that names it. */
  async #create(request: AttachRequest, endpoints: readonly Endpoint[]): Promise<void> {
    const { kernel } = this.#options;
    const path = endpoints[0]?.netnsPath ?? "";
    await this.#record(request.containerId, endpoints);
    try {
      await kernel.createNamespace({
        path,
        endpoints: endpoints.flatMap((endpoint) => this.#namespaceEndpoint(endpoint) ?? []),
        routes: this.#routesOf(endpoints),
        sysctls: netSysctls(request.sysctls),
      });
    } catch (error) {
      await this.#strike(endpoints);
      throw refusedSysctl(error) ?? unsupportedLink(error) ?? error;
    }
  }

  async #record(containerId: string, endpoints: readonly Endpoint[]): Promise<void> {
    const rows = endpoints.map(
      (endpoint): EndpointRow => ({ containerId, state: "used", endpoint }),
    );
    await this.#options.metadata.commit(rows.map((row) => this.#book.change(row)));
    for (const row of rows) this.#book.record(row);
  }

  async #strike(endpoints: readonly Endpoint[]): Promise<void> {
    await this.#options.metadata.commit(endpoints.map((one) => this.#book.removal(one)));
    for (const one of endpoints) this.#book.forget(one);
  }

  #namespaceEndpoint(endpoint: Endpoint): NamespaceEndpoint | undefined {
    if (endpoint.innerLink === undefined) return undefined;
    const { link, mtu, icc, shared } = this.#options.active(endpoint.networkId);
    return {
      ...{ hostLink: endpoint.hostLink, parent: link, mtu, isolated: !icc },
      ...(shared === undefined ? {} : { shared }),
      innerLink: endpoint.innerLink,
      macAddress: endpoint.macAddress,
      ipv4Address: endpoint.ipv4Address,
      ipv4PrefixLength: endpoint.ipv4PrefixLength,
      ipv6Address: endpoint.ipv6Address ?? "",
      ipv6PrefixLength: endpoint.ipv6PrefixLength ?? 0,
    };
  }

  /** The endpoint of a network of this driver by which the container is reached from outside. */
  outward(containerId: string, driver: string): Endpoint | undefined {
    const all = this.#outward(this.endpointsOf(containerId));
    return all.find(({ network }) => network.driver === driver)?.endpoint;
  }

  /** The endpoint of the greatest priority leads out; of equals the first by its network's name. */
  #outward(endpoints: readonly Endpoint[]): { endpoint: Endpoint; network: ActiveNetwork }[] {
    return endpoints
      .filter(({ innerLink }) => innerLink !== undefined)
      .map((endpoint) => ({ endpoint, network: this.#options.active(endpoint.networkId) }))
      .filter(({ network }) => !network.internal)
      .sort(
        (a, b) =>
          (b.endpoint.gwPriority ?? 0) - (a.endpoint.gwPriority ?? 0) ||
          (a.network.name < b.network.name ? -1 : 1),
      );
  }

  #routesOf(endpoints: readonly Endpoint[]): DefaultRoutes {
    const outward = this.#outward(endpoints);
    const first = (gateway: (endpoint: Endpoint) => string): string => {
      for (const { endpoint, network } of outward) {
        // In mode l3 the parent's host is the router, and there is nobody to ask for its address.
        const { shared } = network;
        if (shared?.kind === "ipvlan" && shared.mode !== "l2") return `dev ${endpoint.innerLink}`;
        if (gateway(endpoint) !== "") return gateway(endpoint);
      }
      return "";
    };
    return {
      ipv4: first(({ ipv4Address, gateway }) => (ipv4Address === "" ? "" : gateway)),
      ipv6: first(({ ipv6Address = "", ipv6Gateway = "" }) =>
        ipv6Address === "" ? "" : ipv6Gateway,
      ),
    };
  }

  connect(containerId: string, request: EndpointRequest): Promise<Endpoint> {
    return this.#perContainer.run(containerId, async () => {
      const { kernel } = this.#options;
      const used = this.#book.usedBy(containerId).map(({ endpoint }) => endpoint);
      const path = used[0]?.netnsPath;
      if (path === undefined) {
        throw new NaruError("conflict", `container ${containerId} has no network namespace`);
      }
      const numbers = used.map(({ innerLink }) => Number(/\d+$/.exec(innerLink ?? "")?.[0] ?? -1));
      const endpoint = this.#plan(request, path, Math.max(-1, ...numbers) + 1);
      await this.#record(containerId, [endpoint]);
      try {
        const inside = this.#namespaceEndpoint(endpoint);
        if (inside !== undefined) await kernel.addEndpoint(path, inside);
        await kernel.setRoutes(path, this.#routesOf([...used, endpoint]));
      } catch (error) {
        await kernel.removeEndpoint(path, endpoint.innerLink ?? "").catch(() => undefined);
        await this.#strike([endpoint]);
        throw unsupportedLink(error) ?? error;
      }
      await this.#strike(used.filter(({ networkName }) => networkName === NOWHERE));
      return endpoint;
    });
  }

  disconnect(containerId: string, networkId: string): Promise<void> {
    return this.#perContainer.run(containerId, async () => {
      const { kernel, metadata, queue } = this.#options;
      const rows = this.#book.usedBy(containerId);
      const row = rows.find(({ endpoint }) => endpoint.networkId === networkId);
      if (row === undefined) return;
      const rest = rows.filter((other) => other !== row).map(({ endpoint }) => endpoint);
      const { netnsPath, innerLink = "" } = row.endpoint;
      if (rest.length === 0) {
        await this.#record(containerId, [noEndpoint({ id: "", name: NOWHERE }, netnsPath)]);
      }
      const quarantined: EndpointRow = { ...row, state: "quarantine" };
      const { item, change } = queue.prepare(CLEANUP_WORK, row.endpoint);
      await metadata.commit([this.#book.change(quarantined), change]);
      this.#book.record(quarantined);
      await kernel.removeEndpoint(netnsPath, innerLink);
      await kernel.setRoutes(netnsPath, this.#routesOf(rest));
      queue.submit(item);
    });
  }

  rename(containerId: string, from: string, to: string): Promise<readonly Endpoint[]> {
    return this.#perContainer.run(containerId, async () => {
      const renamed = this.endpointsOf(containerId).map((endpoint) => {
        const { dnsNames } = endpoint;
        if (dnsNames === undefined) return endpoint;
        return { ...endpoint, dnsNames: dnsNames.map((name) => (name === from ? to : name)) };
      });
      if (renamed.length > 0) await this.#record(containerId, renamed);
      return renamed;
    });
  }

  /** What the name service must know of a container; undefined when it is on no network with names. */
  namesOf(containerId: string): NameRecords | undefined {
    const named = this.endpointsOf(containerId).filter(({ dnsNames = [] }) => dnsNames.length > 0);
    const [first] = named;
    if (first === undefined) return undefined;
    return {
      containerId,
      netnsPath: first.netnsPath,
      networks: named.map((endpoint) => ({
        networkId: endpoint.networkId,
        networkName: endpoint.networkName,
        ipv4: endpoint.ipv4Address,
        ipv6: endpoint.ipv6Address ?? "",
        names: endpoint.dnsNames ?? [],
        links: endpoint.links ?? {},
      })),
      upstreams: first.upstreams ?? [],
      external: this.#outward(this.endpointsOf(containerId)).length > 0,
    };
  }

  /** Of all containers. */
  names(): NameRecords[] {
    const ids = new Set(
      this.#book.rows().flatMap((row) => (row.state === "used" ? [row.containerId] : [])),
    );
    return [...ids].flatMap((id) => this.namesOf(id) ?? []);
  }

  detach(containerId: string): Promise<void> {
    return this.#perContainer.run(containerId, () => this.#detach(containerId));
  }

  async #detach(containerId: string): Promise<void> {
    const rows = this.#book.usedBy(containerId);
    if (rows.length === 0) return;
    const { metadata, queue, kernel, logger } = this.#options;
    const quarantined = rows.map((row): EndpointRow => ({ ...row, state: "quarantine" }));
    const work = rows.map(({ endpoint }) => queue.prepare(CLEANUP_WORK, endpoint));
    await metadata.commit([
      ...quarantined.map((row) => this.#book.change(row)),
      ...work.map(({ change }) => change),
    ]);
    for (const row of quarantined) this.#book.record(row);
    // Unbinding takes 0.05 ms; the kernel then ends namespace and link on its own time, many at once.
    for (const path of new Set(rows.map(({ endpoint }) => endpoint.netnsPath))) {
      await kernel.removeNamespace(path).catch((error) => {
        logger.warn("network namespace stays until the next try", { containerId, error });
      });
    }
    for (const { item } of work) queue.submit(item);
  }

  /** The second half: the address is free again once its link is gone. */
  async #cleanUp(endpoint: Endpoint): Promise<void> {
    if (!this.#book.usesPath(endpoint.netnsPath)) {
      await this.#options.kernel.removeNamespace(endpoint.netnsPath);
    }
    if (endpoint.hostLink !== "") await this.#watch.gone(endpoint.hostLink);
    await this.#strike([endpoint]);
  }

  async isIntact(endpoint: Endpoint): Promise<boolean> {
    const { kernel, active } = this.#options;
    const inside = await kernel.namespaceLinks(endpoint.netnsPath);
    if (inside === undefined) return false;
    if (endpoint.hostLink === "") return true;
    const name = endpoint.innerLink ?? "eth0";
    const links = await kernel.links();
    let bridgeName: string;
    try {
      bridgeName = active(endpoint.networkId).link;
    } catch {
      return false;
    }
    const bridge = links.find((link) => link.name === bridgeName);
    const host = links.find((link) => link.name === endpoint.hostLink);
    const inner = inside.some((link) => link.name === name && link.up);
    return bridge !== undefined && host?.master === bridge.index && host.up && inner;
  }

  async sweep(owners: ReadonlySet<string>): Promise<void> {
    const used = this.#book.rows().filter(({ state }) => state === "used");
    for (const containerId of new Set(used.map((row) => row.containerId))) {
      if (!owners.has(containerId)) await this.detach(containerId);
    }
    const known = this.#book.rows().map(({ endpoint }) => endpoint);
    await this.#sweepFiles(new Set(known.map(({ netnsPath }) => netnsPath)));
    await this.#sweepLinks(new Set(known.map(({ hostLink }) => hostLink)));
  }

  async #sweepFiles(known: ReadonlySet<string>): Promise<void> {
    const { netnsDir, logger, kernel } = this.#options;
    if (!existsSync(netnsDir)) return;
    for (const name of readdirSync(netnsDir)) {
      const path = `${netnsDir}/${name}`;
      if (known.has(path)) continue;
      logger.info("removing a network namespace that belongs to no container", { path });
      await kernel.removeNamespace(path);
    }
  }

  async #sweepLinks(known: ReadonlySet<string>): Promise<void> {
    const { kernel, linkPrefix, logger } = this.#options;
    const names = (await kernel.links()).map(({ name }) => name);
    const left = names.filter((name) => name.startsWith(linkPrefix) && !known.has(name));
    if (left.length === 0) return;
    logger.info("removing links that belong to no container", { links: left.length });
    await kernel.deleteLinks(left);
  }
}

/** A namespace with `lo` alone. */
function noEndpoint(
  network: { readonly id: string; readonly name: string },
  netnsPath: string,
): Endpoint {
  return {
    ...{
      networkId: network.id,
      networkName: network.name,
      endpointId: newId(),
      netnsPath,
      hostLink: "",
      macAddress: "",
    },
    ...{ ipv4Address: "", ipv4PrefixLength: 0, gateway: "" },
  };
}

/** Of the IPv4 address, so that neighbours' tables stay right; at random without one. */
function macOf(ipv4: string): string {
  return macForAddress(ipv4) ?? randomMac();
}

function checkMac(text: string): void {
  const mac = text.toLowerCase();
  if (mac === "" || (MAC.test(mac) && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0)) return;
  throw new NaruError(
    "invalid_argument",
    `invalid MAC address "${text.slice(0, 60)}": want six pairs, unicast`,
  );
}

function noFamily(network: ActiveNetwork, wanted: string): NaruError {
  const text = `invalid endpoint settings:\nno configured subnet or ip-range contain the IP address ${wanted.slice(0, 60)}`;
  return new NaruError("invalid_argument", text, { network: network.name });
}

/** Others than `net.` are the runtime's. */
function netSysctls(sysctls: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(sysctls).filter(([name]) => /^net[./]/.test(name)));
}

/** A sysctl that the kernel refuses is the client's error, with the words that its CLI looks for. */
function refusedSysctl(error: unknown): NaruError | undefined {
  if (!isNaruError(error) || error.details["call"] !== "sysctl") return undefined;
  const name = String(error.details["subject"]);
  const code = errorCode(error.cause) ?? "";
  const reason = SYSCTL_REASONS[code] ?? code;
  return new NaruError(
    "invalid_argument",
    `cannot set sysctl ${name}: open ${sysctlPath(name)}: ${reason}`,
    { sysctl: name, ...(code === "ENOENT" ? { exitCode: 127 } : {}) },
    { cause: error },
  );
}

const SYSCTL_REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EINVAL: "invalid argument",
};

/** Kernels are built without some kinds of links. */
function unsupportedLink(error: unknown): NaruError | undefined {
  if (!isNaruError(error, "unsupported")) return undefined;
  const subject = String(error.details["subject"] ?? "");
  const text = `this kernel has no such links (${subject}): load the module, or use the driver bridge`;
  return new NaruError("unsupported", text, error.details, { cause: error });
}
