import { expect, test } from "bun:test";
import type { ContainerStats } from "../../spec/mod.ts";
import { cpuPercent, memoryUsed, statsRow } from "./stats-row.ts";

const cpu = (total: number, system: number) => ({
  cpu_usage: { total_usage: total, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  system_cpu_usage: system,
  online_cpus: 2,
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
});
const STATS = {
  id: "0123456789abcdef",
  name: "/web",
  cpu_stats: cpu(150, 1100),
  precpu_stats: cpu(100, 1000),
  memory_stats: { usage: 3 << 20, limit: 4 << 20, stats: { total_inactive_file: 1 << 20 } },
  pids_stats: { current: 7 },
  networks: { eth0: { rx_bytes: 1500, tx_bytes: 2 }, eth1: { rx_bytes: 500, tx_bytes: 1 } },
  blkio_stats: {
    io_service_bytes_recursive: [
      { major: 8, minor: 0, op: "Read", value: 4096 },
      { major: 8, minor: 0, op: "write", value: 1 },
      { major: 8, minor: 0, op: "Total", value: 4097 },
    ],
  },
} as unknown as ContainerStats;

test("a row has what docker's has", () => {
  expect(statsRow("web", STATS, { truncate: true })).toEqual({
    Container: "web",
    ID: "0123456789ab",
    Name: "web",
    CPUPerc: "100.00%",
    MemUsage: "2MiB / 4MiB",
    MemPerc: "50.00%",
    NetIO: "2kB / 3B",
    BlockIO: "4.1kB / 1B",
    PIDs: "7",
  });
});

test("what is not known yet is dashes", () => {
  expect(statsRow("web", undefined, { truncate: true })).toMatchObject({
    Container: "web",
    MemUsage: "-- / --",
    PIDs: "--",
  });
});

test("no time passed is no use; cgroup v2 names its cache otherwise", () => {
  expect(cpuPercent({ ...STATS, precpu_stats: STATS.cpu_stats })).toBe(0);
  const memory = { usage: 10, stats: { inactive_file: 4 } };
  expect(memoryUsed({ ...STATS, memory_stats: memory })).toBe(6);
  expect(memoryUsed({ ...STATS, memory_stats: { usage: 3, stats: { inactive_file: 4 } } })).toBe(3);
});
