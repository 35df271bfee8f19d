import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { arch, cpus, hostname, totalmem } from "node:os";
import { promisify } from "node:util";
import type { SystemFacts } from "../api/mod.ts";
import { formatTimestamp, systemClock } from "../base/mod.ts";
import type { DaemonConfig } from "../config/mod.ts";
import { LOG_DRIVERS } from "../containers/mod.ts";
import {
  cgroupControllers,
  detectCgroups,
  diagnoseHybrid,
  fileSystemName,
  kernelFeatures,
  kernelName,
  readSysctl,
  statfs,
} from "../linux/mod.ts";
import { registryFacts } from "./registries.ts";

/** What `info` and `version` say of host and engine; `config` is read anew at each call. */
export interface FactsRequest {
  readonly engineId: string;
  readonly gitCommit: string;
  readonly buildTime: string;
  readonly monitorPath: string;
  readonly initPath: string;
  readonly config: () => DaemonConfig;
}

const GO_ARCH: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** Facts that cost a process to learn are learnt at the first question and kept. */
export function createFacts(request: FactsRequest): () => Promise<SystemFacts> {
  let versions: Promise<{ runtime: string; monitor: string }> | undefined;
  return async () => {
    const config = request.config();
    const runtime = config.runtimes.get(config.defaultRuntime);
    versions ??= learnVersions(runtime?.path ?? "", request.monitorPath);
    return { ...engineFacts(request, config, await versions), ...hostFacts() };
  };
}

type HostKeys =
  | "hostName"
  | "openFiles"
  | "tasks"
  | "systemTime"
  | "cgroupVersion"
  | "cgroups"
  | "ipv4Forwarding"
  | "kernelVersion"
  | "operatingSystem"
  | "osVersion"
  | "machine"
  | "architecture"
  | "cpus"
  | "memoryBytes"
  | "securityOptions"
  | "warnings";

function hostFacts(): Pick<SystemFacts, HostKeys> {
  const kernel = kernelName();
  const features = kernelFeatures();
  const release = readOsRelease();
  const cgroups = cgroupFacts();
  return {
    hostName: hostname(),
    openFiles: countEntries("/proc/self/fd"),
    tasks: countEntries("/proc/self/task"),
    systemTime: formatTimestamp(systemClock.nowNs()),
    ...cgroups,
    ipv4Forwarding: readSysctl("net.ipv4.ip_forward") === "1",
    kernelVersion: kernel.release,
    operatingSystem: release.get("PRETTY_NAME") ?? "Linux",
    osVersion: release.get("VERSION_ID") ?? "",
    machine: kernel.machine,
    architecture: GO_ARCH[arch()] ?? arch(),
    cpus: cpus().length,
    memoryBytes: totalmem(),
    securityOptions: [
      ...(features.seccomp ? ["name=seccomp,profile=builtin"] : []),
      ...(cgroups.cgroupVersion === "2" ? ["name=cgroupns"] : []),
    ],
  };
}

function engineFacts(
  request: FactsRequest,
  config: DaemonConfig,
  versions: { runtime: string; monitor: string },
): Omit<SystemFacts, HostKeys> {
  return {
    id: request.engineId,
    labels: config.labels,
    dataRoot: config.dataRoot,
    storageDriver: "overlay2",
    storageStatus: [
      ["Backing Filesystem", fileSystemName(statfs(config.dataRoot).type)],
      ["Supports d_type", "true"],
      ["Native Overlay Diff", "true"],
    ],
    debug: config.debug,
    logDriver: config.logDriver,
    logDrivers: [...LOG_DRIVERS],
    volumeDrivers: ["local"],
    networkDrivers: ["bridge", "host", "null"],
    cgroupDriver: config.cgroupDriver,
    ...registryFacts(config.registries, process.env),
    runtimes: Object.fromEntries(
      [...config.runtimes].map(([name, { path, args }]) => [
        name,
        args.length === 0 ? { path } : { path, args },
      ]),
    ),
    defaultRuntime: config.defaultRuntime,
    runtimeVersion: versions.runtime,
    initBinary: request.initPath,
    addressPools: config.addressPools.map(({ base, size }) => ({ Base: base, Size: size })),
    firewallDriver: "nftables",
    cdiSpecDirs: config.cdiSpecDirs,
    gitCommit: request.gitCommit,
    buildTime: request.buildTime,
    languageRuntime: `bun${Bun.version}`,
    components: [
      { Name: config.defaultRuntime, Version: versions.runtime, Details: {} },
      { Name: "conmon", Version: versions.monitor, Details: {} },
    ],
  };
}

function cgroupFacts(): Pick<SystemFacts, "cgroupVersion" | "cgroups" | "warnings"> {
  const host = detectCgroups();
  const has = new Set(cgroupControllers(host));
  const v2 = host.mode === "v2";
  const memoryDir = host.v1.get("memory");
  const cpuDir = host.v1.get("cpu");
  const cfs = v2
    ? has.has("cpu")
    : cpuDir !== undefined && existsSync(`${cpuDir}/cpu.cfs_quota_us`);
  const swap = v2
    ? has.has("memory")
    : memoryDir !== undefined && existsSync(`${memoryDir}/memory.memsw.limit_in_bytes`);
  const cgroups = {
    memory: has.has("memory"),
    swap,
    cpuCfsPeriod: cfs,
    cpuCfsQuota: cfs,
    cpuShares: has.has("cpu"),
    cpuset: has.has("cpuset"),
    pids: has.has("pids"),
    oomKillDisable: memoryDir !== undefined,
  };
  const hybrid = diagnoseHybrid(host);
  const warnings = [
    ...(cgroups.memory ? [] : ["WARNING: No memory limit support"]),
    ...(swap ? [] : ["WARNING: No swap limit support"]),
    ...(cfs ? [] : ["WARNING: No cpu cfs quota support"]),
    ...(cgroups.pids ? [] : ["WARNING: No pids limit support"]),
    ...(hybrid === undefined
      ? []
      : [
          `WARNING: crun cannot use this host's cgroups until this ran: ${hybrid.commands.join("; ")}`,
        ]),
  ];
  return { cgroupVersion: v2 ? "2" : "1", cgroups, warnings };
}

function readOsRelease(): ReadonlyMap<string, string> {
  if (!existsSync("/etc/os-release")) return new Map();
  return new Map(
    readFileSync("/etc/os-release", "utf8")
      .split("\n")
      .flatMap((line): [string, string][] => {
        const match = /^([A-Z_]+)=(?:"(.*)"|(.*))$/.exec(line);
        return match === null ? [] : [[match[1] ?? "", match[2] ?? match[3] ?? ""]];
      }),
  );
}

function countEntries(dir: string): number {
  return readdirSync(dir).length;
}

async function learnVersions(
  runtimePath: string,
  monitorPath: string,
): Promise<{ runtime: string; monitor: string }> {
  const [runtime, monitor] = await Promise.all([versionOf(runtimePath), versionOf(monitorPath)]);
  return { runtime, monitor };
}

const VERSION_MS_MAX = 5_000; // a runtime that does not answer must not hang `info`

async function versionOf(path: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: VERSION_MS_MAX });
    return /version (\S+)/.exec(stdout)?.[1] ?? "";
  } catch {
    return ""; // `info` still answers when a runtime is gone; starting a container says why
  }
}
