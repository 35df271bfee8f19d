import { describe, expect, test } from "bun:test";
import type { CgroupHost } from "./cgroup.ts";
import {
  locateGroup,
  parseBlkio,
  parseFlatKeyed,
  parseIoStat,
  type ReadText,
  readGroupStats,
} from "./group-stats.ts";
import { parseNetDev, parseProcStat } from "./host-stats.ts";

const V1: CgroupHost = {
  mode: "hybrid",
  v1: new Map([
    ["cpu", "/cg/cpu,cpuacct"],
    ["cpuacct", "/cg/cpu,cpuacct"],
    ["memory", "/cg/memory"],
    ["blkio", "/cg/blkio"],
    ["pids", "/cg/pids"],
  ]),
  unified: "/cg/unified",
  unifiedControllers: [],
};
const V2: CgroupHost = {
  mode: "v2",
  v1: new Map(),
  unified: "/cg",
  unifiedControllers: ["cpu", "io", "memory", "pids"],
};

function files(contents: Record<string, string>): ReadText {
  return (path) => contents[path];
}

const V1_FILES = files({
  "/proc/7/cgroup":
    "9:pids:/naru/id\n5:memory:/naru/id/below\n4:blkio:/naru/id\n2:cpu,cpuacct:/naru/id\n0::/naru/id\n",
  "/cg/cpu,cpuacct/naru/id/cpuacct.usage_percpu": "1000 0 2000 \n",
  "/cg/cpu,cpuacct/naru/id/cpuacct.usage_user": "2500\n",
  "/cg/cpu,cpuacct/naru/id/cpuacct.usage_sys": "500\n",
  "/cg/cpu,cpuacct/naru/id/cpu.stat":
    "nr_periods 10\nnr_throttled 4\nthrottled_time 123456\nnr_bursts 0\n",
  "/cg/memory/naru/id/memory.usage_in_bytes": "1048576\n",
  "/cg/memory/naru/id/memory.max_usage_in_bytes": "2097152\n",
  "/cg/memory/naru/id/memory.limit_in_bytes": "9223372036854771712\n",
  "/cg/memory/naru/id/memory.failcnt": "3\n",
  "/cg/memory/naru/id/memory.stat": "cache 4096\ntotal_inactive_file 512\n",
  "/cg/pids/naru/id/pids.current": "5\n",
  "/cg/pids/naru/id/pids.max": "max\n",
  "/cg/blkio/naru/id/blkio.throttle.io_service_bytes_recursive":
    "8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n",
  "/cg/blkio/naru/id/blkio.throttle.io_serviced_recursive": "8:0 Read 1\nTotal 1\n",
});

const V2_FILES = files({
  "/proc/7/cgroup": "0::/naru.slice/naru-id.scope/init.scope\n",
  "/cg/naru.slice/naru-id.scope/cpu.stat":
    "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 7\nnr_throttled 2\nthrottled_usec 9\n",
  "/cg/naru.slice/naru-id.scope/memory.current": "4096\n",
  "/cg/naru.slice/naru-id.scope/memory.max": "67108864\n",
  "/cg/naru.slice/naru-id.scope/memory.events": "low 0\nhigh 0\nmax 8\noom 2\noom_kill 1\n",
  "/cg/naru.slice/naru-id.scope/memory.stat": "anon 1\nfile 2\ninactive_file 3\n",
  "/cg/naru.slice/naru-id.scope/pids.current": "2\n",
  "/cg/naru.slice/naru-id.scope/pids.max": "100\n",
  "/cg/naru.slice/naru-id.scope/io.stat":
    "254:1 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n254:16 \n",
});

