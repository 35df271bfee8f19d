import { readdirSync, readFileSync } from "node:fs";
import { errorCode } from "../base/mod.ts";
import type { CgroupHost } from "./cgroup.ts";

/** Directories of one group by what is read there. */
export interface GroupPlace {
  readonly memory: ControllerPlace | undefined;
  readonly cpu: ControllerPlace | undefined;
  /** v1 only. */
  readonly cpuacct: ControllerPlace | undefined;
  readonly io: ControllerPlace | undefined;
  readonly pids: ControllerPlace | undefined;
}

export interface ControllerPlace {
  readonly dir: string;
  readonly v1: boolean;
}

/** What a group has used. Times in nanoseconds. A controller that the host lacks is undefined. */
export interface GroupStats {
  readonly cpu: GroupCpu | undefined;
  readonly memory: GroupMemory | undefined;
  readonly pids: { readonly current: number; readonly limit: number | undefined } | undefined;
  readonly io: GroupIo | undefined;
}

export interface GroupCpu {
  readonly totalNs: number;
  readonly userNs: number;
  readonly kernelNs: number;
  /** v1 only. */
  readonly perCpuNs: readonly number[] | undefined;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledNs: number;
}

export interface GroupMemory {
  readonly v1: boolean;
  readonly usageBytes: number;
  /** v1 only. */
  readonly maxUsageBytes: number | undefined;
  /** Undefined: none. */
  readonly limitBytes: number | undefined;
  /** How often the limit was hit (v1), how often it led to an OOM (v2). */
  readonly failures: number;
  readonly stat: ReadonlyMap<string, number>;
}

/** `serviced` only on v1. */
export interface GroupIo {
  readonly v1: boolean;
  readonly bytes: readonly IoEntry[];
  readonly serviced: readonly IoEntry[];
}

export interface IoEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

/** The text of a file, undefined when it is not there. Tests give their own. */
export type ReadText = (path: string) => string | undefined;

const NS_PER_US = 1000;
const NS_PER_TICK = 10_000_000; // USER_HZ is 100 on every architecture that Linux runs containers on
const V1_UNLIMITED_BYTES = 2 ** 62; // v1 shows "no limit" as the largest multiple of a page

/**
 * Where the group called `name` lives that process `pid` is in, or is in a group below (a container
 * may make its own). Undefined when the process is gone or in no such group.
 * @see cgroups(7) /proc/pid/cgroup
 */
export function locateGroup(
  host: CgroupHost,
  pid: number,
  name: string,
  read: ReadText = readText,
): GroupPlace | undefined {
  const text = read(`/proc/${pid}/cgroup`);
  if (text === undefined) return undefined;
  const paths = new Map<string, string>(); // controller -> path; "" is the unified tree
  for (const line of text.split("\n")) {
    const [, controllers, ...rest] = line.split(":");
    if (controllers === undefined) continue;
    const path = groupAbove(rest.join(":"), name);
    if (path === undefined) continue;
    for (const controller of controllers.split(",")) paths.set(controller, path);
  }
  if (paths.size === 0) return undefined;
  const place = (v1Name: string): ControllerPlace | undefined => {
    const v1Root = host.v1.get(v1Name);
    const path = paths.get(v1Root === undefined ? "" : v1Name);
    const root = v1Root ?? host.unified;
    if (path === undefined || root === undefined) return undefined;
    return { dir: `${root}${path}`, v1: v1Root !== undefined };
  };
  return {
    memory: place("memory"),
    cpu: place("cpu"),
    cpuacct: host.v1.has("cpuacct") ? place("cpuacct") : undefined,
    io: place("blkio"),
    pids: place("pids"),
  };
}

/** The part of a path up to the segment that holds `name` (`/p/ID`, `/s.slice/naru-ID.scope`). */
function groupAbove(path: string, name: string): string | undefined {
  const segments = path.split("/");
  const at = segments.findIndex((segment) => segment.includes(name));
  return at < 0 ? undefined : segments.slice(0, at + 1).join("/");
}

/** Reads about twelve small files. Undefined when the group is gone. */
export function readGroupStats(
  place: GroupPlace,
  read: ReadText = readText,
): GroupStats | undefined {
  const stats: GroupStats = {
    cpu: readCpu(place, read),
    memory: readMemory(place.memory, read),
    pids: readPids(place.pids, read),
    io: readIo(place.io, read),
  };
  const nothing = stats.cpu === undefined && stats.memory === undefined && stats.pids === undefined;
  return nothing ? undefined : stats;
}

function readCpu(place: GroupPlace, read: ReadText): GroupCpu | undefined {
  if (place.cpuacct !== undefined) return readCpuV1(place.cpu, place.cpuacct, read);
  const text = place.cpu === undefined ? undefined : read(`${place.cpu.dir}/cpu.stat`);
  if (text === undefined) return undefined;
  const stat = parseFlatKeyed(text);
  const ns = (name: string): number => (stat.get(name) ?? 0) * NS_PER_US;
  return {
    totalNs: ns("usage_usec"),
    userNs: ns("user_usec"),
    kernelNs: ns("system_usec"),
    perCpuNs: undefined,
    periods: stat.get("nr_periods") ?? 0,
    throttledPeriods: stat.get("nr_throttled") ?? 0,
    throttledNs: ns("throttled_usec"),
  };
}

