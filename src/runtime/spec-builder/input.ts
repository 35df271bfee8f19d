import type { RuntimeHook } from "../../spec/mod.ts";
import type { HostCapabilities } from "../capabilities.ts";
import type { SeccompProfile } from "../seccomp/profile.ts";

/**
 * What one container is to be, with every name looked up: paths on the host, numeric users, device
 * numbers. The lifecycle fills it from the create body, the image and the daemon's defaults.
 */
export interface ContainerSpecInput {
  readonly id: string;
  readonly rootfsPath: string;
  readonly readonlyRootfs: boolean;
  /** Entrypoint and command together; never empty. */
  readonly args: readonly string[];
  /** `KEY=value`; the builder adds PATH, HOSTNAME and TERM where they are missing. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: SpecUser;
  readonly terminal: boolean;
  readonly consoleSize: { readonly rows: number; readonly columns: number } | undefined;
  /** Of the container's UTS namespace; ignored with the host's, which is not ours to name. */
  readonly hostname: string;
  readonly domainname: string;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly privileged: boolean;
  readonly devices: readonly SpecDevice[];
  /** `a 7:* rmw` lines of --device-cgroup-rule. */
  readonly deviceCgroupRules: readonly string[];
  /** Binds, volumes and tmpfs, in any order. */
  readonly mounts: readonly SpecMount[];
  readonly shm: SpecShm;
  /** undefined: Docker's defaults; an empty list: none. */
  readonly maskedPaths: readonly string[] | undefined;
  readonly readonlyPaths: readonly string[] | undefined;
  readonly namespaces: SpecNamespaces;
  readonly cgroup: SpecCgroup;
  readonly resources: SpecResources;
  readonly ulimits: readonly SpecUlimit[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly oomScoreAdj: number;
  readonly noNewPrivileges: boolean;
  /** undefined: unconfined. */
  readonly seccomp: SeccompProfile | undefined;
  /** undefined: unconfined. */
  readonly apparmorProfile: string | undefined;
  /** Host path of the init program for --init, or undefined. */
  readonly initPath: string | undefined;
  /** Programs of device vendors, by the name of the moment. @see OCI runtime-spec config.md */
  readonly hooks?: Readonly<Record<string, RuntimeHook[]>>;
  /** The user's; `run.oci.*` is refused, it would steer the runtime. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface SpecUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

export interface SpecDevice {
  readonly type: "c" | "b" | "p" | "u";
  readonly path: string;
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
  /** Any of `r`, `w`, `m`. */
  readonly access: string;
}

export type SpecMount =
  | {
      readonly kind: "bind";
      readonly source: string;
      readonly destination: string;
      readonly recursive: boolean;
      /** `recursive`: mounts beneath are read-only too, where the kernel can (5.12). */
      readonly readOnly: "no" | "top" | "recursive";
      /** "" for rprivate. */
      readonly propagation: string;
      /** More mount options, such as `nosuid`. */
      readonly more?: readonly string[];
    }
  | {
      readonly kind: "tmpfs";
      readonly destination: string;
      /** Mount options of the user (`size=64m`, `mode=1770`, `exec`); added to Docker's own. */
      readonly options: readonly string[];
    };

/** /dev/shm: its own, another container's (a tmpfs mounted on the host), or none. */
export type SpecShm =
  | { readonly kind: "tmpfs"; readonly sizeBytes: number }
  | { readonly kind: "bind"; readonly source: string }
  | { readonly kind: "none" };

/** `own`, the host's, or that of a path (`/proc/PID/ns/…` of another container, a named netns). */
export type SpecNamespace = "own" | "host" | { readonly path: string };

export interface SpecNamespaces {
  readonly pid: SpecNamespace;
  readonly network: SpecNamespace;
  readonly ipc: SpecNamespace;
  readonly uts: SpecNamespace;
  readonly cgroup: SpecNamespace;
}

export interface SpecCgroup {
  readonly driver: "cgroupfs" | "systemd";
  /** cgroupfs: a path like `/naru`; systemd: a slice like `system.slice`. */
  readonly parent: string;
}

/** Numbers as HostConfig has them: 0 or undefined asks for nothing. */
export interface SpecResources {
  readonly memoryBytes?: number;
  readonly memoryReservationBytes?: number;
  /** Memory and swap together; -1 unlimited; 0 twice the memory. */
  readonly memorySwapBytes?: number;
  /** -1 or undefined: the kernel's own. */
  readonly memorySwappiness?: number;
  readonly oomKillDisable?: boolean;
  readonly cpuShares?: number;
  readonly nanoCpus?: number;
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  readonly cpuRealtimePeriodUs?: number;
  readonly cpuRealtimeRuntimeUs?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** 0 and -1: unlimited. */
  readonly pidsLimit?: number;
  readonly blkioWeight?: number;
  readonly blkioWeightDevices?: readonly (DeviceNumber & { readonly weight: number })[];
  readonly blkioReadBps?: readonly (DeviceNumber & { readonly rate: number })[];
  readonly blkioWriteBps?: readonly (DeviceNumber & { readonly rate: number })[];
  readonly blkioReadIops?: readonly (DeviceNumber & { readonly rate: number })[];
  readonly blkioWriteIops?: readonly (DeviceNumber & { readonly rate: number })[];
}

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

export interface SpecUlimit {
  /** `nofile`. */
  readonly name: string;
  /** -1 is unlimited. */
  readonly soft: number;
  readonly hard: number;
  /** From the daemon's defaults, so a host that cannot give it only warns. */
  readonly isDefault: boolean;
}

/** What of the host decides how a wish is written down. Read once at start: `readHostFacts`. */
export interface HostFacts {
  readonly cgroupMode: "v1" | "v2" | "hybrid";
  readonly capabilities: HostCapabilities;
  /** `process.arch`. */
  readonly arch: string;
  readonly kernelRelease: string;
  /** Controllers that can be used: `memory`, `pids`, … */
  readonly controllers: ReadonlySet<string>;
  readonly swapLimit: boolean;
  readonly cpuRealtime: boolean;
  readonly cpuCfs: boolean;
  readonly blkioWeight: boolean;
  /** Hard limits of the engine by ulimit name. */
  readonly hardLimits: ReadonlyMap<string, bigint>;
  readonly mayRaiseLimits: boolean;
  /** `/sys/devices/system/cpu/cpuN/thermal_throttle` where it is: masked, as Docker does. */
  readonly thermalThrottlePaths: readonly string[];
}
