import type { EndpointSettings, PortMap } from "../spec/mod.ts";

/** How a container is connected. Parsed from HostConfig.NetworkMode. */
export type NetworkMode =
  | { readonly kind: "bridge" } // "default" and "bridge"
  | { readonly kind: "none" }
  | { readonly kind: "host" }
  | { readonly kind: "container"; readonly container: string }
  | { readonly kind: "named"; readonly name: string }; // user networks: refused by name for now

/** What a container got. Plain data: it is stored with the container's record. */
export interface Endpoint {
  readonly networkId: string;
  readonly networkName: string;
  readonly endpointId: string;
  /** Path of the bound network namespace file. */
  readonly netnsPath: string;
  /** Name of the host end of the veth pair, or "" (none). */
  readonly hostLink: string;
  readonly macAddress: string;
  /** "" where there is none (network `none`). */
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  readonly gateway: string;
}

export interface NetworkSummary {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  /** RFC 3339; "" for one that was recorded before this was. */
  readonly createdAt: string;
  readonly subnet: string;
  readonly gateway: string;
}

export interface AttachRequest {
  readonly containerId: string;
  readonly mode: { readonly kind: "bridge" } | { readonly kind: "none" };
  /** Requested, or "" for one made from the address. */
  readonly macAddress: string;
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
  readonly endpoint: Endpoint | undefined;
  readonly hostname: string;
  readonly domainname: string;
  /** `name:address` or `name=address`; `host-gateway` as address. Throws invalid_argument naming it. */
  readonly extraHosts: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
}

export interface NetworkService {
  /** Makes or finds the bridge, addresses, rules and forwarding. Idempotent; used at engine start. */
  start(): Promise<void>;
  /** Throws invalid_argument. `default` is `bridge`. */
  parseMode(networkMode: string): NetworkMode;
  networks(): readonly NetworkSummary[];
  /** `bridge`, `host`, `none`: id of the network by name, for inspect. */
  networkByName(name: string): NetworkSummary | undefined;
  /** Namespace, link, address. Durable before it answers; undone by `detach`, also after a crash half-way. */
  attach(request: AttachRequest): Promise<Endpoint>;
  /** First half: rules gone, address into quarantine, deletion of link and namespace queued durably. Idempotent. */
  detach(containerId: string): Promise<void>;
  /** Is the endpoint still whole in the kernel? (recovery) */
  isIntact(endpoint: Endpoint): Promise<boolean>;
  /** Removes links, namespaces and addresses of this engine whose container is not in `owners`. */
  sweep(owners: ReadonlySet<string>): Promise<void>;
  etcFiles(request: EtcFilesRequest): Promise<EtcFiles>;
  /** Wire shape of an endpoint for an inspect. */
  endpointSettings(endpoint: Endpoint): EndpointSettings;
  /** Throws unsupported naming HostConfig.PortBindings / PublishAllPorts when a port is to be published. */
  checkPorts(bindings: PortMap | null, publishAll: boolean): void;
  /** Removes bridge and rules if nothing uses them (an engine with `--rm-network-on-stop` in tests, uninstall). */
  teardown(): Promise<void>;
}
