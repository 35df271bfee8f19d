import { readFileSync } from "node:fs";
import { errorMessage, NaruError } from "../base/mod.ts";
import {
  allHostDevices,
  blockDeviceNumber,
  type ContainerSpecInput,
  hostDevices,
  parseSeccompProfile,
  type SeccompProfile,
  type SpecDevice,
  type SpecMount,
  type SpecNamespaces,
  type SpecResources,
  type SpecShm,
  type SpecUlimit,
} from "../runtime/mod.ts";
import type { HostConfig, ThrottleDevice, WeightDevice } from "../spec/mod.ts";
import { planCdi } from "./cdi.ts";
import { commandOf } from "./config-merge.ts";
import type { ContainerDefaults } from "./contract.ts";
import type { ContainerRecord } from "./record.ts";
import { parseSecurityOptions } from "./security-opt.ts";
import type { ResolvedUser } from "./user.ts";

/** What only the host and the mounted root can tell. */
export interface ResolvedParts {
  readonly rootfsPath: string;
  readonly user: ResolvedUser;
  readonly mounts: readonly SpecMount[];
  readonly namespaces: SpecNamespaces;
  readonly shm: SpecShm;
  /** Variables of links; the container's own go before. */
  readonly linkEnv?: readonly string[];
}

/** What the runtime room makes config.json from. Reads device nodes; otherwise pure. */
export function planSpecInput(
  record: ContainerRecord,
  parts: ResolvedParts,
  defaults: ContainerDefaults,
  builtinProfile: SeccompProfile,
): ContainerSpecInput {
  const { config, hostConfig: host } = record;
  const security = parseSecurityOptions(host.SecurityOpt ?? []);
  const vendor = planCdi(host, defaults.cdiSpecDirs);
  const [rows, columns] = host.ConsoleSize;
  return {
    id: record.id,
    rootfsPath: parts.rootfsPath,
    readonlyRootfs: host.ReadonlyRootfs,
    args: commandOf(config),
    env: withHome(
      [...(parts.linkEnv ?? []), ...(config.Env ?? []), ...vendor.env],
      parts.user.home,
    ),
    cwd: config.WorkingDir,
    user: {
      ...parts.user,
      additionalGids: [...parts.user.additionalGids, ...vendor.additionalGids],
    },
    terminal: config.Tty,
    consoleSize: rows > 0 && columns > 0 ? { rows, columns } : undefined,
    hostname: config.Hostname,
    domainname: config.Domainname,
    capAdd: host.CapAdd ?? [],
    capDrop: host.CapDrop ?? [],
    privileged: host.Privileged,
    devices: [...planDevices(host), ...vendor.devices],
    deviceCgroupRules: host.DeviceCgroupRules ?? [],
    mounts: [...parts.mounts, ...vendor.mounts],
    shm: parts.shm,
    maskedPaths: pathList(host.MaskedPaths, security.systemPathsUnconfined),
    readonlyPaths: pathList(host.ReadonlyPaths, security.systemPathsUnconfined),
    namespaces: parts.namespaces,
    cgroup: {
      driver: defaults.cgroupDriver,
      parent: host.CgroupParent === "" ? defaults.cgroupParent : host.CgroupParent,
    },
    resources: planResources(host),
    ulimits: planUlimits(host, defaults),
    sysctls: host.Sysctls ?? {},
    oomScoreAdj: host.OomScoreAdj,
    noNewPrivileges: security.noNewPrivileges ?? defaults.noNewPrivileges,
    seccomp: planSeccomp(security.seccomp, defaults, builtinProfile),
    apparmorProfile: planApparmor(security.apparmor),
    initPath: (host.Init ?? defaults.init) ? defaults.initPath : undefined,
    hooks: vendor.hooks,
    annotations: host.Annotations ?? {},
  };
}

function withHome(env: readonly string[], home: string): string[] {
  return env.some((variable) => variable.startsWith("HOME=")) ? [...env] : [...env, `HOME=${home}`];
}