function readCpuV1(
  cpu: ControllerPlace | undefined,
  { dir }: ControllerPlace,
  read: ReadText,
): GroupCpu | undefined {
  const perCpu = read(`${dir}/cpuacct.usage_percpu`);
  if (perCpu === undefined) return undefined;
  const perCpuNs = perCpu.trim().split(/\s+/).map(Number);
  const user = read(`${dir}/cpuacct.usage_user`); // since Linux 4.7
  const kernel = read(`${dir}/cpuacct.usage_sys`);
  const ticks = user === undefined ? parseFlatKeyed(read(`${dir}/cpuacct.stat`) ?? "") : undefined;
  const throttle = parseFlatKeyed(
    (cpu === undefined ? undefined : read(`${cpu.dir}/cpu.stat`)) ?? "",
  );
  return {
    totalNs: perCpuNs.reduce((sum, ns) => sum + ns, 0),
    userNs: ticks === undefined ? Number(user) : (ticks.get("user") ?? 0) * NS_PER_TICK,
    kernelNs: ticks === undefined ? Number(kernel) : (ticks.get("system") ?? 0) * NS_PER_TICK,
    perCpuNs,
    periods: throttle.get("nr_periods") ?? 0,
    throttledPeriods: throttle.get("nr_throttled") ?? 0,
    throttledNs: throttle.get("throttled_time") ?? 0,
  };
}

function readMemory(place: ControllerPlace | undefined, read: ReadText): GroupMemory | undefined {
  if (place === undefined) return undefined;
  const { dir, v1 } = place;
  const usage = parseLimit(read(`${dir}/${v1 ? "memory.usage_in_bytes" : "memory.current"}`));
  if (usage === undefined) return undefined;
  const limit = parseLimit(read(`${dir}/${v1 ? "memory.limit_in_bytes" : "memory.max"}`));
  const failures = v1
    ? parseLimit(read(`${dir}/memory.failcnt`))
    : parseFlatKeyed(read(`${dir}/memory.events`) ?? "").get("oom");
  return {
    v1,
    usageBytes: usage,
    maxUsageBytes: v1 ? parseLimit(read(`${dir}/memory.max_usage_in_bytes`)) : undefined,
    limitBytes: limit === undefined || limit >= V1_UNLIMITED_BYTES ? undefined : limit,
    failures: failures ?? 0,
    stat: parseFlatKeyed(read(`${dir}/memory.stat`) ?? ""),
  };
}

function readPids(place: ControllerPlace | undefined, read: ReadText): GroupStats["pids"] {
  if (place === undefined) return undefined;
  const current = parseLimit(read(`${place.dir}/pids.current`));
  if (current === undefined) return undefined;
  return { current, limit: parseLimit(read(`${place.dir}/pids.max`)) };
}

function readIo(place: ControllerPlace | undefined, read: ReadText): GroupIo | undefined {
  if (place === undefined) return undefined;
  const { dir, v1 } = place;
  if (!v1) {
    const text = read(`${dir}/io.stat`);
    return text === undefined ? undefined : { v1, bytes: parseIoStat(text), serviced: [] };
  }
  // The throttle layer counts every request, whichever scheduler the disk has.
  const bytes = read(`${dir}/blkio.throttle.io_service_bytes_recursive`);
  if (bytes === undefined) return undefined;
  const serviced = read(`${dir}/blkio.throttle.io_serviced_recursive`) ?? "";
  return { v1, bytes: parseBlkio(bytes), serviced: parseBlkio(serviced) };
}

/** Processes of the group and of those below it, by the first controller that has it. */
export function groupPids(place: GroupPlace): number[] {
  const dir = (place.pids ?? place.memory ?? place.cpu)?.dir;
  const pids = new Set<number>();
  if (dir !== undefined) collectPids(dir, pids);
  pids.delete(0); // a process outside our pid namespace
  return [...pids];
}

function collectPids(dir: string, pids: Set<number>): void {
  for (const line of (readText(`${dir}/cgroup.procs`) ?? "").split("\n")) {
    if (line !== "") pids.add(Number(line));
  }
  for (const entry of readFolders(dir)) collectPids(`${dir}/${entry}`, pids);
}

function readFolders(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** `name number` a line: memory.stat, cpu.stat, memory.events. */
export function parseFlatKeyed(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space <= 0) continue;
    const value = Number(line.slice(space + 1));
    if (!Number.isNaN(value)) values.set(line.slice(0, space), value);
  }
  return values;
}

/** v1: `8:0 Read 4096` a line, and a sum without a device at the end, which is left out. */
export function parseBlkio(text: string): IoEntry[] {
  const entries: IoEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    if (match === null) continue;
    const [, major, minor, op = "", value] = match;
    entries.push({ major: Number(major), minor: Number(minor), op, value: Number(value) });
  }
  return entries;
}

/** v2: `8:0 rbytes=1 wbytes=2 rios=3 ...` a line; devices that did nothing have the numbers only. */
export function parseIoStat(text: string): IoEntry[] {
  const entries: IoEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):(\d+) /.exec(line);
    if (match === null) continue;
    const device = { major: Number(match[1]), minor: Number(match[2]) };
    const read = / rbytes=(\d+)/.exec(line)?.[1];
    const write = / wbytes=(\d+)/.exec(line)?.[1];
    if (read === undefined && write === undefined) continue;
    entries.push({ ...device, op: "read", value: Number(read ?? 0) });
    entries.push({ ...device, op: "write", value: Number(write ?? 0) });
  }
  return entries;
}

/** A number; undefined for `max` and for a file that is not there. */
function parseLimit(text: string | undefined): number | undefined {
  const value = text === undefined ? Number.NaN : Number.parseInt(text, 10);
  return Number.isNaN(value) ? undefined : value;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    const code = errorCode(error);
    // ENODEV, ESRCH: the group or the process went away between open and read.
    if (["ENOENT", "ENODEV", "ESRCH", "EOPNOTSUPP", "ENOTDIR"].includes(code ?? "")) {
      return undefined;
    }
    throw error;
  }
}
