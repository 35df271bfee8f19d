import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { type Clock, systemClock } from "../base/mod.ts";
import type { EventBus } from "../events/mod.ts";
import { ConnectionTracking, NetworkKernel, readSysctl, type TrackedPort } from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { EndpointSettings, NetworkCreateBody } from "../spec/mod.ts";
import type { Metadata, WorkQueue } from "../storage/mod.ts";
import type {
  AttachRequest,
  DoctorSubject,
  Endpoint,
  EndpointRequest,
  EtcFiles,
  EtcFilesRequest,
  NetworkMode,
  NetworkService,
  NetworkSummary,
} from "./contract.ts";
import type { BridgeOptions } from "./default-bridge.ts";
import { diagnose, type Patient } from "./doctor.ts";
import { renderEtcFiles } from "./etc-files.ts";
import type { Firewall, PublishedEndpoint } from "./firewall/contract.ts";
import { createFirewall } from "./firewall/firewall.ts";
import { parseNetworkMode } from "./mode.ts";
import { NetdClient, type NetdClientOptions } from "./netd/client.ts";
import { type DefaultNetworkOptions, NetworkDirectory } from "./network-directory.ts";
import type { PortRequest } from "./ports/contract.ts";
import { PortPublisher } from "./ports/publisher.ts";
import { Sandboxes } from "./sandboxes.ts";

export interface NetworkServiceOptions extends Omit<BridgeOptions, "createdAt"> {
  readonly defaultOptions: DefaultNetworkOptions;
  /** What `host-gateway` stands for; none: the addresses of the default bridge. */
  readonly hostGateways: readonly string[];
  readonly ipForward: boolean;
  /** Drop forwarding that is nobody's when the engine had to switch forwarding on. */
  readonly ipForwardDrop: boolean;
  readonly allowDirectRouting: boolean;
  readonly respectHostFirewall: boolean;
  /** Where netd has its socket, its state and its log, and the version of this program. */
  readonly netd: Omit<NetdClientOptions, "state" | "clock" | "logger">;
  /** At least 6 hexadecimal digits that no other engine of the host has: names in the kernel. */
  readonly engineShortId: string;
  /** Directory in the run root for namespace files. */
  readonly netnsDir: string;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly metadata: Metadata;
  readonly queue: WorkQueue;
  readonly events: Pick<EventBus, "publish">;
  readonly logger: Logger;
  /** For the time of creation that an inspect shows. */
  readonly clock?: Clock;
}

/** A NetworkService with its Worker; must be made before the work queue starts. */
export interface NetworkServiceControl extends NetworkService {
  /** Stops the Worker; containers keep their networks. */
  close(): void;
}

const UDP = 17; // IPPROTO_UDP
const SHORT_ID_LENGTH = 6; // of 15 bytes of a link's name: 2 mark, 6 engine, 7 endpoint or network

export function createNetworkService(options: NetworkServiceOptions): NetworkServiceControl {
  return new LocalNetworkService(options);
}

class LocalNetworkService implements NetworkServiceControl {
  readonly #options: NetworkServiceOptions;
  readonly #kernel: NetworkKernel = new NetworkKernel();
  readonly #firewall: Firewall;
  readonly #directory: NetworkDirectory;
  readonly #sandboxes: Sandboxes;
  readonly #tracking: ConnectionTracking = new ConnectionTracking();
  readonly #ports: PortPublisher;
  readonly #netd: NetdClient;
  /** Containers that netd answers. */
  readonly #named: Set<string> = new Set();

