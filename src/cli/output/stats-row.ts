import type { ContainerStats } from "../../spec/mod.ts";
import { formatBinarySize, formatSize } from "./human.ts";
import type { Row } from "./list-output.ts";

export const STATS_HEADERS: Row = {
  Container: "CONTAINER",
  ID: "CONTAINER ID",
  Name: "NAME",
  CPUPerc: "CPU %",
  MemUsage: "MEM USAGE / LIMIT",
  MemPerc: "MEM %",
  NetIO: "NET I/O",
  BlockIO: "BLOCK I/O",
  PIDs: "PIDS",
};

export const STATS_TABLE =
  "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/** What is shown of one container; undefined: nothing is known of it yet. */
export function statsRow(
  container: string,
  stats: ContainerStats | undefined,
  options: { truncate: boolean },
): Row {
  if (stats === undefined) {
    const pair = "-- / --";
    const unknown = { ID: "--", Name: "--", CPUPerc: "--", MemPerc: "--", PIDs: "--" };
    return { Container: container, ...unknown, MemUsage: pair, NetIO: pair, BlockIO: pair };
  }
  const usedBytes = memoryUsed(stats);
  const limitBytes = stats.memory_stats.limit ?? 0;
  const { read, written } = blockBytes(stats);
  const networks = Object.values(stats.networks ?? {});
  const received = networks.reduce((sum, { rx_bytes: bytes }) => sum + bytes, 0);
  const sent = networks.reduce((sum, { tx_bytes: bytes }) => sum + bytes, 0);
  return {
    Container: container,
    ID: options.truncate ? stats.id.slice(0, 12) : stats.id,
    Name: stats.name.replace(/^\//, ""),
    CPUPerc: `${cpuPercent(stats).toFixed(2)}%`,
    MemUsage: `${formatBinarySize(usedBytes)} / ${formatBinarySize(limitBytes)}`,
    MemPerc: `${(limitBytes === 0 ? 0 : (usedBytes / limitBytes) * 100).toFixed(2)}%`,
    NetIO: `${formatSize(received, 3)} / ${formatSize(sent, 3)}`,
    BlockIO: `${formatSize(read, 3)} / ${formatSize(written, 3)}`,
    PIDs: String(stats.pids_stats.current ?? 0),
  };
}

/** Of one CPU: 200 when two are busy. */
export function cpuPercent({ cpu_stats: now, precpu_stats: before }: ContainerStats): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const cpus = now.online_cpus || (now.cpu_usage.percpu_usage ?? []).length;
  return used > 0 && passed > 0 ? (used / passed) * cpus * 100 : 0;
}

/** Without the page cache that goes first under pressure, as docker shows it. */
export function memoryUsed({ memory_stats: memory }: ContainerStats): number {
  const usage = memory.usage ?? 0;
  // cgroup v1 has the sum with what is below; v2 has one number.
  const cache = memory.stats?.["total_inactive_file"] ?? memory.stats?.["inactive_file"] ?? 0;
  return cache < usage ? usage - cache : usage;
}

function blockBytes({ blkio_stats: blkio }: ContainerStats): { read: number; written: number } {
  const total = (first: string): number =>
    (blkio.io_service_bytes_recursive ?? [])
      .filter(({ op }) => op.toLowerCase().startsWith(first))
      .reduce((sum, { value }) => sum + value, 0);
  return { read: total("r"), written: total("w") };
}
