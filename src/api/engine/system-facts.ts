import {
  API_VERSION_MAX,
  API_VERSION_MIN,
  type ApiVersion,
  formatApiVersion,
} from "./api-version.ts";

/** Facts about host and engine for `info` and `version`; the composition root supplies them. */
export interface SystemFacts {
  readonly id: string;
  readonly hostName: string;
  readonly labels: readonly string[];
  readonly dataRoot: string;
  readonly storageDriver: string;
  readonly storageStatus: readonly (readonly [string, string])[];
  readonly debug: boolean;
  readonly openFiles: number;
  readonly tasks: number;
  /** RFC 3339 with nanoseconds. */
  readonly systemTime: string;
  readonly logDriver: string;
  readonly logDrivers: readonly string[];
  readonly volumeDrivers: readonly string[];
  readonly networkDrivers: readonly string[];
  readonly cgroupDriver: "cgroupfs" | "systemd";
  readonly cgroupVersion: "1" | "2";
  readonly cgroups: {
    readonly memory: boolean;
    readonly swap: boolean;
    readonly cpuCfsPeriod: boolean;
    readonly cpuCfsQuota: boolean;
    readonly cpuShares: boolean;
    readonly cpuset: boolean;
    readonly pids: boolean;
    readonly oomKillDisable: boolean;
  };
  readonly ipv4Forwarding: boolean;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  /** As uname says: `x86_64`. */
  readonly machine: string;
  /** As Go and OCI say: `amd64`. */
  readonly architecture: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly noProxy: string;
  readonly registries: {
    /** By registry host; URLs. */
    readonly mirrors: ReadonlyMap<string, readonly string[]>;
    /** `host`, `host:port` and CIDR blocks. */
    readonly insecure: readonly string[];
  };
  readonly runtimes: Readonly<
    Record<string, { readonly path: string; readonly args?: readonly string[] }>
  >;
  readonly defaultRuntime: string;
  readonly runtimeVersion: string;
  readonly initBinary: string;
  readonly securityOptions: readonly string[];
  readonly addressPools: readonly { readonly Base: string; readonly Size: number }[];
  readonly firewallDriver: string;
  readonly cdiSpecDirs: readonly string[];
  readonly warnings: readonly string[];
  /** For `version`. */
  readonly gitCommit: string;
  readonly buildTime: string;
  /** The language runtime; shown where Docker shows Go's. */
  readonly languageRuntime: string;
  readonly components: readonly {
    readonly Name: string;
    readonly Version: string;
    readonly Details: Readonly<Record<string, string>>;
  }[];
}

/** What the services count. */
export interface SystemCounts {
  readonly running: number;
  readonly paused: number;
  readonly stopped: number;
  readonly images: number;
  readonly eventListeners: number;
}

/** Body of `GET /info`, newest shape. @see reference engine-api SystemInfo */
export function systemInfo(
  facts: SystemFacts,
  counts: SystemCounts,
  engineVersion: string,
): Record<string, unknown> {
  return {
    ...engineInfo(facts, counts, engineVersion),
    ...hostInfo(facts),
    ...fixedInfo(facts),
  };
}

function engineInfo(
  facts: SystemFacts,
  counts: SystemCounts,
  engineVersion: string,
): Record<string, unknown> {
  return {
    ID: facts.id,
    Containers: counts.running + counts.paused + counts.stopped,
    ContainersRunning: counts.running,
    ContainersPaused: counts.paused,
    ContainersStopped: counts.stopped,
    Images: counts.images,
    Driver: facts.storageDriver,
    DriverStatus: facts.storageStatus,
    Plugins: {
      Volume: facts.volumeDrivers,
      Network: facts.networkDrivers,
      Authorization: null,
      Log: facts.logDrivers,
    },
    Debug: facts.debug,
    NFd: facts.openFiles,
    NGoroutines: facts.tasks,
    SystemTime: facts.systemTime,
    LoggingDriver: facts.logDriver,
    CgroupDriver: facts.cgroupDriver,
    CgroupVersion: facts.cgroupVersion,
    NEventsListener: counts.eventListeners,
    DockerRootDir: facts.dataRoot,
    HttpProxy: facts.httpProxy,
    HttpsProxy: facts.httpsProxy,
    NoProxy: facts.noProxy,
    Name: facts.hostName,
    Labels: facts.labels,
    ServerVersion: engineVersion,
    Runtimes: facts.runtimes,
    DefaultRuntime: facts.defaultRuntime,
    InitBinary: facts.initBinary,
    SecurityOptions: facts.securityOptions,
    DefaultAddressPools: facts.addressPools,
    FirewallBackend: { Driver: facts.firewallDriver },
    CDISpecDirs: facts.cdiSpecDirs,
    Warnings: facts.warnings,
  };
}