  constructor(options: NetworkServiceOptions) {
    this.#options = options;
    const { metadata, queue, logger, netnsDir } = options;
    const shortId = options.engineShortId.slice(0, SHORT_ID_LENGTH);
    this.#firewall = createFirewall({
      table: `naru_${options.engineShortId}`,
      ipForward: options.ipForward,
      ipForwardDrop: options.ipForwardDrop,
      allowDirectRouting: options.allowDirectRouting,
      respectHostFirewall: options.respectHostFirewall,
      forgetConnections: (endpoint) => this.#forgetConnections(endpoint),
      logger,
    });
    this.#ports = new PortPublisher({
      ...{ metadata, firewall: this.#firewall },
      netd: () => this.#netd,
      defaultAddress: options.publishAddress,
      respectHostFirewall: options.respectHostFirewall,
    });
    this.#netd = new NetdClient({
      ...options.netd,
      state: () => ({ ports: this.#ports.held(), names: this.#sandboxes.names() }),
      clock: options.clock ?? systemClock,
      logger,
    });
    this.#directory = new NetworkDirectory({
      ...{ kernel: this.#kernel, metadata, firewall: this.#firewall, bridge: options },
      clock: options.clock ?? systemClock,
      defaultOptions: options.defaultOptions,
      linkPrefix: `nb${shortId}`,
      containersOn: (id) => this.#sandboxes.containersOn(id),
    });
    this.#sandboxes = new Sandboxes({
      ...{ kernel: this.#kernel, metadata, queue, logger, netnsDir },
      linkPrefix: `nv${shortId}`,
      noneId: () => this.#directory.byName("none")?.id ?? "",
      active: (ref) => this.#directory.active(ref),
    });
  }

  async start(): Promise<void> {
    mkdirSync(this.#options.netnsDir, { recursive: true, mode: 0o700 });
    const networks = await this.#directory.start();
    const published = this.#ports.endpoints();
    if (networks.length > 0) await this.#firewall.start({ networks, published });
    for (const { containerId } of this.#sandboxes.names()) this.#named.add(containerId);
    await this.#netd.resume();
  }

  parseMode(networkMode: string): NetworkMode {
    return parseNetworkMode(networkMode, this.#options.bridge !== "none");
  }

  networks(): readonly NetworkSummary[] {
    return this.#directory.list();
  }

  network(ref: string): NetworkSummary {
    return this.#directory.find(ref);
  }

  networkByName(name: string): NetworkSummary | undefined {
    return this.#directory.byName(name);
  }

  async create(body: NetworkCreateBody): Promise<{ id: string; warning: string }> {
    const made = await this.#directory.create(body);
    this.#publish("create", made);
    return { id: made.id, warning: "" };
  }

  async remove(ref: string): Promise<NetworkSummary> {
    const gone = await this.#directory.remove(ref);
    this.#publish("destroy", gone);
    return gone;
  }

  #publish(action: string, { id, name, driver }: NetworkSummary): void {
    const attributes = { name, type: driver };
    this.#options.events.publish({ type: "network", action, id, attributes });
  }

  containersOn(networkId: string): readonly string[] {
    return this.#sandboxes.containersOn(networkId);
  }

  endpointsOf(containerId: string): readonly Endpoint[] {
    return this.#sandboxes.endpointsOf(containerId);
  }

  checkEndpoint(request: EndpointRequest): void {
    this.#sandboxes.check(request);
  }

  async attach(request: AttachRequest): Promise<readonly Endpoint[]> {
    const endpoints = await this.#sandboxes.attach(request);
    await this.#tellNames(request.containerId);
    return endpoints;
  }

  async connect(containerId: string, request: EndpointRequest): Promise<Endpoint> {
    const endpoint = await this.#sandboxes.connect(containerId, request);
    await this.#tellNames(containerId);
    return endpoint;
  }

  async disconnect(containerId: string, networkId: string): Promise<void> {
    const before = this.#sandboxes.namesOf(containerId);
    await this.#sandboxes.disconnect(containerId, networkId);
    if (before !== undefined) await this.#tellNames(containerId);
  }

  async rename(containerId: string, from: string, to: string): Promise<readonly Endpoint[]> {
    const endpoints = await this.#sandboxes.rename(containerId, from, to);
    await this.#tellNames(containerId);
    return endpoints;
  }

  /** Names that are not answered are no reason for a container not to run: the log says why. */
  async #tellNames(containerId: string): Promise<void> {
    const records = this.#sandboxes.namesOf(containerId);
    const known = this.#named.has(containerId);
    if (records === undefined && !known) return;
    try {
      if (records === undefined) await this.#forgetNames(containerId);
      else {
        this.#named.add(containerId);
        await this.#netd.ask({ op: "names", records });
      }
    } catch (error) {
      this.#options.logger.error("the names of a container are not answered", {
        containerId,
        error,
      });
    }
  }

  /** Its sockets would keep the namespace, and with it the address. */
  async #forgetNames(containerId: string): Promise<void> {
    if (!this.#named.delete(containerId)) return;
    await this.#netd.ask({ op: "forget", what: "names", containerId });
  }

  async detach(containerId: string): Promise<void> {
    await this.#ports.unpublish(containerId);
    await this.#sandboxes.detach(containerId);
    await this.#forgetNames(containerId).catch((error: unknown) => {
      this.#options.logger.warn("netd does not forget a container's names", { containerId, error });
    });
  }

  isIntact(endpoint: Endpoint): Promise<boolean> {
    return this.#sandboxes.isIntact(endpoint);
  }

  async sweep(owners: ReadonlySet<string>): Promise<void> {
    await this.#ports.sweep(owners);
    const gone = this.#sandboxes.names().filter(({ containerId }) => !owners.has(containerId));
    for (const { containerId } of gone) await this.detach(containerId);
    await this.#sandboxes.sweep(owners);
  }

  etcFiles(request: EtcFilesRequest): Promise<EtcFiles> {
    const { dns, dnsSearch, dnsOptions, hostGateways } = this.#options;
    const sources = {
      hostHosts: readIfThere("/etc/hosts"),
      hostResolvConf: hostResolvConf(),
      ...{ dns, dnsSearch, dnsOptions },
      hostGateways: hostGateways.length > 0 ? hostGateways : this.#directory.hostGateways,
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
      GwPriority: endpoint.gwPriority ?? 0,
      NetworkID: endpoint.networkId,
      EndpointID: endpoint.endpointId,
      Gateway: endpoint.gateway,
      IPAddress: endpoint.ipv4Address,
      IPPrefixLen: endpoint.ipv4PrefixLength,
      IPv6Gateway: endpoint.ipv6Gateway ?? "",
      GlobalIPv6Address: endpoint.ipv6Address ?? "",
      GlobalIPv6PrefixLen: endpoint.ipv6PrefixLength ?? 0,
      DNSNames: (endpoint.dnsNames ?? []).length === 0 ? null : [...(endpoint.dnsNames ?? [])],
    };
  }

  async publishPorts(containerId: string, requests: readonly PortRequest[]): Promise<void> {
    const endpoint = this.#sandboxes.outward(containerId, "bridge");
    const network = endpoint && this.#directory.rules(endpoint.networkId);
    if (endpoint === undefined || network === undefined) {
      await this.#ports.unpublish(containerId);
      return;
    }
    const { ipv4Address: ipv4, ipv6Address: ipv6 = "", hostLink } = endpoint;
    // With br_netfilter a bridge has the translated packet, not the host, and would swallow it.
    if (requests.length > 0) await this.#kernel.hairpin(hostLink);
    await this.#ports.publish({ containerId, network, ipv4, ipv6 }, requests);
  }

  publishedPorts: NetworkService["publishedPorts"] = (containerId) => this.#ports.of(containerId);

  async #forgetConnections(endpoint: PublishedEndpoint): Promise<void> {
    const ports = endpoint.ports
      .filter(({ protocol }) => protocol === "udp")
      .map(
        (port): TrackedPort => ({
          protocol: UDP,
          hostAddress: port.hostAddress,
          hostPort: port.hostPort,
          containerAddress: port.hostAddress.includes(":") ? endpoint.ipv6 : endpoint.ipv4,
          containerPort: port.containerPort,
        }),
      );
    await this.#tracking.forget(ports);
  }

  diagnose: NetworkService["diagnose"] = async (from, to) => {
    const patient = (subject: DoctorSubject): Patient => ({
      ...subject,
      endpoints: this.#sandboxes.endpointsOf(subject.id),
      published: this.#ports.of(subject.id),
    });
    const [one, other] = [patient(from), to && patient(to)];
    const intact = new Set<string>();
    for (const endpoint of [...one.endpoints, ...(other?.endpoints ?? [])]) {
      if (await this.isIntact(endpoint)) intact.add(endpoint.endpointId);
    }
    const forwards = (name: string): boolean => readSysctl(name) === "1";
    return diagnose({
      ...{ from: one, to: other, intact },
      network: (id) => this.#directory.active(id),
      forwarding: {
        ipv4: forwards("net.ipv4.ip_forward"),
        ipv6: forwards("net.ipv6.conf.all.forwarding"),
      },
      ...(await this.#firewall.look()),
      netd: await this.#netd.ask({ op: "hello" }).then(
        () => true,
        () => false,
      ),
    });
  };

  async teardown(): Promise<void> {
    if (!this.#sandboxes.isEmpty) return;
    await this.#firewall.teardown();
    await this.#directory.teardown();
  }

  close(): void {
    this.#netd.close();
    this.#tracking.close();
    this.#kernel.close();
  }
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
