import { NaruError } from "../../base/mod.ts";
import type { RuntimeResources } from "../../spec/mod.ts";
import type { HostFacts, SpecDevice, SpecResources } from "./input.ts";

const CPU_PERIOD_US = 100_000; // what NanoCpus is written with, as Docker does
const NS_PER_CPU = 1_000_000_000;

type DeviceRule = NonNullable<RuntimeResources["devices"]>[number];

/**
 * Limits in the runtime's words. What the host cannot do is left out with Docker's warning where
 * Docker warns, and is invalid_argument where Docker refuses.
 */
export function buildResources(
  wanted: SpecResources,
  host: HostFacts,
  warn: (message: string) => void,
): RuntimeResources {
  const memory = memoryLimits(wanted, host, warn);
  const cpu = cpuLimits(wanted, host, warn);
  const blockIO = blockLimits(wanted, host, warn);
  const pids = wanted.pidsLimit ?? 0;
  if (pids > 0 && !host.controllers.has("pids")) {
    warn(
      "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
    );
  }
  return {
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(Object.keys(blockIO).length === 0 ? {} : { blockIO }),
    ...(pids > 0 && host.controllers.has("pids") ? { pids: { limit: pids } } : {}),
  };
}

function memoryLimits(
  wanted: SpecResources,
  host: HostFacts,
  warn: (message: string) => void,
): NonNullable<RuntimeResources["memory"]> {
  const memory: NonNullable<RuntimeResources["memory"]> = {};
  const limit = wanted.memoryBytes ?? 0;
  if (!host.controllers.has("memory")) {
    if (limit > 0) {
      warn(
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
      );
    }
    return memory;
  }
  if (limit > 0) memory.limit = limit;
  const swap = wanted.memorySwapBytes ?? 0;
  if (!host.swapLimit) {
    if (limit > 0 && swap !== -1) {
      warn(
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
      );
    }
  } else if (swap !== 0) memory.swap = swap;
  else if (limit > 0) memory.swap = limit * 2;
  if ((wanted.memoryReservationBytes ?? 0) > 0)
    memory.reservation = wanted.memoryReservationBytes as number;
  const swappiness = wanted.memorySwappiness ?? -1;
  if (swappiness >= 0 && host.cgroupMode === "v2") {
    warn(
      "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    );
  } else if (swappiness >= 0) memory.swappiness = swappiness;
  if (wanted.oomKillDisable === true && host.cgroupMode === "v2") {
    warn("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
  } else if (wanted.oomKillDisable === true) memory.disableOOMKiller = true;
  return memory;
}

function cpuLimits(
  wanted: SpecResources,
  host: HostFacts,
  warn: (message: string) => void,
): NonNullable<RuntimeResources["cpu"]> {
  const cpu: NonNullable<RuntimeResources["cpu"]> = {};
  if ((wanted.cpuShares ?? 0) > 0) cpu.shares = wanted.cpuShares as number;
  const nano = wanted.nanoCpus ?? 0;
  const limited = nano > 0 || (wanted.cpuQuotaUs ?? 0) !== 0 || (wanted.cpuPeriodUs ?? 0) > 0;
  if (limited && !host.cpuCfs) {
    if (nano > 0) {
      throw new NaruError(
        "invalid_argument",
        "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
      );
    }
    warn("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
  } else if (nano > 0) {
    cpu.period = CPU_PERIOD_US;
    cpu.quota = Math.floor((nano * CPU_PERIOD_US) / NS_PER_CPU);
  } else {
    if ((wanted.cpuQuotaUs ?? 0) !== 0) cpu.quota = wanted.cpuQuotaUs as number;
    if ((wanted.cpuPeriodUs ?? 0) > 0) cpu.period = wanted.cpuPeriodUs as number;
  }
  const realtime = [wanted.cpuRealtimePeriodUs ?? 0, wanted.cpuRealtimeRuntimeUs ?? 0] as const;
  if (realtime.some((us) => us !== 0) && !host.cpuRealtime) {
    throw new NaruError(
      "invalid_argument",
      "Your kernel does not support CPU real-time scheduler (CpuRealtimePeriod, CpuRealtimeRuntime)",
    );
  }
  if (realtime[0] > 0) cpu.realtimePeriod = realtime[0];
  if (realtime[1] !== 0) cpu.realtimeRuntime = realtime[1];
  if ((wanted.cpusetCpus ?? "") !== "") cpu.cpus = wanted.cpusetCpus as string;
  if ((wanted.cpusetMems ?? "") !== "") cpu.mems = wanted.cpusetMems as string;
  return cpu;
}

function blockLimits(
  wanted: SpecResources,
  host: HostFacts,
  warn: (message: string) => void,
): NonNullable<RuntimeResources["blockIO"]> {
  const block: NonNullable<RuntimeResources["blockIO"]> = {};
  const weight = wanted.blkioWeight ?? 0;
  const weightDevices = wanted.blkioWeightDevices ?? [];
  if ((weight > 0 || weightDevices.length > 0) && !host.blkioWeight) {
    warn(
      "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    );
  } else {
    if (weight > 0) block.weight = weight;
    if (weightDevices.length > 0)
      block.weightDevice = weightDevices.map((device) => ({ ...device }));
  }
  const rates = [
    ["throttleReadBpsDevice", wanted.blkioReadBps],
    ["throttleWriteBpsDevice", wanted.blkioWriteBps],
    ["throttleReadIOPSDevice", wanted.blkioReadIops],
    ["throttleWriteIOPSDevice", wanted.blkioWriteIops],
  ] as const;
  for (const [field, devices] of rates) {
    if (devices !== undefined && devices.length > 0) {
      block[field] = devices.map((device) => ({ ...device }));
    }
  }
  return block;
}

/** The runtime adds pts, ptmx and its own; these are Docker's. @see moby oci/defaults.go */
const DEFAULT_DEVICE_RULES: readonly DeviceRule[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...(
    [
      [1, 5],
      [1, 3],
      [1, 9],
      [1, 8],
      [5, 0],
      [5, 1],
    ] as const
  ).map(([major, minor]): DeviceRule => ({ allow: true, type: "c", major, minor, access: "rwm" })),
];

/** The device cgroup: all for privileged, else Docker's list, the devices asked for and rules. */
export function buildDeviceRules(
  options: { readonly privileged: boolean; readonly rules: readonly string[] },
  devices: readonly SpecDevice[],
): DeviceRule[] {
  if (options.privileged) return [{ allow: true, access: "rwm" }];
  return [
    ...DEFAULT_DEVICE_RULES,
    ...devices
      .filter((device) => device.type === "c" || device.type === "b")
      .map(({ type, major, minor, access }) => ({ allow: true, type, major, minor, access })),
    ...options.rules.map(parseDeviceRule),
  ];
}

/** `c 10:* rwm`. Throws invalid_argument in Docker's words. */
function parseDeviceRule(text: string): DeviceRule {
  const match = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text);
  if (match === null) {
    throw new NaruError("invalid_argument", `invalid device cgroup rule format: '${text}'`);
  }
  const [, type = "a", major, minor, access = ""] = match;
  return {
    allow: true,
    type,
    access,
    ...(major === "*" ? {} : { major: Number(major) }),
    ...(minor === "*" ? {} : { minor: Number(minor) }),
  };
}