describe("a group", () => {
  test("on v1 has a directory for each controller, a group below counts as it", () => {
    const place = locateGroup(V1, 7, "id", V1_FILES);
    expect(place?.memory).toEqual({ dir: "/cg/memory/naru/id", v1: true });
    expect(place?.cpuacct).toEqual({ dir: "/cg/cpu,cpuacct/naru/id", v1: true });
    if (place === undefined) throw new Error("not found");
    expect(readGroupStats(place, V1_FILES)).toEqual({
      cpu: {
        totalNs: 3000,
        userNs: 2500,
        kernelNs: 500,
        perCpuNs: [1000, 0, 2000],
        periods: 10,
        throttledPeriods: 4,
        throttledNs: 123456,
      },
      memory: {
        v1: true,
        usageBytes: 1_048_576,
        maxUsageBytes: 2_097_152,
        limitBytes: undefined,
        failures: 3,
        stat: new Map([
          ["cache", 4096],
          ["total_inactive_file", 512],
        ]),
      },
      pids: { current: 5, limit: undefined },
      io: {
        v1: true,
        bytes: [
          { major: 8, minor: 0, op: "Read", value: 4096 },
          { major: 8, minor: 0, op: "Write", value: 0 },
          { major: 8, minor: 0, op: "Total", value: 4096 },
        ],
        serviced: [{ major: 8, minor: 0, op: "Read", value: 1 }],
      },
    });
  });

  test("on v2 has one directory, microseconds become nanoseconds", () => {
    const place = locateGroup(V2, 7, "id", V2_FILES);
    if (place === undefined) throw new Error("not found");
    expect(place.cpuacct).toBeUndefined();
    const stats = readGroupStats(place, V2_FILES);
    expect(stats?.cpu).toEqual({
      totalNs: 3_000_000,
      userNs: 2_000_000,
      kernelNs: 1_000_000,
      perCpuNs: undefined,
      periods: 7,
      throttledPeriods: 2,
      throttledNs: 9000,
    });
    expect(stats?.memory).toMatchObject({ v1: false, limitBytes: 67_108_864, failures: 2 });
    expect(stats?.pids).toEqual({ current: 2, limit: 100 });
    expect(stats?.io?.bytes).toEqual([
      { major: 254, minor: 1, op: "read", value: 10 },
      { major: 254, minor: 1, op: "write", value: 20 },
    ]);
  });

  test("that is gone, or is another's, has nothing", () => {
    expect(locateGroup(V2, 8, "id", V2_FILES)).toBeUndefined();
    expect(locateGroup(V2, 7, "other", V2_FILES)).toBeUndefined();
    const place = locateGroup(V1, 7, "id", V1_FILES);
    if (place === undefined) throw new Error("not found");
    expect(readGroupStats(place, files({}))).toBeUndefined();
  });

  test("without usage_user takes the ticks of cpuacct.stat", () => {
    const place = locateGroup(V1, 7, "id", V1_FILES);
    if (place === undefined) throw new Error("not found");
    const old: ReadText = (path) => {
      if (/usage_(user|sys)$/.test(path)) return undefined;
      return path.endsWith("cpuacct.stat") ? "user 3\nsystem 1\n" : V1_FILES(path);
    };
    expect(readGroupStats(place, old)?.cpu).toMatchObject({
      userNs: 30_000_000,
      kernelNs: 10_000_000,
    });
  });
});

test("lines that are not of the form are left out", () => {
  expect(parseFlatKeyed("a 1\n\nb\n 5\nc x\n")).toEqual(new Map([["a", 1]]));
  expect(parseBlkio("Total 0\nx\n8:0 Read\n")).toEqual([]);
  expect(parseIoStat("8:0 \n\n")).toEqual([]);
});

test("the host's CPU time leaves out steal, and CPUs are counted", () => {
  const text = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu3 0 0 0 0\nintr 5 0\n";
  expect(parseProcStat(text)).toEqual({ totalNs: 280_000_000, online: 2 });
});

test("interfaces have their counters in the order of net/dev", () => {
  const text =
    "Inter-|   Receive  |  Transmit\n face |bytes ...\n    lo:       0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n  eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
  expect(parseNetDev(text)[1]).toEqual({
    name: "eth0",
    rxBytes: 1,
    rxPackets: 2,
    rxErrors: 3,
    rxDropped: 4,
    txBytes: 9,
    txPackets: 10,
    txErrors: 11,
    txDropped: 12,
  });
});
