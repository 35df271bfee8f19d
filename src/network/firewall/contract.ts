/** How addresses of a network are reached from beyond the host. @see com.docker.network.bridge.gateway_mode_ipv4 */
export type GatewayMode = "nat" | "routed" | "nat-unprotected" | "isolated";

export interface NetworkRange {
  /** `172.18.0.0/16`, `fd00:1::/64` */
  readonly subnet: string;
  /** "" where the host has no address in the network (isolated). */
  readonly gateway: string;
}

/** What the rules of one bridge network depend on. */
export interface BridgeNetworkRules {
  readonly networkId: string;
  /** Name of the bridge's link. */
  readonly link: string;
  readonly ipv4: NetworkRange | undefined;
  readonly ipv6: NetworkRange | undefined;
  /** Nothing leaves and nothing comes in, except between its own containers and the host. */
  readonly internal: boolean;
  /** May containers of the network reach each other? */
  readonly icc: boolean;
  readonly masquerade4: boolean;
  readonly masquerade6: boolean;
  readonly gatewayMode4: GatewayMode;
  readonly gatewayMode6: GatewayMode;
  /** Where ports are published that name no address; "" for every address of the host. */
  readonly hostBinding4: string;
}

export type PortProtocol = "tcp" | "udp" | "sctp";

export interface PublishedPort {
  readonly protocol: PortProtocol;
  readonly containerPort: number;
  /** `0.0.0.0`, `::`, or one address. */
  readonly hostAddress: string;
  /** 0 where the network is routed: the port is opened at the container's own address. */
  readonly hostPort: number;
}

/** A container's place behind its published ports. Plain data: a row of the table `ports`. */
export interface PublishedEndpoint {
  readonly containerId: string;
  readonly networkId: string;
  /** The bridge's link. */
  readonly link: string;
  /** "" where the container has none. */
  readonly ipv4: string;
  readonly ipv6: string;
  readonly ports: readonly PublishedPort[];
}

/** A chain of somebody else's that drops what is forwarded unless one of its rules accepts it. */
export interface ForwardDrop {
  /** `ip filter FORWARD` */
  readonly chain: string;
  /** Its owner lets us in: naru's rules are in the place for that. */
  readonly joined: boolean;
}

/** The engine's rules in the kernel, in tables of its own. Calls are done one after the other. */
export interface Firewall {
  /**
   * One transaction: everything that this engine wants, so that traffic goes on while it is
   * replaced. Foreign tables stay as they are.
   */
  start(state: {
    readonly networks: readonly BridgeNetworkRules[];
    readonly published: readonly PublishedEndpoint[];
  }): Promise<void>;
  /** New or changed; the link must be there. */
  setNetwork(rules: BridgeNetworkRules): Promise<void>;
  /** Idempotent. */
  removeNetwork(networkId: string): Promise<void>;
  /** Replaces what the container had; connection tracking forgets the UDP ports that came or went. */
  publish(endpoint: PublishedEndpoint): Promise<void>;
  /** Idempotent. */
  unpublish(containerId: string): Promise<void>;
  /** For a diagnosis: are the rules there, and who else drops what is forwarded. */
  look(): Promise<{ readonly hasRules: boolean; readonly drops: readonly ForwardDrop[] }>;
  /** All rules of this engine go, foreign places included. */
  teardown(): Promise<void>;
}
