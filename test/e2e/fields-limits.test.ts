/**
 * One proof for each limit of HostConfig: the number in the file of the control group or of /proc,
 * read from inside. What this kernel lacks must have been said in a warning or an error.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type Dockerode from "dockerode";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { connect, loadBusybox, refused, run } from "./dockerode-client.ts";

const TEST_TIMEOUT_MS = 20_000;
const MIB = 1024 * 1024;
const GROUPS = "/sys/fs/cgroup";
const DISK = "/dev/loop0";

type Fields = Readonly<Record<string, unknown>>;
type Proofs = Readonly<Record<string, () => Promise<void>>>;

let engine: TestEngine;
let docker: Dockerode;

async function seen(script: string, host: Fields): Promise<string> {
  const { stdout, stderr, exitCode } = await run(docker, script, { HostConfig: host });
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${stdout}${stderr}`);
  return stdout.trim();
}

/** A file of the control group, by its name in version 1 and in version 2. */
function limit(v1: string, v2: string, host: Fields): Promise<string> {
  return seen(`cat ${GROUPS}/${v2} 2>/dev/null || cat ${GROUPS}/${v1}`, host);
}

const isV1 = (): boolean => existsSync(join(GROUPS, "cpu"));

async function warningsOf(host: Fields): Promise<string> {
  const made = await engine.fetch("/containers/create", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ Image: "busybox", HostConfig: host }),
  });
  const answer = (await made.json()) as { Warnings: string[]; message?: string };
  return answer.message ?? answer.Warnings.join("\n");
}

/** The rate of `/dev/loop0`, whose number is 7:0 everywhere. */
async function throttles(field: string, v1: string, v2: string): Promise<void> {
  const host = { [field]: [{ Path: DISK, Rate: 1_048_576 }] };
  expect(await limit(`blkio/blkio.throttle.${v1}_device`, "io.max", host)).toMatch(
    isV1() ? /^7:0 1048576$/m : new RegExp(`^7:0 .*${v2}=1048576`, "m"),
  );
}

/** The weight where the kernel has weights, else the warning that says so. */
async function weighs(host: Fields, file: string, wanted: RegExp): Promise<void> {
  const warning = await warningsOf(host);
  if (warning === "") expect(await seen(`cat ${GROUPS}/${file}`, host)).toMatch(wanted);
  else expect(warning).toContain("does not support Block I/O weight");
}

const MEMORY: Proofs = {
  "HostConfig.Memory": async () => {
    const host = { Memory: 64 * MIB };
    expect(await limit("memory/memory.limit_in_bytes", "memory.max", host)).toBe(`${64 * MIB}`);
  },
  "HostConfig.MemoryReservation": async () => {
    const host = { MemoryReservation: 32 * MIB };
    const found = await limit("memory/memory.soft_limit_in_bytes", "memory.low", host);
    expect(found).toBe(`${32 * MIB}`);
  },
  "HostConfig.MemorySwap": async () => {
    const host = { Memory: 64 * MIB, MemorySwap: 96 * MIB };
    const warning = await warningsOf(host);
    if (warning !== "") return expect(warning).toContain("Memory limited without swap");
    const found = await limit("memory/memory.memsw.limit_in_bytes", "memory.swap.max", host);
    expect(found).toBe(`${(isV1() ? 96 : 32) * MIB}`);
  },
  "HostConfig.MemorySwappiness": async () => {
    const host = { MemorySwappiness: 17 };
    if (!isV1()) return expect(await warningsOf(host)).toContain("swappiness discarded");
    expect(await seen(`cat ${GROUPS}/memory/memory.swappiness`, host)).toBe("17");
  },
  "HostConfig.OomKillDisable": async () => {
    const host = { OomKillDisable: true, Memory: 64 * MIB };
    if (!isV1()) return expect(await warningsOf(host)).toContain("OomKillDisable discarded");
    expect(await seen(`cat ${GROUPS}/memory/memory.oom_control`, host)).toContain(
      "oom_kill_disable 1",
    );
  },
  "HostConfig.OomScoreAdj": async () => {
    expect(await seen("cat /proc/self/oom_score_adj", { OomScoreAdj: 300 })).toBe("300");
  },
};

const PROCESSOR: Proofs = {
  "HostConfig.CpuShares": async () => {
    const found = await limit("cpu/cpu.shares", "cpu.weight", { CpuShares: 2048 });
    expect(["2048", "79", "160", "174"]).toContain(found); // converters of crun versions differ
  },
  "HostConfig.NanoCpus": async () => {
    const found = await limit("cpu/cpu.cfs_quota_us", "cpu.max", { NanoCpus: 250_000_000 });
    expect(["25000", "25000 100000"]).toContain(found);
  },
  "HostConfig.CpuPeriod": async () => {
    const found = await limit("cpu/cpu.cfs_period_us", "cpu.max", { CpuPeriod: 50_000 });
    expect(["50000", "max 50000"]).toContain(found);
  },
  "HostConfig.CpuQuota": async () => {
    const found = await limit("cpu/cpu.cfs_quota_us", "cpu.max", { CpuQuota: 30_000 });
    expect(["30000", "30000 100000"]).toContain(found);
  },
  "HostConfig.CpuRealtimePeriod": () => realtime("CpuRealtimePeriod", 500_000, "cpu.rt_period_us"),
  "HostConfig.CpuRealtimeRuntime": () =>
    realtime("CpuRealtimeRuntime", 20_000, "cpu.rt_runtime_us"),
  "HostConfig.CpusetCpus": async () => {
    const script = "grep Cpus_allowed_list /proc/self/status";
    expect(await seen(script, { CpusetCpus: "1" })).toMatch(/\t1$/);
  },
  "HostConfig.CpusetMems": async () => {
    const found = await limit("cpuset/cpuset.mems", "cpuset.mems", { CpusetMems: "0" });
    expect(found).toBe("0");
  },
};

