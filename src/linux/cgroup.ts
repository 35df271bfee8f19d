import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { errorCode, NaruError } from "../base/mod.ts";
import { listMounts, type MountEntry } from "./mountinfo.ts";
import { kill } from "./process.ts";

/** Where each controller of this host lives. */
export interface CgroupHost {
  /** `hybrid`: controllers on v1, and a v2 tree beside them. */
  readonly mode: "v1" | "v2" | "hybrid";
  /** Mount points of v1 controllers (`memory`, `name=systemd`) by name. */
  readonly v1: ReadonlyMap<string, string>;
  /** Mount point of the v2 tree, or undefined. */
  readonly unified: string | undefined;
  /** Controllers that the v2 tree has. */
  readonly unifiedControllers: readonly string[];
}

const NOT_CONTROLLERS: ReadonlySet<string> = new Set([
  "rw",
  "ro",
  "xattr",
  "clone_children",
  "noprefix",
  "release_agent",
  "cpuset_v2_mode",
  "none",
]);

/** Throws unavailable when no cgroup file system is mounted. */
export function detectCgroups(mounts: readonly MountEntry[] = listMounts()): CgroupHost {
  const v1 = new Map<string, string>();
  let unified: string | undefined;
  for (const { type, target, superOptions } of mounts) {
    if (type === "cgroup2") unified ??= target;
    if (type !== "cgroup") continue;
    for (const option of superOptions) {
      if (!NOT_CONTROLLERS.has(option) && !option.startsWith("release_agent=")) {
        v1.set(option, target);
      }
    }
  }
  if (v1.size === 0 && unified === undefined) {
    throw new NaruError("unavailable", "no cgroup file system is mounted under /sys/fs/cgroup");
  }
  const mode = v1.size === 0 ? "v2" : unified === undefined ? "v1" : "hybrid";
  const unifiedControllers =
    unified === undefined ? [] : words(readText(`${unified}/cgroup.controllers`) ?? "");
  return { mode, v1, unified, unifiedControllers };
}

/** Controllers that limit something on this host, whichever tree has them. */
export function cgroupControllers(host: CgroupHost): string[] {
  const named = [...host.v1.keys()].filter((name) => !name.startsWith("name="));
  return [...new Set([...named, ...host.unifiedControllers])].sort();
}

/**
 * crun 1.8 refuses a hybrid host whose v2 tree still has controllers. Which ones, and the commands
 * that mend it; undefined when all is well.
 */
export function diagnoseHybrid(
  host: CgroupHost,
): { readonly controllers: readonly string[]; readonly commands: readonly string[] } | undefined {
  if (host.mode !== "hybrid" || host.unifiedControllers.length === 0) return undefined;
  return {
    controllers: host.unifiedControllers,
    commands: host.unifiedControllers.flatMap((name) => [
      `mkdir -p /sys/fs/cgroup/${name}`,
      `mount -t cgroup -o ${name} ${name} /sys/fs/cgroup/${name}`,
    ]),
  };
}

/** The directories of group `path` (`/naru/ID`) in every tree of the host. */
export function groupDirs(host: CgroupHost, path: string): string[] {
  const roots = new Set(host.v1.values());
  if (host.unified !== undefined) roots.add(host.unified);
  return [...roots].map((root) => `${root}${path}`);
}

/** Makes the group in every tree. Idempotent. A v1 cpuset inherits what it needs to hold processes. */
export function createGroup(host: CgroupHost, path: string): void {
  const cpuset = host.v1.get("cpuset");
  for (const dir of groupDirs(host, path)) {
    mkdirSync(dir, { recursive: true });
    if (cpuset !== undefined && dir === `${cpuset}${path}`) inheritCpuset(cpuset, path);
  }
}

/** A new v1 cpuset group has no CPUs, and then takes no process. */
function inheritCpuset(root: string, path: string): void {
  let parent = root;
  for (const part of path.split("/").filter((name) => name !== "")) {
    const dir = `${parent}/${part}`;
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const own = readText(`${dir}/${file}`)?.trim();
      if (own === "") writeFileSync(`${dir}/${file}`, readText(`${parent}/${file}`) ?? "");
    }
    parent = dir;
  }
}

/** Moves a process into the group, in every tree that has it. */
export function moveToGroup(host: CgroupHost, path: string, pid: number): void {
  for (const dir of groupDirs(host, path)) {
    if (existsSync(dir)) writeFileSync(`${dir}/cgroup.procs`, String(pid));
  }
}

/** Processes of the group and of those below it. */
export function groupProcesses(host: CgroupHost, path: string): number[] {
  const pids = new Set<number>();
  for (const top of groupDirs(host, path)) {
    for (const dir of groupTree(top)) {
      for (const line of words(readText(`${dir}/cgroup.procs`) ?? "")) pids.add(Number(line));
    }
  }
  pids.delete(0); // a process outside our pid namespace
  return [...pids];
}

