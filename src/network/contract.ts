import type { EndpointSettings, Finding, NetworkCreateBody } from "../spec/mod.ts";
import type { PublishedPort } from "./firewall/contract.ts";
import type { PortRequest } from "./ports/contract.ts";

/** How a container is connected. Parsed from HostConfig.NetworkMode. */
export type NetworkMode =
  | { readonly kind: "bridge" } // "default" and "bridge"
  | { readonly kind: "none" }
  | { readonly kind: "host" }
  | { readonly kind: "container"; readonly container: string }
  | { readonly kind: "named"; readonly name: string }; // a user's network

/** A container's place on one network. Plain data: it is stored with the container's record. */
export interface Endpoint {
  readonly networkId: string;
  readonly networkName: string;
  readonly endpointId: string;
  /** Path of the bound network namespace file, the same for all endpoints of a container. */
  readonly netnsPath: string;
  /** Name of the host end of the veth pair, or "" (none, macvlan, ipvlan). */
  readonly hostLink: string;
  readonly macAddress: string;
  /** "" where there is none (network `none`). */
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  readonly gateway: string;
  /** Name inside the container, `eth0`; rows of older engines lack it and what follows. */
  readonly innerLink?: string;
  readonly ipv6Address?: string;
  readonly ipv6PrefixLength?: number;
  readonly ipv6Gateway?: string;
  /** The greatest one's gateway is the container's; of equals the first by network name. */
  readonly gwPriority?: number;
  /** What other containers of the network find it by. Empty on the default bridge. */
  readonly dnsNames?: readonly string[];
  /** Names that only this container has for others: alias to container id. */
  readonly links?: Readonly<Record<string, string>>;
  /** Servers asked for what no container is called; none: those of the engine, or of the host. */
  readonly upstreams?: readonly string[];
}

/** What inspect and lists show of a network. */
export interface NetworkSummary {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  /** RFC 3339; "" for one that was recorded before this was. */
  readonly createdAt: string;
  readonly builtIn: boolean;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly configOnly: boolean;
  readonly configFrom: string;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  readonly ipam: readonly IpamRange[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** @see reference engine-api IPAMConfig. "" where absent. */
export interface IpamRange {
  readonly subnet: string;
  readonly ipRange: string;
  readonly gateway: string;
  readonly auxiliary: Readonly<Record<string, string>>;
}

/** A place on one network that is asked for. */
export interface EndpointRequest {
  /** Name or id. */
  readonly network: string;
  /** Requested, or "" for one made from the address. */
  readonly macAddress: string;
  /** Requested, or "" for any. */
  readonly ipv4Address: string;
  readonly ipv6Address: string;
  readonly gwPriority: number;
  readonly driverOptions: Readonly<Record<string, string>>;
  /** The container's name first, then aliases and short id. */
  readonly dnsNames: readonly string[];
  /** Alias to container id. */
  readonly links: Readonly<Record<string, string>>;
  /** `--dns` */
  readonly upstreams: readonly string[];
}

export interface AttachRequest {
  readonly containerId: string;
  /** Empty: a namespace with `lo` alone. */
  readonly endpoints: readonly EndpointRequest[];
  readonly sysctls: Readonly<Record<string, string>>;
}

/** Contents of the three files that are bound over /etc in a container. */
export interface EtcFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

export interface EtcFilesRequest {
  readonly mode: NetworkMode;
  readonly endpoints: readonly Endpoint[];
  readonly hostname: string;
  readonly domainname: string;
  /** `name:address` or `name=address`; `host-gateway` as address. Throws invalid_argument naming it. */
  readonly extraHosts: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
}

/** Whom a diagnosis is about. */
export interface DoctorSubject {
  readonly id: string;
  readonly name: string;
  readonly running: boolean;
  readonly mode: NetworkMode;
}

export interface NetworkService {
  /** Makes or finds the bridge, addresses, rules and forwarding. Idempotent; used at engine start. */
  start(): Promise<void>;
  /** Throws invalid_argument. `default` is `bridge`. */
  parseMode(networkMode: string): NetworkMode;
  networks(): readonly NetworkSummary[];
  /** By name, id or a unique beginning of an id. Throws not_found, conflict when it is ambiguous. */
  network(ref: string): NetworkSummary;
  /** By name or id alone. */
  networkByName(name: string): NetworkSummary | undefined;
  /** Durable when resolved. Throws invalid_argument, forbidden, conflict, exhausted, unsupported. */
  create(body: NetworkCreateBody): Promise<{ id: string; warning: string }>;
  /** Throws forbidden for a built-in one, and for one with containers on it. */
  remove(ref: string): Promise<NetworkSummary>;
  /** Where a container is, by the rows; for what a crash left between them and the container's own. */
  endpointsOf(containerId: string): readonly Endpoint[];
  /** Containers that are on it now. */
  containersOn(networkId: string): readonly string[];
  /** Throws what `attach` would for what can be judged before a start. */
  checkEndpoint(request: EndpointRequest): void;
  /**
   * A namespace with a link and addresses for each network. Durable before it answers; undone by
   * `detach`, also after a crash half-way. The first endpoint comes first.
   */
  attach(request: AttachRequest): Promise<readonly Endpoint[]>;
  /** One more network for a container that runs. Durable; undone by `disconnect` and `detach`. */
  connect(containerId: string, request: EndpointRequest): Promise<Endpoint>;
  /** Link and address of one network go at once. Idempotent. */
  disconnect(containerId: string, networkId: string): Promise<void>;
  /** Others find a running container by another name; gives its endpoints as they are now. Durable. */
  rename(containerId: string, from: string, to: string): Promise<readonly Endpoint[]>;
  /** First half: rules gone, addresses into quarantine, deletion of links and namespace queued durably. Idempotent. */
  detach(containerId: string): Promise<void>;
  /** Is the endpoint still whole in the kernel? (recovery) */
  isIntact(endpoint: Endpoint): Promise<boolean>;
  /** Removes links, namespaces and addresses of this engine whose container is not in `owners`. */
  sweep(owners: ReadonlySet<string>): Promise<void>;
  etcFiles(request: EtcFilesRequest): Promise<EtcFiles>;
  /** Wire shape of an endpoint for an inspect. */
  endpointSettings(endpoint: Endpoint): EndpointSettings;
  /**
   * Publishes ports of an attached container in place of those that it had, at the network that
   * leads out of it: all or none, durable when it resolves, undone by `detach`. A number that was
   * chosen for it stays. Throws internal in Docker's words when one is taken.
   */
  publishPorts(containerId: string, requests: readonly PortRequest[]): Promise<void>;
  publishedPorts(containerId: string): readonly PublishedPort[];
  /** Why packets between two containers, or a container and the world, arrive or do not. */
  diagnose(from: DoctorSubject, to: DoctorSubject | undefined): Promise<Finding[]>;
  /** Removes bridge and rules if nothing uses them (an engine with `--rm-network-on-stop` in tests, uninstall). */
  teardown(): Promise<void>;
}
