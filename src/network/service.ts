import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import {
  type Clock,
  errorCode,
  formatTimestamp,
  isNaruError,
  KeyedQueue,
  NaruError,
  newId,
  systemClock,
} from "../base/mod.ts";
import { type NamespaceEndpoint, NetworkKernel, sysctlPath } from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { EndpointSettings, PortMap } from "../spec/mod.ts";
import type { Metadata, WorkQueue } from "../storage/mod.ts";
import type {
  AttachRequest,
  Endpoint,
  EtcFiles,
  EtcFilesRequest,
  NetworkMode,
  NetworkService,
  NetworkSummary,
} from "./contract.ts";
import {
  type BridgeOptions,
  bridgeRules,
  type DefaultBridge,
  type NetworkRow,
  removeBridge,
  startBridge,
} from "./default-bridge.ts";
import { EndpointBook, type EndpointRow } from "./endpoint-book.ts";
import { renderEtcFiles } from "./etc-files.ts";
import type { Firewall } from "./firewall/contract.ts";
import { createFirewall } from "./firewall/firewall.ts";
import { ipv4Text, macForAddress, networkText } from "./ipv4.ts";
import { LinkWatch } from "./link-watch.ts";
import { parseNetworkMode } from "./mode.ts";

export interface NetworkServiceOptions extends Omit<BridgeOptions, "createdAt"> {
  readonly ipForward: boolean;
  /** Drop forwarding that is nobody's when the engine had to switch forwarding on. */
  readonly ipForwardDrop: boolean;
  /** At least 6 hexadecimal digits that no other engine of the host has: names in the kernel. */
  readonly engineShortId: string;
  /** Directory in the run root for namespace files. */
  readonly netnsDir: string;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly metadata: Metadata;
  readonly queue: WorkQueue;
  readonly logger: Logger;
  /** The machine's when absent. */
  readonly clock?: Clock;
}

/** A NetworkService with its Worker; must be made before the work queue starts. */
export interface NetworkServiceControl extends NetworkService {
  /** Stops the Worker; containers keep their networks. */
  close(): void;
}

const CLEANUP_WORK = "network-cleanup";
const SHORT_ID_LENGTH = 6; // of 15 bytes of a link's name: 2 mark, 6 engine, 7 endpoint
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

export function createNetworkService(options: NetworkServiceOptions): NetworkServiceControl {
  return new BridgeNetworkService(options);
}

class BridgeNetworkService implements NetworkServiceControl {
  readonly #options: NetworkServiceOptions;
  readonly #kernel: NetworkKernel = new NetworkKernel();
  readonly #watch: LinkWatch;
  readonly #book: EndpointBook;
  readonly #perContainer: KeyedQueue<string> = new KeyedQueue();
  readonly #rows: Map<string, NetworkRow> = new Map();
  readonly #linkPrefix: string;
  readonly #firewall: Firewall;
  #bridge: DefaultBridge | undefined;