function pathList(paths: readonly string[] | null, unconfined: boolean): string[] | undefined {
  if (unconfined) return [];
  return paths === null ? undefined : [...paths];
}

function planDevices(host: HostConfig): SpecDevice[] {
  const all = host.Privileged ? allHostDevices() : [];
  const asked = (host.Devices ?? []).flatMap((device) =>
    hostDevices(
      device.PathOnHost,
      device.PathInContainer === "" ? device.PathOnHost : device.PathInContainer,
      device.CgroupPermissions === "" ? "rwm" : device.CgroupPermissions,
    ),
  );
  const byPath = new Map(all.map((device) => [device.path, device]));
  for (const device of asked) byPath.set(device.path, device);
  return [...byPath.values()];
}

/** Limits as the runtime room wants them. Reads device nodes. */
export function planResources(host: HostConfig): SpecResources {
  return {
    memoryBytes: host.Memory,
    memoryReservationBytes: host.MemoryReservation,
    memorySwapBytes: host.MemorySwap,
    memorySwappiness: host.MemorySwappiness ?? -1,
    oomKillDisable: host.OomKillDisable ?? false,
    cpuShares: host.CpuShares,
    nanoCpus: host.NanoCpus,
    cpuQuotaUs: host.CpuQuota,
    cpuPeriodUs: host.CpuPeriod,
    cpuRealtimePeriodUs: host.CpuRealtimePeriod,
    cpuRealtimeRuntimeUs: host.CpuRealtimeRuntime,
    cpusetCpus: host.CpusetCpus,
    cpusetMems: host.CpusetMems,
    pidsLimit: host.PidsLimit ?? 0,
    blkioWeight: host.BlkioWeight,
    blkioWeightDevices: (host.BlkioWeightDevice ?? []).map((device: WeightDevice) => ({
      ...blockDeviceNumber(device.Path),
      weight: device.Weight,
    })),
    blkioReadBps: rates(host.BlkioDeviceReadBps),
    blkioWriteBps: rates(host.BlkioDeviceWriteBps),
    blkioReadIops: rates(host.BlkioDeviceReadIOps),
    blkioWriteIops: rates(host.BlkioDeviceWriteIOps),
  };
}

function rates(
  devices: readonly ThrottleDevice[] | null,
): readonly { readonly major: number; readonly minor: number; readonly rate: number }[] {
  return (devices ?? []).map((device) => ({
    ...blockDeviceNumber(device.Path),
    rate: device.Rate,
  }));
}

function planUlimits(host: HostConfig, defaults: ContainerDefaults): SpecUlimit[] {
  const one = (isDefault: boolean) => (limit: { Name: string; Soft: number; Hard: number }) => ({
    name: limit.Name,
    soft: limit.Soft,
    hard: limit.Hard,
    isDefault,
  });
  return [...defaults.ulimits.map(one(true)), ...(host.Ulimits ?? []).map(one(false))];
}

function planSeccomp(
  asked: string | undefined,
  defaults: ContainerDefaults,
  builtin: SeccompProfile,
): SeccompProfile | undefined {
  if (asked === "unconfined") return undefined;
  if (asked !== undefined) return parseSeccompProfile(asked);
  if (defaults.seccompProfile === "unconfined") return undefined;
  if (defaults.seccompProfile === "" || defaults.seccompProfile === "builtin") return builtin;
  try {
    return parseSeccompProfile(readFileSync(defaults.seccompProfile, "utf8"));
  } catch (cause) {
    const why = errorMessage(cause);
    throw new NaruError(
      "invalid_argument",
      `opening seccomp profile (${defaults.seccompProfile}) failed: ${why}`,
      {},
      { cause },
    );
  }
}

/** Without AppArmor in the kernel there is no profile to name. */
function planApparmor(asked: string | undefined): string | undefined {
  if (asked === undefined || asked === "" || asked === "unconfined") return undefined;
  return asked;
}
