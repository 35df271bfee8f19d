import { NaruError } from "../base/mod.ts";
import type { SpecResources } from "../runtime/mod.ts";
import type { ContainerUpdateBody, HostConfig, ThrottleDevice, WeightDevice } from "../spec/mod.ts";
import { checkHostConfig } from "./host-config-check.ts";
import { checkRestartPolicy } from "./restart-policy.ts";

/** What an update makes of a container. */
export interface UpdatePlan {
  readonly hostConfig: HostConfig;
  /** The same with the rates of 0 that take a limit away, which no later run needs. */
  readonly live: HostConfig;
  /** Which limits the kernel must be told of, in the runtime room's names. */
  readonly touched: ReadonlySet<keyof SpecResources>;
}

type Amounts =
  | "CpuShares"
  | "NanoCpus"
  | "CpuPeriod"
  | "CpuQuota"
  | "CpuRealtimePeriod"
  | "CpuRealtimeRuntime"
  | "CpusetCpus"
  | "CpusetMems"
  | "Memory"
  | "MemoryReservation"
  | "MemorySwap"
  | "BlkioWeight";

/** Together with each limit: those that share a file of the kernel or hold each other's bounds. */
const AMOUNTS: Readonly<Record<Amounts, readonly (keyof SpecResources)[]>> = {
  CpuShares: ["cpuShares"],
  NanoCpus: ["nanoCpus"],
  CpuPeriod: ["cpuPeriodUs", "cpuQuotaUs"],
  CpuQuota: ["cpuPeriodUs", "cpuQuotaUs"],
  CpuRealtimePeriod: ["cpuRealtimePeriodUs", "cpuRealtimeRuntimeUs"],
  CpuRealtimeRuntime: ["cpuRealtimePeriodUs", "cpuRealtimeRuntimeUs"],
  CpusetCpus: ["cpusetCpus"],
  CpusetMems: ["cpusetMems"],
  Memory: ["memoryBytes", "memorySwapBytes"],
  MemoryReservation: ["memoryReservationBytes"],
  MemorySwap: ["memoryBytes", "memorySwapBytes"],
  BlkioWeight: ["blkioWeight"],
};

const RATES = {
  BlkioDeviceReadBps: "blkioReadBps",
  BlkioDeviceWriteBps: "blkioWriteBps",
  BlkioDeviceReadIOps: "blkioReadIops",
  BlkioDeviceWriteIOps: "blkioWriteIops",
} as const;

/**
 * Merges an update into what a container has; zero and empty values leave things as they are.
 * Throws invalid_argument, conflict and unsupported naming the field, Docker's words where it has
 * some.
 */
export function planUpdate(
  before: HostConfig,
  body: ContainerUpdateBody,
  cgroupMode: "v1" | "v2" | "hybrid",
): UpdatePlan {
  refuseWhatIsFixed(body, cgroupMode);
  refuseConflicts(before, body);
  const touched = new Set<keyof SpecResources>();
  const hostConfig: HostConfig = { ...before };
  const set = <K extends keyof HostConfig>(field: K, value: HostConfig[K]): void => {
    hostConfig[field] = value;
  };
  for (const field of Object.keys(AMOUNTS) as Amounts[]) {
    const value = body[field];
    if (value === 0 || value === "") continue;
    set(field, value);
    for (const one of AMOUNTS[field]) touched.add(one);
  }
  if (body.Memory > 0 && before.MemorySwap === 0 && body.MemorySwap === 0) {
    hostConfig.MemorySwap = body.Memory * 2; // as at create
  }
  if (body.PidsLimit !== null) {
    hostConfig.PidsLimit = body.PidsLimit;
    touched.add("pidsLimit");
  }
  if (body.MemorySwappiness !== null && body.MemorySwappiness !== -1) {
    hostConfig.MemorySwappiness = body.MemorySwappiness;
    touched.add("memorySwappiness");
  }
  if (body.OomKillDisable !== null && body.OomKillDisable !== (before.OomKillDisable ?? false)) {
    hostConfig.OomKillDisable = body.OomKillDisable;
    touched.add("oomKillDisable");
  }
  mergeDevices(hostConfig, body, touched);
  if (body.RestartPolicy.Name !== "") hostConfig.RestartPolicy = body.RestartPolicy;
  checkHostConfig(hostConfig);
  checkPolicy(hostConfig, body);
  return { hostConfig: withoutZeroRates(hostConfig), live: hostConfig, touched };
}

