/** One network that a container is on, as names are looked up from and for it. */
export interface NamedPlace {
  readonly networkId: string;
  /** In reverse look-ups, and as `NAME.NETWORK`. */
  readonly networkName: string;
  /** "" where the container has none. */
  readonly ipv4: string;
  readonly ipv6: string;
  /** Name, aliases, short id, service names: what others of the network may call it. The first is in reverse look-ups. */
  readonly names: readonly string[];
  /** Names that only this container may use: alias -> containerId. */
  readonly links: Readonly<Record<string, string>>;
}

/** All that the name service must know of one container. */
export interface NameRecords {
  readonly containerId: string;
  /** File of its network namespace, in which 127.0.0.11:53 is made to answer. */
  readonly netnsPath: string;
  readonly networks: readonly NamedPlace[];
  /** Of `--dns`; empty: follow the host. */
  readonly upstreams: readonly string[];
  /** False on internal networks alone: what no container is called is unknown. */
  readonly external: boolean;
}
