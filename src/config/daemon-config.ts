import type { Ulimit } from "../spec/mod.ts";

export interface RuntimeEntry {
  readonly path: string;
  readonly args: readonly string[];
}

export interface TlsConfig {
  readonly verifyClients: boolean;
  readonly caPath: string;
  readonly certPath: string;
  readonly keyPath: string;
}

/** How registries are reached. */
export interface RegistryConfig {
  /** Flags of `naru registry serve` for a registry within the engine; [] for none. */
  readonly serve: readonly string[];
  /** By registry host (`docker.io`, `ghcr.io`, `host:5000`) or `*`: URLs in the order to ask. */
  readonly mirrors: ReadonlyMap<string, readonly string[]>;
  /** `host`, `host:port` or CIDR blocks. */
  readonly insecure: readonly string[];
  /** Folders of certificates and `hosts.toml`; empty for the usual places. */
  readonly certsDirs: readonly string[];
  /** "" leaves it to the engine's environment. */
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly noProxy: string;
  readonly offline: boolean;
  readonly downloadsMax: number;
  readonly uploadsMax: number;
  readonly attemptsMax: number;
}

/** The daemon's configuration after flags, file and defaults were merged and checked. */
/** What the options say of one family of the default bridge; "" where they say nothing. */
export interface BridgeFamilyConfig {
  /** With prefix length. */
  readonly address: string;
  readonly fixedCidr: string;
  readonly gateway: string;
}

/** Which addresses networks have. */
export interface NetworkConfig {
  readonly bridge4: BridgeFamilyConfig;
  /** Undefined: the default bridge has IPv4 alone. */
  readonly bridge6: BridgeFamilyConfig | undefined;
  /** Where subnets come from; none: dockerd's pools. */
  readonly addressPools: readonly { readonly base: string; readonly size: number }[];
  /** By driver: options of networks that do not say otherwise. */
  readonly networkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What `host-gateway` means; none: the host's addresses on the default bridge. */
  readonly hostGateways: readonly string[];
}

export interface DaemonConfig extends NetworkConfig {
  readonly hosts: readonly string[];
  /** Group name or number that owns the unix socket; "" leaves root. */
  readonly group: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidFile: string;
  readonly configFile: string;
  readonly debug: boolean;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "fatal";
  readonly logFormat: "text" | "json";
  readonly labels: readonly string[];
  /** Bridge name, or "none". */
  readonly bridge: string;
  /** Bytes; 0 leaves the kernel's. */
  readonly mtu: number;
  readonly icc: boolean;
  readonly ipMasquerade: boolean;
  readonly ipForward: boolean;
  readonly ipForwardDrop: boolean;
  /** Where ports are published that name no address; "" for every address. */
  readonly publishAddress: string;
  /** Published ports may be reached by the container's own address. */
  readonly allowDirectRouting: boolean;
  /** Published ports are subject to the host's own input rules. */
  readonly respectHostFirewall: boolean;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  /** Where CDI specifications are; none: the places of the CDI specification. */
  readonly cdiSpecDirs: readonly string[];
  readonly defaultRuntime: string;
  readonly runtimes: ReadonlyMap<string, RuntimeEntry>;
  readonly cgroupParent: string;
  readonly cgroupDriver: "cgroupfs" | "systemd";
  /** "" leaves the choice to the host: private on cgroup v2, host on v1. */
  readonly cgroupnsMode: "" | "host" | "private";
  readonly ipcMode: "private" | "shareable";
  readonly shmSizeBytes: number;
  readonly stopTimeoutSeconds: number;
  readonly ulimits: readonly Ulimit[];
  readonly init: boolean;
  readonly initPath: string;
  readonly noNewPrivileges: boolean;
  readonly seccompProfile: string;
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly shutdownTimeoutSeconds: number;
  /** Undefined: tcp sockets speak plain HTTP. */
  readonly tls: TlsConfig | undefined;
  readonly registries: RegistryConfig;
  /** "" for the oldest that naru knows. */
  readonly minApiVersion: string;
}

/** Where an engine lives unless told otherwise. */
export interface DaemonDefaults {
  readonly host: string;
  readonly configFile: string;
  readonly pidFile: string;
}

export const NARU_DEFAULTS: DaemonDefaults = {
  host: "unix:///run/naru/naru.sock",
  configFile: "/etc/naru/daemon.json",
  pidFile: "/run/naru/naru.pid",
};

/** For the binary called `dockerd`: the places where Docker's clients and tools look. */
export const DOCKERD_DEFAULTS: DaemonDefaults = {
  host: "unix:///var/run/docker.sock",
  configFile: "/etc/docker/daemon.json",
  pidFile: "/var/run/docker.pid",
};
