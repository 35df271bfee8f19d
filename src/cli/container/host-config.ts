import { resolve } from "node:path";
import { NaruError } from "../../base/mod.ts";
import type { HostConfig, RestartPolicy } from "../../spec/mod.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { readSecurityOptions } from "./client-files.ts";
import { pairsObject } from "./csv.ts";
import * as device from "./device-spec.ts";
import { parseMount } from "./mount-spec.ts";
import type { NetworkSpecs } from "./network-spec.ts";
import type { PortSpecs } from "./port-spec.ts";
import { parseCpus, parseSize } from "./quantity.ts";

const WINDOWS_ONLY = ["cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"];

/** `/src:/dst[:mode]` binds; a lone path is an anonymous volume. */
export function splitVolumes(volumes: readonly string[]): { binds: string[]; anonymous: string[] } {
  const binds: string[] = [];
  const anonymous: string[] = [];
  for (const text of volumes) {
    const [source = "", target] = text.split(":");
    if (target === undefined) anonymous.push(text);
    else if (source.startsWith(".")) binds.push(`${resolve(source)}${text.slice(source.length)}`);
    else binds.push(text);
  }
  return { binds, anonymous };
}

/** The HostConfig that docker's own client would send for these flags. Throws invalid_argument. */
export function hostConfigOf(
  values: FlagValues,
  parts: { networks: NetworkSpecs; ports: PortSpecs; consoleSize: [number, number] },
): HostConfig {
  for (const name of WINDOWS_ONLY) {
    if (values.has(name)) {
      throw new NaruError("invalid_argument", `"--${name}" works with Windows containers only`);
    }
  }
  const capabilities = device.effectiveCapabilities(
    values.list("cap-add"),
    values.list("cap-drop"),
  );
  const security = readSecurityOptions(values.list("security-opt"));
  const restart = parseRestart(values.string("restart"));
  if (values.bool("rm") && restart.Name !== "no") {
    throw new NaruError(
      "invalid_argument",
      "conflicting options: cannot specify both --restart and --rm",
    );
  }
  const { binds } = splitVolumes(values.list("volume"));
  const mounts = values.list("mount").map(parseMount);
  return {
    ...resourcesOf(values),
    Binds: orNull(binds),
    ContainerIDFile: values.string("cidfile"),
    LogConfig: { Type: values.string("log-driver"), Config: pairsObject(values.list("log-opt")) },
    NetworkMode: parts.networks.mode,
    PortBindings: parts.ports.bindings,
    RestartPolicy: restart,
    AutoRemove: values.bool("rm"),
    VolumeDriver: values.string("volume-driver"),
    VolumesFrom: orNull(values.list("volumes-from")),
    ...(mounts.length > 0 ? { Mounts: mounts } : {}),
    ConsoleSize: parts.consoleSize,
    ...ifAny("Annotations", annotations(values)),
    CapAdd: capabilities.add,
    CapDrop: capabilities.drop,
    CgroupnsMode: values.string("cgroupns"),
    Dns: values.list("dns"),
    DnsOptions: values.list("dns-option"),
    DnsSearch: values.list("dns-search"),
    ExtraHosts: orNull(values.list("add-host").map(extraHost)),
    GroupAdd: orNull(values.list("group-add")),
    IpcMode: values.string("ipc"),
    Cgroup: "",
    Links: parts.networks.links,
    OomScoreAdj: values.int("oom-score-adj"),
    PidMode: values.string("pid"),
    Privileged: values.bool("privileged"),
    PublishAllPorts: values.bool("publish-all"),
    ReadonlyRootfs: values.bool("read-only"),
    SecurityOpt: security.systemPathsUnconfined ? security.options : orNull(security.options),
    ...ifAny("StorageOpt", pairsObject(values.list("storage-opt"))),
    ...ifAny("Tmpfs", tmpfsOf(values.list("tmpfs"))),
    UTSMode: values.string("uts"),
    UsernsMode: values.string("userns"),
    ShmSize: size(values, "shm-size"),
    ...ifAny("Sysctls", pairsObject(values.list("sysctl"))),
    ...(values.has("runtime") ? { Runtime: values.string("runtime") } : {}),
    Isolation: values.string("isolation"),
    ...(values.has("init") ? { Init: values.bool("init") } : {}),
    MaskedPaths: security.systemPathsUnconfined ? [] : null,
    ReadonlyPaths: security.systemPathsUnconfined ? [] : null,
  } as HostConfig;
}

