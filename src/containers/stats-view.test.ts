import { expect, test } from "bun:test";
import { type StatsReading, statsView } from "./stats-view.ts";

const READING: StatsReading = {
  readNs: 1_500_000_000n,
  group: {
    cpu: {
      totalNs: 30,
      userNs: 20,
      kernelNs: 10,
      perCpuNs: [10, 20],
      periods: 1,
      throttledPeriods: 2,
      throttledNs: 3,
    },
    memory: {
      v1: true,
      usageBytes: 100,
      maxUsageBytes: 200,
      limitBytes: undefined,
      failures: 0,
      stat: new Map([
        ["total_inactive_file", 7],
        ["swap", 9],
      ]),
    },
    pids: { current: 3, limit: 50 },
    io: { v1: true, bytes: [], serviced: [] },
  },
  hostCpu: { totalNs: 1000, online: 2 },
  interfaces: undefined,
  hostMemoryBytes: 4096,
};
const WHO = { id: "0123", name: "web" };

test("a container that does not run has its names and nothing else", () => {
  const view = statsView(WHO, undefined, undefined);
  expect(view).toMatchObject({
    read: "0001-01-01T00:00:00Z",
    name: "/web",
    id: "0123",
    pids_stats: {},
    memory_stats: {},
    cpu_stats: { cpu_usage: { total_usage: 0 } },
  });
  expect(view.cpu_stats).not.toHaveProperty("system_cpu_usage");
  expect(view.blkio_stats.io_service_bytes_recursive).toBeNull();
});

test("the reading before fills precpu_stats", () => {
  const view = statsView(WHO, READING, { ...READING, readNs: 500_000_000n });
  expect(view.read).toBe("1970-01-01T00:00:01.5Z");
  expect(view.preread).toBe("1970-01-01T00:00:00.5Z");
  expect(view.precpu_stats).toEqual(view.cpu_stats);
  expect(view.cpu_stats).toEqual({
    cpu_usage: {
      total_usage: 30,
      percpu_usage: [10, 20],
      usage_in_kernelmode: 10,
      usage_in_usermode: 20,
    },
    system_cpu_usage: 1000,
    online_cpus: 2,
    throttling_data: { periods: 1, throttled_periods: 2, throttled_time: 3 },
  });
  expect(statsView(WHO, READING, undefined).precpu_stats).not.toHaveProperty("online_cpus");
});

test("without a limit the host's memory is the limit; only Docker's fields are shown", () => {
  expect(statsView(WHO, READING, undefined).memory_stats).toEqual({
    usage: 100,
    max_usage: 200,
    stats: { total_inactive_file: 7 },
    limit: 4096,
  });
});

test("on v2 no list but that of bytes is there", () => {
  const io = { v1: false, bytes: [{ major: 8, minor: 0, op: "read", value: 1 }], serviced: [] };
  const view = statsView(WHO, { ...READING, group: { ...READING.group, io } }, undefined);
  expect(view.blkio_stats.io_service_bytes_recursive).toHaveLength(1);
  expect(view.blkio_stats.io_serviced_recursive).toBeNull();
});

test("the loopback interface is not shown", () => {
  const counters = { rxBytes: 1, rxPackets: 2, rxErrors: 3, rxDropped: 4 };
  const sent = { txBytes: 5, txPackets: 6, txErrors: 7, txDropped: 8 };
  const interfaces = ["lo", "eth0"].map((name) => ({ name, ...counters, ...sent }));
  expect(statsView(WHO, { ...READING, interfaces }, undefined).networks).toEqual({
    eth0: {
      rx_bytes: 1,
      rx_packets: 2,
      rx_errors: 3,
      rx_dropped: 4,
      tx_bytes: 5,
      tx_packets: 6,
      tx_errors: 7,
      tx_dropped: 8,
    },
  });
});
