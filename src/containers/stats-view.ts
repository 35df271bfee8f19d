import { formatTimestamp, ZERO_TIME } from "../base/mod.ts";
import type {
  GroupCpu,
  GroupIo,
  GroupMemory,
  GroupStats,
  HostCpu,
  InterfaceCounters,
} from "../linux/mod.ts";
import type {
  BlkioStats,
  ContainerStats,
  CpuStats,
  InterfaceStats,
  MemoryStats,
} from "../spec/mod.ts";

/** What was read of a running container at one moment. */
export interface StatsReading {
  readonly readNs: bigint;
  readonly group: GroupStats;
  readonly hostCpu: HostCpu;
  /** Undefined: the container has no network of its own. */
  readonly interfaces: readonly InterfaceCounters[] | undefined;
  readonly hostMemoryBytes: number;
}

/** Docker's choice of memory.stat on cgroup v1; the kernel has more, which differ by version. */
const MEMORY_FIELDS_V1: readonly string[] = [
  "active_anon",
  "active_file",
  "cache",
  "dirty",
  "hierarchical_memory_limit",
  "hierarchical_memsw_limit",
  "inactive_anon",
  "inactive_file",
  "mapped_file",
  "pgfault",
  "pgmajfault",
  "pgpgin",
  "pgpgout",
  "rss",
  "rss_huge",
  "total_active_anon",
  "total_active_file",
  "total_cache",
  "total_dirty",
  "total_inactive_anon",
  "total_inactive_file",
  "total_mapped_file",
  "total_pgfault",
  "total_pgmajfault",
  "total_pgpgin",
  "total_pgpgout",
  "total_rss",
  "total_rss_huge",
  "total_unevictable",
  "total_writeback",
  "unevictable",
  "writeback",
];

/** And on v2. */
const MEMORY_FIELDS_V2: readonly string[] = [
  "active_anon",
  "active_file",
  "anon",
  "anon_thp",
  "file",
  "file_dirty",
  "file_mapped",
  "file_writeback",
  "inactive_anon",
  "inactive_file",
  "kernel_stack",
  "pgactivate",
  "pgdeactivate",
  "pgfault",
  "pglazyfree",
  "pglazyfreed",
  "pgmajfault",
  "pgrefill",
  "pgscan",
  "pgsteal",
  "shmem",
  "slab",
  "slab_reclaimable",
  "slab_unreclaimable",
  "sock",
  "thp_collapse_alloc",
  "thp_fault_alloc",
  "unevictable",
  "workingset_activate",
  "workingset_nodereclaim",
  "workingset_refault",
];

/**
 * One sample as the Engine API has it. `previous` fills precpu_stats, without it they are zero; a
 * `reading` of undefined is that of a container that does not run.
 */
export function statsView(
  container: { readonly id: string; readonly name: string },
  reading: StatsReading | undefined,
  previous: StatsReading | undefined,
): ContainerStats {
  return {
    read: reading === undefined ? ZERO_TIME : formatTimestamp(reading.readNs),
    preread: previous === undefined ? ZERO_TIME : formatTimestamp(previous.readNs),
    pids_stats: pidsOf(reading?.group.pids),
    blkio_stats: blkioOf(reading?.group.io),
    num_procs: 0, // Windows only
    storage_stats: {},
    cpu_stats: cpuOf(reading),
    precpu_stats: cpuOf(previous),
    memory_stats: memoryOf(reading),
    name: `/${container.name}`,
    id: container.id,
    ...networksOf(reading?.interfaces),
  };
}

function pidsOf(pids: GroupStats["pids"]): ContainerStats["pids_stats"] {
  if (pids === undefined) return {};
  const { current, limit } = pids;
  return limit === undefined ? { current } : { current, limit };
}

const NO_CPU: Pick<
  GroupCpu,
  "totalNs" | "userNs" | "kernelNs" | "periods" | "throttledPeriods" | "throttledNs"
> = { totalNs: 0, userNs: 0, kernelNs: 0, periods: 0, throttledPeriods: 0, throttledNs: 0 };

function cpuOf(reading: StatsReading | undefined): CpuStats {
  const cpu = reading?.group.cpu;
  const { totalNs, userNs, kernelNs, periods, throttledPeriods, throttledNs } = cpu ?? NO_CPU;
  return {
    cpu_usage: {
      total_usage: totalNs,
      ...(cpu?.perCpuNs === undefined ? {} : { percpu_usage: [...cpu.perCpuNs] }),
      usage_in_kernelmode: kernelNs,
      usage_in_usermode: userNs,
    },
    ...(reading === undefined
      ? {}
      : { system_cpu_usage: reading.hostCpu.totalNs, online_cpus: reading.hostCpu.online }),
    throttling_data: {
      periods,
      throttled_periods: throttledPeriods,
      throttled_time: throttledNs,
    },
  };
}

function memoryOf(reading: StatsReading | undefined): MemoryStats {
  const memory: GroupMemory | undefined = reading?.group.memory;
  if (reading === undefined || memory === undefined) return {};
  const { hostMemoryBytes } = reading;
  const stats: Record<string, number> = {};
  for (const name of memory.v1 ? MEMORY_FIELDS_V1 : MEMORY_FIELDS_V2) {
    const value = memory.stat.get(name);
    if (value !== undefined) stats[name] = value;
  }
  return {
    usage: memory.usageBytes,
    ...(memory.maxUsageBytes === undefined ? {} : { max_usage: memory.maxUsageBytes }),
    stats,
    ...(memory.failures === 0 ? {} : { failcnt: memory.failures }),
    limit: Math.min(memory.limitBytes ?? hostMemoryBytes, hostMemoryBytes),
  };
}

const NO_IO: BlkioStats = {
  io_service_bytes_recursive: null,
  io_serviced_recursive: null,
  io_queue_recursive: null,
  io_service_time_recursive: null,
  io_wait_time_recursive: null,
  io_merged_recursive: null,
  io_time_recursive: null,
  sectors_recursive: null,
};

/** The lists that stay empty on v1 were those of the CFQ scheduler, which Linux 5.0 took out. */
function blkioOf(io: GroupIo | undefined): BlkioStats {
  if (io === undefined) return NO_IO;
  if (!io.v1) {
    const bytes = io.bytes.length === 0 ? null : [...io.bytes];
    return { ...NO_IO, io_service_bytes_recursive: bytes };
  }
  return {
    io_service_bytes_recursive: [...io.bytes],
    io_serviced_recursive: [...io.serviced],
    io_queue_recursive: [],
    io_service_time_recursive: [],
    io_wait_time_recursive: [],
    io_merged_recursive: [],
    io_time_recursive: [],
    sectors_recursive: [],
  };
}

function networksOf(
  interfaces: readonly InterfaceCounters[] | undefined,
): Pick<ContainerStats, "networks"> {
  const own = (interfaces ?? []).filter(({ name }) => name !== "lo");
  if (own.length === 0) return {};
  const networks: Record<string, InterfaceStats> = {};
  for (const one of own) {
    networks[one.name] = {
      rx_bytes: one.rxBytes,
      rx_packets: one.rxPackets,
      rx_errors: one.rxErrors,
      rx_dropped: one.rxDropped,
      tx_bytes: one.txBytes,
      tx_packets: one.txPackets,
      tx_errors: one.txErrors,
      tx_dropped: one.txDropped,
    };
  }
  return { networks };
}