  constructor(options: NetworkServiceOptions) {
    this.#options = options;
    this.#watch = new LinkWatch(this.#kernel);
    this.#book = new EndpointBook(options.metadata);
    const shortId = options.engineShortId.slice(0, SHORT_ID_LENGTH);
    this.#linkPrefix = `nv${shortId}`;
    this.#firewall = createFirewall({
      table: `naru_${options.engineShortId}`,
      ipForward: options.ipForward,
      ipForwardDrop: options.ipForwardDrop,
      allowDirectRouting: false,
      respectHostFirewall: false,
      forgetConnections: () => Promise.resolve(),
      logger: options.logger,
    });
    for (const [key, value] of options.metadata.rows("networks")) {
      this.#rows.set(key, value as NetworkRow);
    }
    options.queue.handle(CLEANUP_WORK, (payload) => this.#cleanUp(payload as Endpoint));
  }

  async start(): Promise<void> {
    const { metadata, netnsDir } = this.#options;
    mkdirSync(netnsDir, { recursive: true, mode: 0o700 });
    for (const [name, driver] of [
      ["host", "host"],
      ["none", "null"],
    ] as const) {
      if (this.#rows.has(name)) continue;
      const row: NetworkRow = { id: newId(), name, driver, createdAt: this.#now() };
      await metadata.commit([{ table: "networks", key: name, value: row }]);
      this.#rows.set(name, row);
    }
    if (!this.#hasBridge()) return;
    const bridgeOptions = { ...this.#options, createdAt: this.#now() };
    const former = this.#rows.get("bridge");
    this.#bridge = await startBridge(bridgeOptions, this.#kernel, metadata, former);
    this.#rows.set("bridge", this.#bridge.row);
    const networks = [bridgeRules(this.#bridge, bridgeOptions)];
    await this.#firewall.start({ networks, published: [] });
  }

  #now(): string {
    return formatTimestamp((this.#options.clock ?? systemClock).nowNs());
  }

  #hasBridge(): boolean {
    return this.#options.bridge !== "none";
  }

  parseMode(networkMode: string): NetworkMode {
    return parseNetworkMode(networkMode, this.#hasBridge());
  }

  networks(): readonly NetworkSummary[] {
    const names = this.#hasBridge() ? ["bridge", "host", "none"] : ["host", "none"];
    return names.flatMap((name) => this.networkByName(name) ?? []);
  }

  networkByName(name: string): NetworkSummary | undefined {
    const row = this.#rows.get(name);
    if (row === undefined || (name === "bridge" && !this.#hasBridge())) return undefined;
    const bridge = name === "bridge" ? this.#bridge : undefined;
    return {
      id: row.id,
      name,
      driver: row.driver,
      createdAt: row.createdAt ?? "",
      subnet: bridge === undefined ? "" : networkText(bridge.network),
      gateway: bridge === undefined ? "" : ipv4Text(bridge.gateway),
    };
  }

  attach(request: AttachRequest): Promise<Endpoint> {
    return this.#perContainer.run(request.containerId, async () => {
      // What a crash left of a former run is no endpoint to go on with.
      await this.#detach(request.containerId);
      return request.mode.kind === "none"
        ? await this.#create(request, this.#endpointWithoutLink())
        : await this.#attachToBridge(request);
    });
  }

  async #attachToBridge(request: AttachRequest): Promise<Endpoint> {
    const bridge = this.#bridge;
    if (bridge === undefined) throw new NaruError("not_found", "network bridge not found");
    const macAddress = request.macAddress.toLowerCase();
    if (macAddress !== "" && !isUnicastMac(macAddress)) {
      const text = `invalid MAC address "${request.macAddress}": want six pairs, unicast`;
      throw new NaruError("invalid_argument", text);
    }
    const address = this.#book.reserve(bridge.network, bridge.gateway);
    try {
      return await this.#create(request, {
        networkId: bridge.row.id,
        networkName: "bridge",
        endpointId: newId(),
        netnsPath: this.#newNetnsPath(),
        hostLink: `${this.#linkPrefix}${randomBytes(4).toString("hex").slice(0, 7)}`,
        macAddress: macAddress || macForAddress(address),
        ipv4Address: ipv4Text(address),
        ipv4PrefixLength: bridge.network.prefixLength,
        gateway: ipv4Text(bridge.gateway),
      });
    } catch (error) {
      this.#book.release(address);
      throw error;
    }
  }

  #endpointWithoutLink(): Endpoint {
    return {
      networkId: this.#rows.get("none")?.id ?? "",
      networkName: "none",
      endpointId: newId(),
      netnsPath: this.#newNetnsPath(),
      hostLink: "",
      macAddress: "",
      ipv4Address: "",
      ipv4PrefixLength: 0,
      gateway: "",
    };
  }

  #newNetnsPath(): string {
    return `${this.#options.netnsDir}/${randomBytes(6).toString("hex")}`;
  }

  /** The record first, then the kernel: whatever a crash leaves behind has a row that names it. */
  async #create(request: AttachRequest, endpoint: Endpoint): Promise<Endpoint> {
    const { metadata } = this.#options;
    const row: EndpointRow = { containerId: request.containerId, state: "used", endpoint };
    await metadata.commit([this.#book.change(row)]);
    this.#book.record(row);
    try {
      await this.#kernel.createNamespace({
        path: endpoint.netnsPath,
        sysctls: netSysctls(request.sysctls),
        ...(endpoint.hostLink === "" ? {} : { endpoint: this.#namespaceEndpoint(endpoint) }),
      });
      return endpoint;
    } catch (error) {
      await metadata.commit([this.#book.removal(endpoint)]);
      this.#book.forget(endpoint);
      throw refusedSysctl(error) ?? error;
    }
  }

  #namespaceEndpoint(endpoint: Endpoint): NamespaceEndpoint {
    return {
      hostLink: endpoint.hostLink,
      bridge: this.#options.bridge,
      innerLink: "eth0",
      macAddress: endpoint.macAddress,
      mtu: this.#bridge?.mtu ?? 0,
      ipv4Address: endpoint.ipv4Address,
      ipv4PrefixLength: endpoint.ipv4PrefixLength,
      gateway: endpoint.gateway,
      isolated: !this.#options.icc,
    };
  }

  detach(containerId: string): Promise<void> {
    return this.#perContainer.run(containerId, () => this.#detach(containerId));
  }

  async #detach(containerId: string): Promise<void> {
    const row = this.#book.usedBy(containerId);
    if (row === undefined) return;
    const { metadata, queue } = this.#options;
    const quarantined: EndpointRow = { ...row, state: "quarantine" };
    const { item, change } = queue.prepare(CLEANUP_WORK, row.endpoint);
    await metadata.commit([this.#book.change(quarantined), change]);
    this.#book.record(quarantined);
    // Unbinding takes 0.05 ms; the kernel then ends namespace and link on its own time, many at once.
    await this.#kernel.removeNamespace(row.endpoint.netnsPath).catch((error) => {
      this.#options.logger.warn("network namespace stays until the next try", {
        containerId,
        error,
      });
    });
    queue.submit(item);
  }

  /** The second half: the address is free again once its link is gone. */
  async #cleanUp(endpoint: Endpoint): Promise<void> {
    await this.#kernel.removeNamespace(endpoint.netnsPath);
    if (endpoint.hostLink !== "") await this.#watch.gone(endpoint.hostLink);
    await this.#options.metadata.commit([this.#book.removal(endpoint)]);
    this.#book.forget(endpoint);
  }

  async isIntact(endpoint: Endpoint): Promise<boolean> {
    const inside = await this.#kernel.namespaceLinks(endpoint.netnsPath);
    if (inside === undefined) return false;
    if (endpoint.hostLink === "") return true;
    const links = await this.#kernel.links();
    const bridge = links.find(({ name }) => name === this.#options.bridge);
    const host = links.find(({ name }) => name === endpoint.hostLink);
    const eth0 = inside.some(({ name, up }) => name === "eth0" && up);
    return bridge !== undefined && host?.master === bridge.index && host.up && eth0;
  }

  async sweep(owners: ReadonlySet<string>): Promise<void> {
    for (const { containerId, state } of this.#book.rows()) {
      if (state === "used" && !owners.has(containerId)) await this.detach(containerId);
    }
    const known = this.#book.rows().map(({ endpoint }) => endpoint);
    await this.#sweepFiles(new Set(known.map(({ netnsPath }) => netnsPath)));
    await this.#sweepLinks(new Set(known.map(({ hostLink }) => hostLink)));
  }

  async #sweepFiles(known: ReadonlySet<string>): Promise<void> {
    const { netnsDir, logger } = this.#options;
    if (!existsSync(netnsDir)) return;
    for (const name of readdirSync(netnsDir)) {
      const path = `${netnsDir}/${name}`;
      if (known.has(path)) continue;
      logger.info("removing a network namespace that belongs to no container", { path });
      await this.#kernel.removeNamespace(path);
    }
  }

  async #sweepLinks(known: ReadonlySet<string>): Promise<void> {
    const names = (await this.#kernel.links()).map(({ name }) => name);
    const left = names.filter((name) => name.startsWith(this.#linkPrefix) && !known.has(name));
    if (left.length === 0) return;
    this.#options.logger.info("removing links that belong to no container", { links: left.length });
    await this.#kernel.deleteLinks(left);
  }

  etcFiles(request: EtcFilesRequest): Promise<EtcFiles> {
    const { dns, dnsSearch, dnsOptions } = this.#options;
    const hostGateway = this.#bridge === undefined ? "" : ipv4Text(this.#bridge.gateway);
    const sources = {
      hostHosts: readIfThere("/etc/hosts"),
      hostResolvConf: hostResolvConf(),
      dns,
      dnsSearch,
      dnsOptions,
      hostGateway,
    };
    return Promise.resolve().then(() => renderEtcFiles(request, sources));
  }

  endpointSettings(endpoint: Endpoint): EndpointSettings {
    return {
      IPAMConfig: null,
      Links: null,
      Aliases: null,
      MacAddress: endpoint.macAddress,
      DriverOpts: null,
      GwPriority: 0,
      NetworkID: endpoint.networkId,
      EndpointID: endpoint.endpointId,
      Gateway: endpoint.gateway,
      IPAddress: endpoint.ipv4Address,
      IPPrefixLen: endpoint.ipv4PrefixLength,
      IPv6Gateway: "",
      GlobalIPv6Address: "",
      GlobalIPv6PrefixLen: 0,
      DNSNames: null,
    };
  }

  checkPorts(bindings: PortMap | null, publishAll: boolean): void {
    const published = Object.entries(bindings ?? {}).find(([, list]) => (list ?? []).length > 0);
    if (published !== undefined) {
      const text = `HostConfig.PortBindings: publishing ports (${published[0]}) is not supported yet`;
      throw new NaruError("unsupported", text, { port: published[0] });
    }
    if (publishAll) {
      const text = "HostConfig.PublishAllPorts: publishing ports is not supported yet";
      throw new NaruError("unsupported", text);
    }
  }

  async teardown(): Promise<void> {
    const row = this.#rows.get("bridge");
    if (row === undefined || this.#book.rows().length > 0) return;
    await this.#firewall.teardown();
    await removeBridge(row, this.#kernel, this.#options.metadata);
    this.#rows.delete("bridge");
    this.#bridge = undefined;
  }

  close(): void {
    this.#kernel.close();
  }
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

function isUnicastMac(text: string): boolean {
  return MAC.test(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0;
}

/** systemd-resolved's stub listens on the host's loopback; the real servers are in its other file. */
function hostResolvConf(): string {
  const text = readIfThere("/etc/resolv.conf");
  const stub = /^\s*nameserver\s+127\.0\.0\.53\s*$/m.test(text);
  return (stub && readIfThere("/run/systemd/resolve/resolv.conf")) || text;
}

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
