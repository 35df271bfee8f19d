import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cgroupControllers, detectCgroups, diagnoseHybrid, readGroup } from "./cgroup.ts";
import { parseMountinfo } from "./mountinfo.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync("/tmp/naru-cgroup-");
  const files: Record<string, string> = {
    "v2/cgroup.controllers": "cpu memory pids hugetlb\n",
    "v2/g/memory.current": "4096\n",
    "v2/g/memory.max": "max\n",
    "v2/g/memory.stat": "anon 1\ninactive_file 77\n",
    "v2/g/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
    "v2/g/cpu.stat": "usage_usec 1500\nuser_usec 1000\n",
    "v2/g/cpu.max": "50000 100000\n",
    "v2/g/pids.current": "3\n",
    "v2/g/pids.max": "100\n",
    "memory/g/memory.usage_in_bytes": "8192\n",
    "memory/g/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/g/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
    "memory/g/memory.stat": "inactive_file 1\ntotal_inactive_file 99\n",
    "cpu/g/cpu.cfs_quota_us": "-1\n",
    "cpu/g/cpu.cfs_period_us": "100000\n",
    "cpu/g/cpuacct.usage": "123456789012\n",
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    writeFileSync(`${root}/${path}`, text);
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const v2 = (): string => `40 30 0:1 / ${root}/v2 rw - cgroup2 cgroup2 rw,nsdelegate\n`;
const v1 = (): string =>
  `41 30 0:2 / ${root}/memory rw - cgroup cgroup rw,memory\n` +
  `42 30 0:3 / ${root}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n` +
  `43 30 0:4 / ${root}/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n`;

describe("cgroups", () => {
  test("v2 alone: values, no limit is undefined", () => {
    const host = detectCgroups(parseMountinfo(v2()));
    expect(host.mode).toBe("v2");
    expect(cgroupControllers(host)).toEqual(["cpu", "hugetlb", "memory", "pids"]);
    expect(diagnoseHybrid(host)).toBeUndefined();
    expect(readGroup(host, "/g")).toEqual({
      memoryBytes: 4096,
      memoryLimitBytes: undefined,
      inactiveFileBytes: 77,
      oomKills: 2,
      cpuUsageNs: 1_500_000n,
      cpuLimit: 0.5,
      processes: 3,
      processesLimit: 100,
    });
  });

  test("hybrid: each controller where it lives, and crun's trouble is named", () => {
    const host = detectCgroups(parseMountinfo(v1() + v2()));
    expect(host.mode).toBe("hybrid");
    expect([...host.v1.keys()]).toEqual(["memory", "cpu", "cpuacct", "name=systemd"]);
    const status = readGroup(host, "/g");
    expect(status).toMatchObject({ memoryBytes: 8192, oomKills: 5, inactiveFileBytes: 99 });
    expect(status.memoryLimitBytes).toBeUndefined();
    expect([status.cpuUsageNs, status.cpuLimit, status.processes]).toEqual([
      123456789012n,
      undefined,
      3,
    ]);
    expect(diagnoseHybrid(host)?.controllers).toContain("hugetlb");
    expect(diagnoseHybrid(host)?.commands).toContain(
      "mount -t cgroup -o hugetlb hugetlb /sys/fs/cgroup/hugetlb",
    );
  });

  test("v1 alone, and nothing at all", () => {
    expect(detectCgroups(parseMountinfo(v1())).mode).toBe("v1");
    expect(() => detectCgroups([])).toThrow("no cgroup file system");
    expect(readGroup(detectCgroups(parseMountinfo(v1())), "/none").memoryBytes).toBeUndefined();
  });
});