/** Entries replace those of the same path. */
function mergeDevices(
  hostConfig: HostConfig,
  body: ContainerUpdateBody,
  touched: Set<keyof SpecResources>,
): void {
  const merge = <T extends WeightDevice | ThrottleDevice>(
    before: readonly T[] | null,
    asked: readonly T[],
  ): T[] => {
    const byPath = new Map((before ?? []).map((device) => [device.Path, device]));
    for (const device of asked) byPath.set(device.Path, device);
    return [...byPath.values()];
  };
  const weights = body.BlkioWeightDevice ?? [];
  if (weights.length > 0) {
    hostConfig.BlkioWeightDevice = merge(hostConfig.BlkioWeightDevice, weights);
    touched.add("blkioWeightDevices");
  }
  for (const field of Object.keys(RATES) as (keyof typeof RATES)[]) {
    const rates = body[field] ?? [];
    if (rates.length === 0) continue;
    hostConfig[field] = merge(hostConfig[field], rates);
    touched.add(RATES[field]);
  }
}

/** As a container keeps its limits. */
export function withoutZeroRates(hostConfig: HostConfig): HostConfig {
  const stored = { ...hostConfig };
  for (const field of Object.keys(RATES) as (keyof typeof RATES)[]) {
    stored[field] = hostConfig[field]?.filter(({ Rate: rate }) => rate > 0) ?? null;
  }
  return stored;
}

/** What is decided when a container is created, or what the kernel cannot change under it. */
function refuseWhatIsFixed(body: ContainerUpdateBody, cgroupMode: "v1" | "v2" | "hybrid"): void {
  const fixed: readonly [field: keyof ContainerUpdateBody, asks: boolean][] = [
    ["CgroupParent", body.CgroupParent !== ""],
    ["Devices", (body.Devices ?? []).length > 0],
    ["DeviceCgroupRules", (body.DeviceCgroupRules ?? []).length > 0],
    ["DeviceRequests", (body.DeviceRequests ?? []).length > 0],
    ["Ulimits", (body.Ulimits ?? []).length > 0],
    ["CpuCount", body.CpuCount !== 0],
    ["CpuPercent", body.CpuPercent !== 0],
    ["IOMaximumIOps", body.IOMaximumIOps !== 0],
    ["IOMaximumBandwidth", body.IOMaximumBandwidth !== 0],
  ];
  const onlyV1: readonly [field: keyof ContainerUpdateBody, asks: boolean][] = [
    ["MemorySwappiness", (body.MemorySwappiness ?? -1) !== -1],
    ["OomKillDisable", body.OomKillDisable === true],
  ];
  for (const [field, asks] of [...fixed, ...(cgroupMode === "v2" ? onlyV1 : [])]) {
    if (!asks) continue;
    throw new NaruError("unsupported", `${field}: cannot be changed by an update`, { field });
  }
}

/** Docker's words. */
function refuseConflicts(before: HostConfig, body: ContainerUpdateBody): void {
  const conflict = (message: string, field: string): NaruError =>
    new NaruError("conflict", `Conflicting options: ${message}`, { field });
  for (const [field, name] of [
    ["CpuPeriod", "CPU Period"],
    ["CpuQuota", "CPU Quota"],
  ] as const) {
    if (body.NanoCpus > 0 && before[field] > 0) {
      throw conflict(`Nano CPUs cannot be updated as ${name} has already been set`, field);
    }
    if (body[field] > 0 && before.NanoCpus > 0) {
      throw conflict(`${name} cannot be updated as NanoCPUs has already been set`, field);
    }
  }
  if (body.Memory > before.MemorySwap && body.MemorySwap === 0 && before.MemorySwap > 0) {
    throw new NaruError(
      "conflict",
      "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
      { field: "MemorySwap" },
    );
  }
}

function checkPolicy(hostConfig: HostConfig, body: ContainerUpdateBody): void {
  const { Name: name } = body.RestartPolicy;
  if (name === "") return;
  checkRestartPolicy(hostConfig.RestartPolicy, false);
  if (hostConfig.AutoRemove && name !== "no") {
    throw new NaruError(
      "conflict",
      "Restart policy cannot be updated because AutoRemove is enabled for the container",
      { field: "RestartPolicy" },
    );
  }
}