function hostInfo(facts: SystemFacts): Record<string, unknown> {
  return {
    MemoryLimit: facts.cgroups.memory,
    SwapLimit: facts.cgroups.swap,
    CpuCfsPeriod: facts.cgroups.cpuCfsPeriod,
    CpuCfsQuota: facts.cgroups.cpuCfsQuota,
    CPUShares: facts.cgroups.cpuShares,
    CPUSet: facts.cgroups.cpuset,
    PidsLimit: facts.cgroups.pids,
    OomKillDisable: facts.cgroups.oomKillDisable,
    IPv4Forwarding: facts.ipv4Forwarding,
    KernelVersion: facts.kernelVersion,
    OperatingSystem: facts.operatingSystem,
    OSVersion: facts.osVersion,
    OSType: "linux",
    Architecture: facts.machine,
    NCPU: facts.cpus,
    MemTotal: facts.memoryBytes,
  };
}

/** Plain HTTP, or TLS that nobody vouches for: never leaves the host. */
const LOOPBACK: readonly string[] = ["127.0.0.0/8", "::1/128"];

/** @see reference engine-api RegistryServiceConfig */
function registryConfig({ registries }: SystemFacts): Record<string, unknown> {
  const { mirrors, insecure } = registries;
  const mirrorsOf = (host: string): string[] => (mirrors.get(host) ?? []).map((url) => `${url}/`);
  const names = insecure.filter((entry) => !entry.includes("/"));
  const hosts = new Set([...mirrors.keys(), ...names, "docker.io"]);
  const index = (Name: string): Record<string, unknown> => ({
    Name,
    Mirrors: mirrorsOf(Name),
    Secure: !names.includes(Name),
    Official: Name === "docker.io",
  });
  return {
    InsecureRegistryCIDRs: [...LOOPBACK, ...insecure.filter((entry) => entry.includes("/"))],
    IndexConfigs: Object.fromEntries([...hosts].sort().map((host) => [host, index(host)])),
    Mirrors: mirrorsOf("docker.io"),
  };
}

/** What has one answer only: there is no swarm, no containerd. */
function fixedInfo(facts: SystemFacts): Record<string, unknown> {
  const commit = (version: string): { ID: string } => ({ ID: version });
  return {
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig(facts),
    GenericResources: null,
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true, // containers always outlive the engine
    Isolation: "",
    ContainerdCommit: commit(""),
    RuncCommit: commit(facts.runtimeVersion),
    InitCommit: commit(""),
    ProductLicense: "Apache-2.0",
    DiscoveredDevices: [],
    NRI: null,
    Containerd: null,
    ExperimentalBuild: false,
  };
}

/** Body of `GET /version`. @see reference engine-api SystemVersion */
export function systemVersion(facts: SystemFacts, engineVersion: string): Record<string, unknown> {
  const newest = formatApiVersion(API_VERSION_MAX satisfies ApiVersion);
  const oldest = formatApiVersion(API_VERSION_MIN);
  const engine = {
    Name: "Engine", // the name that clients look for
    Version: engineVersion,
    Details: {
      ApiVersion: newest,
      Arch: facts.architecture,
      BuildTime: facts.buildTime,
      Experimental: "false",
      GitCommit: facts.gitCommit,
      GoVersion: facts.languageRuntime,
      KernelVersion: facts.kernelVersion,
      MinAPIVersion: oldest,
      Os: "linux",
    },
  };
  return {
    Platform: { Name: "naru" },
    Components: [engine, ...facts.components],
    Version: engineVersion,
    ApiVersion: newest,
    MinAPIVersion: oldest,
    GitCommit: facts.gitCommit,
    GoVersion: facts.languageRuntime,
    Os: "linux",
    Arch: facts.architecture,
    KernelVersion: facts.kernelVersion,
    BuildTime: facts.buildTime,
  };
}
