import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { MiB, NaruError, parseSizeBytes } from "../base/mod.ts";
import { checkDnsSettings, parseExtraHost } from "../network/mod.ts";
import type { HostConfig } from "../spec/mod.ts";
import { checkLinks } from "./links.ts";

/** Below this the runtime itself does not fit. Docker's limit and words. */
const MEMORY_BYTES_MIN = 6 * MiB;
const NS_PER_CPU = 1e9;

function invalid(message: string, field: string): NaruError {
  return new NaruError("invalid_argument", message, { field });
}

/** Throws invalid_argument or unsupported, naming the field, before anything is written. */
export function checkHostConfig(host: HostConfig): void {
  refuseWhatIsNotDone(host);
  checkLinks(host);
  checkMemory(host);
  checkCpu(host);
  checkBlkio(host);
  checkModes(host);
  checkDnsSettings({
    dns: host.Dns ?? [],
    dnsSearch: host.DnsSearch ?? [],
    dnsOptions: host.DnsOptions ?? [],
  });
  if ((host.GroupAdd ?? []).some((group) => group.includes("\0"))) {
    throw invalid("GroupAdd: a group contains a zero byte", "GroupAdd");
  }
  if (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000) {
    throw invalid(
      `Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`,
      "OomScoreAdj",
    );
  }
  if (host.ShmSize < 0) throw invalid("SHM size can not be less than 0", "ShmSize");
  const [rows, columns] = host.ConsoleSize;
  if (rows < 0 || columns < 0) throw invalid("ConsoleSize can not be negative", "ConsoleSize");
  for (const entry of host.ExtraHosts ?? []) parseExtraHost(entry);
  for (const limit of host.Ulimits ?? []) {
    if (limit.Hard !== -1 && (limit.Soft > limit.Hard || limit.Soft === -1)) {
      throw invalid(
        `ulimit soft limit must be less than or equal to hard limit: ${limit.Soft} > ${limit.Hard}`,
        "Ulimits",
      );
    }
  }
  for (const [field, paths] of [
    ["MaskedPaths", host.MaskedPaths],
    ["ReadonlyPaths", host.ReadonlyPaths],
  ] as const) {
    const bad = paths?.find((path) => !path.startsWith("/"));
    if (bad !== undefined) throw invalid(`${field}: "${bad}" is not an absolute path`, field);
  }
}

/** Other values of these mean nothing on Linux, to Docker neither. */
const NO_LINUX_MODE: ReadonlySet<keyof HostConfig> = new Set(["UsernsMode", "Isolation"]);

/** Fields whose wish this engine cannot fulfil; each with the value that asks for nothing. */
function refuseWhatIsNotDone(host: HostConfig): void {
  const wishes: readonly [field: keyof HostConfig, asks: boolean][] = [
    ["CpuCount", host.CpuCount !== 0],
    ["CpuPercent", host.CpuPercent !== 0],
    ["IOMaximumIOps", host.IOMaximumIOps !== 0],
    ["IOMaximumBandwidth", host.IOMaximumBandwidth !== 0],
    ["Cgroup", host.Cgroup !== ""],
    ["UsernsMode", host.UsernsMode !== "" && host.UsernsMode !== "host"],
    ["Isolation", host.Isolation !== "" && host.Isolation !== "default"],
  ];
  for (const [field, asks] of wishes) {
    if (!asks) continue;
    throw new NaruError(
      NO_LINUX_MODE.has(field) ? "invalid_argument" : "unsupported",
      `HostConfig.${field}: ${JSON.stringify(host[field])} is not supported`,
      { field },
    );
  }
}

/** What the writable layer may hold at most; 0: no limit. Throws invalid_argument in Docker's words. */
export function writableBytesMax(host: HostConfig): number {
  const options = host.StorageOpt ?? {};
  const unknown = Object.keys(options).find((key) => key.toLowerCase() !== "size");
  if (unknown !== undefined) throw invalid(`unknown option ${unknown}`, "StorageOpt");
  const [text] = Object.values(options);
  if (text === undefined) return 0;
  const sizeBytes = parseSizeBytes(text);
  if (sizeBytes === undefined) throw invalid(`invalid size: '${text.slice(0, 60)}'`, "StorageOpt");
  return sizeBytes;
}

/** Throws unsupported where the file system cannot. */
export function checkStorageOptions(host: HostConfig, canLimit: () => boolean): void {
  if (writableBytesMax(host) === 0 || canLimit()) return;
  throw new NaruError(
    "unsupported",
    "HostConfig.StorageOpt: size is supported only where the data root's file system has project quotas (xfs or ext4, mounted with prjquota)",
    { field: "StorageOpt" },
  );
}