function resourcesOf(values: FlagValues): Record<string, unknown> {
  const devices = values.list("device");
  const requests = devices.filter(device.isCdiName).map((name) => ({
    Driver: "cdi",
    Count: 0,
    DeviceIDs: [name],
    Capabilities: null,
    Options: null,
  }));
  const gpus = values.has("gpus") ? [device.parseGpus(values.string("gpus"))] : [];
  const deviceRequests = [...gpus, ...requests];
  return {
    CpuShares: values.int("cpu-shares"),
    Memory: size(values, "memory"),
    NanoCpus: values.has("cpus") ? parseCpus(values.string("cpus")) : 0,
    CgroupParent: values.string("cgroup-parent"),
    BlkioWeight: values.int("blkio-weight"),
    BlkioWeightDevice: values.list("blkio-weight-device").map(device.parseDeviceWeight),
    BlkioDeviceReadBps: values.list("device-read-bps").map(device.parseBytesRate),
    BlkioDeviceWriteBps: values.list("device-write-bps").map(device.parseBytesRate),
    BlkioDeviceReadIOps: values.list("device-read-iops").map(device.parseOperationsRate),
    BlkioDeviceWriteIOps: values.list("device-write-iops").map(device.parseOperationsRate),
    CpuPeriod: values.int("cpu-period"),
    CpuQuota: values.int("cpu-quota"),
    CpuRealtimePeriod: values.int("cpu-rt-period"),
    CpuRealtimeRuntime: values.int("cpu-rt-runtime"),
    CpusetCpus: values.string("cpuset-cpus"),
    CpusetMems: values.string("cpuset-mems"),
    Devices: devices.filter((name) => !device.isCdiName(name)).map(device.parseDevice),
    DeviceCgroupRules: orNull(values.list("device-cgroup-rule")),
    DeviceRequests: deviceRequests.length > 0 ? deviceRequests : null,
    ...(size(values, "kernel-memory") > 0 ? { KernelMemory: size(values, "kernel-memory") } : {}),
    MemoryReservation: size(values, "memory-reservation"),
    MemorySwap: values.string("memory-swap") === "-1" ? -1 : size(values, "memory-swap"),
    MemorySwappiness: values.int("memory-swappiness"),
    OomKillDisable: values.bool("oom-kill-disable"),
    PidsLimit: values.int("pids-limit"),
    Ulimits: ulimitsOf(values.list("ulimit")),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
  };
}

function ulimitsOf(texts: readonly string[]): ReturnType<typeof device.parseUlimit>[] {
  const byName = new Map(texts.map((text) => [text.split("=")[0] ?? "", device.parseUlimit(text)]));
  return [...byName.values()].sort((a, b) => (a.Name < b.Name ? -1 : 1));
}

/** `no`, `always`, `unless-stopped`, `on-failure[:max]`; the engine judges the name. */
export function parseRestart(text: string): RestartPolicy {
  const match = /^([^:]*)(?::(\d{1,9}))?$/.exec(text);
  if (match === null) {
    const why = "maximum retry count must be an integer";
    throw new NaruError("invalid_argument", `invalid restart policy format "${text}": ${why}`);
  }
  return { Name: match[1] ?? "", MaximumRetryCount: Number(match[2] ?? 0) } as RestartPolicy;
}

/** `host:ip` and `host=ip`, with an IPv6 address in brackets or without. */
function extraHost(text: string): string {
  const match = /^([^=:]+)[=:](.+)$/.exec(text);
  if (match === null) throw new NaruError("invalid_argument", `bad format for add-host: "${text}"`);
  return `${match[1]}:${(match[2] ?? "").replace(/^\[(.*)\]$/, "$1")}`;
}

function tmpfsOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const colon = text.indexOf(":");
      return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
    }),
  );
}

function size(values: FlagValues, name: string): number {
  const text = values.string(name);
  if (text === "") return 0;
  try {
    return parseSize(text);
  } catch (cause) {
    throw new NaruError("invalid_argument", `invalid size for --${name}: '${text}'`, {}, { cause });
  }
}

function orNull(items: string[]): string[] | null {
  return items.length > 0 ? items : null;
}

/** `--on-unhealthy` travels as an annotation, which every Engine API client can send too. */
function annotations(values: FlagValues): Record<string, string> {
  const pairs = pairsObject(values.list("annotation"));
  if (!values.has("on-unhealthy")) return pairs;
  return { ...pairs, "naru.on-unhealthy": values.string("on-unhealthy") };
}

function ifAny(name: string, value: Record<string, string>): Record<string, unknown> {
  return Object.keys(value).length > 0 ? { [name]: value } : {};
}