/** The parents need real time to share; dockerd leaves that to its administrator too. */
async function realtime(field: string, value: number, file: string): Promise<void> {
  const host = { [field]: value };
  if (!existsSync(join(GROUPS, "cpu/cpu.rt_runtime_us"))) {
    const { status, text } = await refused(run(docker, "true", { HostConfig: host }));
    expect({ status, text }).toMatchObject({ status: 400, text: expect.stringContaining(field) });
    return;
  }
  const parent = join(GROUPS, "cpu", engine.cgroupParent);
  mkdirSync(parent, { recursive: true });
  writeFileSync(join(parent, "cpu.rt_runtime_us"), "100000");
  expect(await seen(`cat ${GROUPS}/cpu/${file}`, host)).toBe(String(value));
}

const DISKS: Proofs = {
  "HostConfig.BlkioWeight": () => weighs({ BlkioWeight: 300 }, "blkio/blkio.bfq.weight", /\b300\b/),
  "HostConfig.BlkioWeightDevice": () =>
    weighs(
      { BlkioWeightDevice: [{ Path: DISK, Weight: 300 }] },
      "blkio/blkio.bfq.weight_device",
      /7:0 300/,
    ),
  "HostConfig.BlkioDeviceReadBps": () => throttles("BlkioDeviceReadBps", "read_bps", "rbps"),
  "HostConfig.BlkioDeviceWriteBps": () => throttles("BlkioDeviceWriteBps", "write_bps", "wbps"),
  "HostConfig.BlkioDeviceReadIOps": () => throttles("BlkioDeviceReadIOps", "read_iops", "riops"),
  "HostConfig.BlkioDeviceWriteIOps": () => throttles("BlkioDeviceWriteIOps", "write_iops", "wiops"),
};

const OTHERS: Proofs = {
  "HostConfig.CgroupParent": async () => {
    const CgroupParent = `${engine.cgroupParent}/inner`;
    const host = { CgroupParent, CgroupnsMode: "host" };
    expect(await seen("cat /proc/self/cgroup", host)).toContain(`${CgroupParent}/`);
    // It may be somebody's own, so the engine leaves it, as Docker does.
    for (const hierarchy of ["", ...readdirSync(GROUPS)]) {
      const path = join(GROUPS, hierarchy, CgroupParent);
      if (existsSync(path)) rmdirSync(path);
    }
  },
  "HostConfig.Devices": async () => {
    const device = {
      PathOnHost: "/dev/kmsg",
      PathInContainer: "/dev/mine",
      CgroupPermissions: "r",
    };
    expect(await seen("ls -l /dev/mine", { Devices: [device] })).toMatch(/^c.* 1, +11 .*mine$/);
  },
  "HostConfig.DeviceRequests": async () => {
    const vendor = `naru${engine.id}.example.com`;
    const path = `/var/run/cdi/${vendor}.json`;
    const containerEdits = {
      env: ["VENDOR=yes"],
      deviceNodes: [{ path: "/dev/mine", hostPath: "/dev/zero" }],
      mounts: [{ hostPath: "/usr", containerPath: "/vendor", options: ["ro", "nosuid", "rbind"] }],
    };
    const devices = [{ name: "one", containerEdits }];
    const DeviceRequests = [{ Driver: "cdi", DeviceIDs: [`${vendor}/thing=one`] }];
    const missing = await refused(run(docker, "true", { HostConfig: { DeviceRequests } as never }));
    expect(missing.text).toContain(`unresolvable CDI devices ${vendor}/thing=one`);
    mkdirSync("/var/run/cdi", { recursive: true });
    writeFileSync(path, JSON.stringify({ cdiVersion: "0.6.0", kind: `${vendor}/thing`, devices }));
    try {
      const script = "echo $VENDOR; head -c 1 /dev/mine | wc -c; grep ' /vendor ' /proc/mounts";
      const [env, bytes, mounted] = (await seen(script, { DeviceRequests })).split("\n");
      expect({ env, bytes }).toEqual({ env: "yes", bytes: "1" });
      expect(mounted).toMatch(/ ro,nosuid/);
    } finally {
      rmSync(path);
    }
  },
  "HostConfig.DeviceCgroupRules": async () => {
    const script = "mknod /disk b 7 0 && head -c 0 /disk && echo opened";
    expect((await run(docker, script)).stderr).toContain("Operation not permitted");
    expect(await seen(script, { DeviceCgroupRules: ["b 7:0 r"] })).toBe("opened");
  },
  "HostConfig.PidsLimit": async () => {
    expect(await limit("pids/pids.max", "pids.max", { PidsLimit: 33 })).toBe("33");
  },
  "HostConfig.Ulimits": async () => {
    const Ulimits = [{ Name: "nofile", Soft: 123, Hard: 456 }];
    expect(await seen("ulimit -Sn; ulimit -Hn", { Ulimits })).toBe("123\n456");
  },
};

describe.skipIf(!privileged())("a limit shows its effect:", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    await loadBusybox(docker);
  }, TEST_TIMEOUT_MS);
  afterAll(() => engine?.destroy(), TEST_TIMEOUT_MS);
  afterEach(() => engine.removeContainers(), TEST_TIMEOUT_MS);

  for (const proofs of [MEMORY, PROCESSOR, DISKS, OTHERS]) {
    for (const [field, proof] of Object.entries(proofs)) test(field, proof, TEST_TIMEOUT_MS);
  }
});