function checkMemory(host: HostConfig): void {
  const { Memory: memory, MemorySwap: swap, MemoryReservation: reservation } = host;
  for (const field of ["Memory", "MemoryReservation"] as const) {
    const what = field === "Memory" ? "limit" : "reservation";
    if (host[field] < 0) throw invalid(`Minimum memory ${what} allowed is 6MB`, field);
  }
  if (memory !== 0 && memory < MEMORY_BYTES_MIN) {
    throw invalid("Minimum memory limit allowed is 6MB", "Memory");
  }
  if (memory > 0 && swap > 0 && swap < memory) {
    throw invalid(
      "Minimum memoryswap limit should be larger than memory limit, see usage",
      "MemorySwap",
    );
  }
  if (memory === 0 && swap > 0) {
    throw invalid(
      "You should always set the Memory limit when using Memoryswap limit, see usage",
      "MemorySwap",
    );
  }
  if (swap < -1) throw invalid("MemorySwap can not be below -1", "MemorySwap");
  const swappiness = host.MemorySwappiness;
  if (swappiness !== null && (swappiness < -1 || swappiness > 100)) {
    throw invalid(
      `Invalid value: ${swappiness}, valid memory swappiness range is 0-100`,
      "MemorySwappiness",
    );
  }
  if (reservation > 0 && reservation < MEMORY_BYTES_MIN) {
    throw invalid("Minimum memory reservation allowed is 6MB", "MemoryReservation");
  }
  if (memory > 0 && reservation > 0 && memory < reservation) {
    throw invalid(
      "Minimum memory limit can not be less than memory reservation limit, see usage",
      "MemoryReservation",
    );
  }
}

function checkCpu(host: HostConfig): void {
  const limited = host.CpuPeriod > 0 || host.CpuQuota !== 0;
  if (host.NanoCpus > 0 && limited) {
    const [what, field] =
      host.CpuPeriod > 0 ? ["CPU Period", "CpuPeriod"] : ["CPU Quota", "CpuQuota"];
    throw invalid(
      `Conflicting options: Nano CPUs and ${what} cannot both be set`,
      field ?? "NanoCpus",
    );
  }
  const count = cpus().length;
  if (host.NanoCpus < 0 || host.NanoCpus > count * NS_PER_CPU) {
    throw invalid(
      `Range of CPUs is from 0.01 to ${count}.00, as there are only ${count} CPUs available`,
      "NanoCpus",
    );
  }
  if (host.CpuPeriod !== 0 && (host.CpuPeriod < 1000 || host.CpuPeriod > 1_000_000)) {
    throw invalid(
      "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
      "CpuPeriod",
    );
  }
  if (host.CpuQuota > 0 && host.CpuQuota < 1000) {
    throw invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)", "CpuQuota");
  }
  if (host.CpuShares < 0) {
    throw invalid(
      `invalid CPU shares (${host.CpuShares}): value must be a positive integer`,
      "CpuShares",
    );
  }
  for (const field of ["CpuRealtimePeriod", "CpuRealtimeRuntime"] as const) {
    if (host[field] < 0) throw invalid(`${field} can not be negative`, field);
  }
  checkSet(host.CpusetCpus, "CpusetCpus", count);
  checkSet(host.CpusetMems, "CpusetMems", memoryNodes());
}

const SET = /^(\d{1,5}(-\d{1,5})?)(,\d{1,5}(-\d{1,5})?)*$/;

/** `0-2,4`, with numbers that exist. */
function checkSet(
  text: string,
  field: "CpusetCpus" | "CpusetMems",
  count: number | undefined,
): void {
  if (text === "") return;
  const numbers = text.split(/[,-]/).map(Number);
  if (!SET.test(text))
    throw invalid(
      `Invalid value ${text} for cpuset ${field === "CpusetCpus" ? "cpus" : "mems"}: invalid format: ${text}`,
      field,
    );
  if (count !== undefined && numbers.some((number) => number >= count)) {
    throw invalid(
      `Requested ${field === "CpusetCpus" ? "CPUs" : "memory nodes"} are not available - requested ${text}, available: ${count === 1 ? "0" : `0-${count - 1}`}`,
      field,
    );
  }
}

/** How many memory nodes there are; undefined where the kernel does not count them. */
function memoryNodes(): number | undefined {
  try {
    const online = readFileSync("/sys/devices/system/node/online", "utf8").trim();
    return Number(online.split(/[,-]/).at(-1)) + 1;
  } catch {
    return undefined;
  }
}

function checkBlkio(host: HostConfig): void {
  const inRange = (weight: number): boolean => weight >= 10 && weight <= 1000;
  if (host.BlkioWeight !== 0 && !inRange(host.BlkioWeight)) {
    throw invalid("Range of blkio weight is from 10 to 1000", "BlkioWeight");
  }
  for (const device of host.BlkioWeightDevice ?? []) {
    if (!inRange(device.Weight)) {
      throw invalid(`invalid weight ${device.Weight} for ${device.Path}`, "BlkioWeightDevice");
    }
  }
  for (const field of [
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
  ] as const) {
    for (const device of host[field] ?? []) {
      if (device.Rate < 0) throw invalid(`invalid rate ${device.Rate} for ${device.Path}`, field);
    }
  }
}

function checkModes(host: HostConfig): void {
  const checks: readonly [field: keyof HostConfig, value: string, pattern: RegExp, what: string][] =
    [
      ["PidMode", host.PidMode, /^(|host|container:.+)$/, "PID mode"],
      ["UTSMode", host.UTSMode, /^(|host)$/, "UTS mode"],
      ["CgroupnsMode", host.CgroupnsMode, /^(|host|private)$/, "cgroup namespace mode"],
    ];
  for (const [field, value, pattern, what] of checks) {
    if (!pattern.test(value)) throw invalid(`invalid ${what}: ${value}`, field);
  }
  if (!/^(|none|host|private|shareable|container:.+)$/.test(host.IpcMode)) {
    throw invalid(`invalid IPC mode: ${host.IpcMode}`, "IpcMode");
  }
}
