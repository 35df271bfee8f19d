import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { getLimit, mayRaiseLimits, RLIMITS } from "../../linux/mod.ts";
import { parseHostCapabilities } from "../capabilities.ts";
import type { HostFacts } from "./input.ts";

const CGROUP_ROOT = "/sys/fs/cgroup";

/** Reads what the host can do. Cheap (a dozen small files), done once at start. */
export function readHostFacts(): HostFacts {
  const unified = existsSync(`${CGROUP_ROOT}/cgroup.controllers`);
  const hybrid = !unified && existsSync(`${CGROUP_ROOT}/unified/cgroup.controllers`);
  const controllers = unified ? unifiedControllers() : legacyControllers();
  const statusText = readFileSync("/proc/self/status", "latin1");
  const capabilities = parseHostCapabilities(
    readFileSync("/proc/sys/kernel/cap_last_cap", "latin1"),
    statusText,
  );
  return {
    cgroupMode: unified ? "v2" : hybrid ? "hybrid" : "v1",
    capabilities,
    arch: process.arch,
    kernelRelease: release(),
    controllers,
    swapLimit: unified
      ? existsSync("/proc/swaps") && controllers.has("memory")
      : existsSync(`${CGROUP_ROOT}/memory/memory.memsw.limit_in_bytes`),
    cpuRealtime: !unified && existsSync(`${CGROUP_ROOT}/cpu/cpu.rt_runtime_us`),
    cpuCfs: unified
      ? controllers.has("cpu")
      : existsSync(`${CGROUP_ROOT}/cpu/cpu.cfs_quota_us`) ||
        existsSync(`${CGROUP_ROOT}/cpu,cpuacct/cpu.cfs_quota_us`),
    blkioWeight: unified
      ? controllers.has("io")
      : existsSync(`${CGROUP_ROOT}/blkio/blkio.weight`) ||
        existsSync(`${CGROUP_ROOT}/blkio/blkio.bfq.weight`),
    hardLimits: new Map(
      Object.keys(RLIMITS).map((name) => [name, getLimit(name)?.hard ?? 0n] as const),
    ),
    mayRaiseLimits: mayRaiseLimits(),
    thermalThrottlePaths: thermalThrottlePaths(),
  };
}

function unifiedControllers(): ReadonlySet<string> {
  const text = readFileSync(`${CGROUP_ROOT}/cgroup.controllers`, "latin1").trim();
  // devices is a BPF program in v2: always there. blkio is called io.
  return new Set([...text.split(" "), "devices", ...(text.includes("io") ? ["blkio"] : [])]);
}

function legacyControllers(): ReadonlySet<string> {
  const lines = readFileSync("/proc/self/cgroup", "latin1").trim().split("\n");
  return new Set(lines.flatMap((line) => (line.split(":")[1] ?? "").split(",")));
}

function thermalThrottlePaths(): string[] {
  const root = "/sys/devices/system/cpu";
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => `${root}/${name}/thermal_throttle`)
    .filter((path) => existsSync(path));
}