/** Sends SIGKILL to all of the group and below. False while something may still be alive. */
export function killGroup(host: CgroupHost, path: string): boolean {
  const killFile = `${host.unified ?? ""}${path}/cgroup.kill`;
  if (host.unified !== undefined && existsSync(killFile)) writeFileSync(killFile, "1");
  const pids = groupProcesses(host, path);
  for (const pid of pids) kill(pid, 9);
  return pids.length === 0;
}

/** Removes the group and those below it from every tree. False while processes keep it (EBUSY). */
export function removeGroup(host: CgroupHost, path: string): boolean {
  let gone = true;
  for (const top of groupDirs(host, path)) {
    for (const dir of groupTree(top)) {
      try {
        rmdirSync(dir);
      } catch (error) {
        if (errorCode(error) === "EBUSY") gone = false;
        else if (errorCode(error) !== "ENOENT") throw error;
      }
    }
  }
  return gone;
}

/** A group's directories, the deepest first; none when it does not exist. */
function groupTree(dir: string): string[] {
  if (!existsSync(dir)) return [];
  const below: string[] = [];
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) below.push(...groupTree(`${dir}/${entry.name}`));
  }
  return [...below, dir];
}

/** A group's use and limits. Absent controllers leave fields undefined; no limit is undefined too. */
export interface GroupStatus {
  readonly memoryBytes: number | undefined;
  readonly memoryLimitBytes: number | undefined;
  /** Page cache that goes first under pressure; clients subtract it from the use. */
  readonly inactiveFileBytes: number | undefined;
  readonly oomKills: number | undefined;
  readonly cpuUsageNs: bigint | undefined;
  /** Share of CPUs: quota over period. */
  readonly cpuLimit: number | undefined;
  readonly processes: number | undefined;
  readonly processesLimit: number | undefined;
}

export function readGroup(host: CgroupHost, path: string): GroupStatus {
  const dirOf = (controller: string): { dir: string; v1: boolean } => {
    const v1 = host.v1.get(controller);
    return v1 === undefined
      ? { dir: `${host.unified ?? "/nowhere"}${path}`, v1: false }
      : { dir: `${v1}${path}`, v1: true };
  };
  return { ...memoryStatus(dirOf("memory")), ...cpuStatus(dirOf), ...pidsStatus(dirOf("pids")) };
}

type Place = { readonly dir: string; readonly v1: boolean };

const V1_UNLIMITED_BYTES = 2 ** 62; // v1 shows "no limit" as the largest multiple of a page

function memoryStatus({
  dir,
  v1,
}: Place): Pick<
  GroupStatus,
  "memoryBytes" | "memoryLimitBytes" | "inactiveFileBytes" | "oomKills"
> {
  const limit = number(readText(`${dir}/${v1 ? "memory.limit_in_bytes" : "memory.max"}`));
  const events = readText(`${dir}/${v1 ? "memory.oom_control" : "memory.events"}`);
  const stat = readText(`${dir}/memory.stat`);
  return {
    memoryBytes: number(readText(`${dir}/${v1 ? "memory.usage_in_bytes" : "memory.current"}`)),
    memoryLimitBytes: limit === undefined || limit >= V1_UNLIMITED_BYTES ? undefined : limit,
    inactiveFileBytes: field(stat, v1 ? "total_inactive_file" : "inactive_file"),
    oomKills: field(events, "oom_kill"),
  };
}

function cpuStatus(
  dirOf: (controller: string) => Place,
): Pick<GroupStatus, "cpuUsageNs" | "cpuLimit"> {
  const cpu = dirOf("cpu");
  const usage = dirOf("cpuacct");
  const v1Usage = usage.v1 ? readText(`${usage.dir}/cpuacct.usage`)?.trim() : undefined;
  const v2UsageUs = usage.v1 ? undefined : field(readText(`${cpu.dir}/cpu.stat`), "usage_usec");
  const [quota, period] = cpu.v1
    ? [readText(`${cpu.dir}/cpu.cfs_quota_us`), readText(`${cpu.dir}/cpu.cfs_period_us`)].map(
        number,
      )
    : words(readText(`${cpu.dir}/cpu.max`) ?? "").map(number);
  return {
    cpuUsageNs:
      v1Usage !== undefined
        ? BigInt(v1Usage)
        : v2UsageUs === undefined
          ? undefined
          : BigInt(v2UsageUs) * 1000n,
    cpuLimit: quota === undefined || quota < 0 || !period ? undefined : quota / period,
  };
}

function pidsStatus({ dir }: Place): Pick<GroupStatus, "processes" | "processesLimit"> {
  return {
    processes: number(readText(`${dir}/pids.current`)),
    processesLimit: number(readText(`${dir}/pids.max`)),
  };
}

function number(text: string | undefined): number | undefined {
  const value = text === undefined ? Number.NaN : Number.parseInt(text, 10);
  return Number.isNaN(value) ? undefined : value; // `max` too: no limit
}

function field(text: string | undefined, name: string): number | undefined {
  return number(new RegExp(`^${name} (\\d+)$`, "m").exec(text ?? "")?.[1]);
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    const code = errorCode(error);
    // ENODEV: the group went away between open and read.
    if (code === "ENOENT" || code === "ENODEV" || code === "EOPNOTSUPP") return undefined;
    throw error;
  }
}
