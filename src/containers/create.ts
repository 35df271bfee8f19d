import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { hostname as hostName } from "node:os";
import { type Id, isNaruError, NaruError, newId, shortId } from "../base/mod.ts";
import type { ResolvedImage } from "../images/mod.ts";
import {
  buildRuntimeSpec,
  DEFAULT_MASKED_PATHS,
  DEFAULT_READONLY_PATHS,
  type RuntimeChoice,
} from "../runtime/mod.ts";
import type {
  ContainerConfig,
  ContainerCreateBody,
  HostConfig,
  NetworkingConfig,
} from "../spec/mod.ts";
import type { PreparedVolume } from "../volumes/mod.ts";
import { checkDeviceRequests } from "./cdi.ts";
import { checkConfig } from "./config-check.ts";
import { mergeConfig } from "./config-merge.ts";
import { crashPoint } from "./crash-point.ts";
import { checkHostConfig, checkStorageOptions, writableBytesMax } from "./host-config-check.ts";
import { parseLink } from "./links.ts";
import { planLog } from "./log-config.ts";
import { planMounts } from "./mounts-plan.ts";
import { parseContainerName, randomName } from "./name.ts";
import { checkSharedNetwork } from "./network-mode-check.ts";
import { checkEndpointSettings, endpointRequests } from "./networks.ts";
import { checkOnUnhealthy } from "./on-unhealthy.ts";
import { planPorts } from "./port-plan.ts";
import type { ContainerRecord, RecordedMount } from "./record.ts";
import { checkRestartPolicy } from "./restart-policy.ts";
import { containerDir, dataRootOf, publish, type Room, rootfsDir } from "./room.ts";
import { parseSecurityOptions } from "./security-opt.ts";
import { planSpecInput } from "./spec-input.ts";
import { ensureBindSource, networkModeOf } from "./start-parts.ts";
import { nameVolumes } from "./volume-use.ts";

/** Everything is checked, then everything is written: one row, and the rows of new volumes. */
export async function createContainer(
  room: Room,
  body: ContainerCreateBody,
  options: { readonly name: string; readonly platform: string },
): Promise<{ id: string; warnings: string[] }> {
  room.options.monitor.expect(); // most creates are followed by a start
  checkSharedNetwork(body);
  const image = room.options.images.resolve(body.Image);
  using _lease = room.options.images.lease(image.id);
  const id = newId();
  const { HostConfig: askedHost, NetworkingConfig: networking, ...asked } = body;
  const config = completeConfig(mergeConfig(asked, image.containerConfig), askedHost, id);
  const host = completeHost(room, askedHost);
  checkAll(room, config, host, networking);
  checkPlatform(image, options.platform);
  const planned = planMounts(config, host, {
    mountsOf: (ref) => findOther(room, ref).mounts,
    dataRoot: dataRootOf(room),
  });
  for (const one of planned) if (one.type === "bind") await checkBind(one);
  const { mounts: named, volumes } = await nameVolumes(room, planned);
  try {
    return await createWith(room, { id, image, config, host, networking, named, volumes }, options);
  } catch (error) {
    room.options.volumes.abandon(volumes);
    throw error;
  }
}

/** What is decided about a new container before its name. */
interface Decided {
  readonly id: Id;
  readonly image: ResolvedImage;
  readonly config: ContainerConfig;
  readonly host: HostConfig;
  readonly networking: NetworkingConfig;
  readonly named: readonly RecordedMount[];
  readonly volumes: readonly PreparedVolume[];
}

async function createWith(
  room: Room,
  decided: Decided,
  options: { readonly name: string },
): Promise<{ id: string; warnings: string[] }> {
  const { id, image, config, host, networking, volumes } = decided;
  const mounts = decided.named.map((one) => (one.type === "image" ? withImage(room, one) : one));
  const name =
    options.name === ""
      ? randomName((text) => room.table.isNameTaken(text))
      : parseContainerName(options.name);
  const record: ContainerRecord = {
    version: 1,
    id,
    name,
    createdAtNs: room.options.clock.nowNs().toString(),
    imageId: image.id,
    chainId: image.chainId,
    platform: image.config.os,
    config,
    hostConfig: host,
    networking,
    mounts,
    runtime: chooseRuntime(room, host.Runtime),
    state: { kind: "created", error: "", exitCode: 0 },
    endpoints: [],
    runNumber: 0,
    restartCount: 0,
    stoppedByUser: false,
  };
  checkNetworks(room, record);
  const warnings = [...rehearse(room, record), ...discardedPorts(host)];
  room.table.reserveName(name, id);
  try {
    await write(room, record, volumes);
  } catch (error) {
    room.table.releaseName(name, id);
    await room.options.layers.removeWritable(id);
    throw error;
  }
  crashPoint("create.after-commit");
  publish(room, record, "create");
  return { id, warnings };
}

async function write(
  room: Room,
  record: ContainerRecord,
  volumes: readonly PreparedVolume[],
): Promise<void> {
  await Promise.all([
    room.options.layers.createWritable(record.id, record.chainId, {
      sizeBytes: writableBytesMax(record.hostConfig),
    }),
    mkdir(containerDir(room, record.id), { recursive: true, mode: 0o710 }),
  ]);
  crashPoint("create.before-commit");
  const changes = volumes.flatMap(({ change }) => (change === undefined ? [] : [change]));
  await room.table.put(record, changes);
  room.options.volumes.adopt(volumes);
}

function completeConfig(config: ContainerConfig, host: HostConfig, id: Id): ContainerConfig {
  if (config.Hostname !== "") return config;
  const shared = host.NetworkMode === "host" || host.UTSMode === "host";
  return { ...config, Hostname: shared ? hostName() : shortId(id) };
}

/** What Docker fills in, so that an inspect shows it. */
function completeHost(room: Room, host: HostConfig): HostConfig {
  const { defaults } = room.options;
  const logType = host.LogConfig.Type === "" ? defaults.logDriver : host.LogConfig.Type;
  const logOptions =
    logType === defaults.logDriver && logType !== "none" ? defaults.logOptions : {};
  const masked = host.Privileged
    ? null
    : [...DEFAULT_MASKED_PATHS, ...room.options.host.thermalThrottlePaths];
  const readonly = host.Privileged ? null : [...DEFAULT_READONLY_PATHS];
  return {
    ...host,
    NetworkMode: host.NetworkMode === "" ? "default" : host.NetworkMode,
    MemorySwap: host.Memory > 0 && host.MemorySwap === 0 ? host.Memory * 2 : host.MemorySwap,
    OomKillDisable: host.OomKillDisable ?? false,
    MaskedPaths: host.MaskedPaths ?? masked,
    ReadonlyPaths: host.ReadonlyPaths ?? readonly,
    LogConfig: { Type: logType, Config: { ...logOptions, ...host.LogConfig.Config } },
    IpcMode: host.IpcMode === "" ? defaults.ipcMode : host.IpcMode,
    CgroupnsMode: host.CgroupnsMode === "" ? defaults.cgroupnsMode : host.CgroupnsMode,
    ShmSize: host.ShmSize === 0 ? defaults.shmSizeBytes : host.ShmSize,
    Runtime: host.Runtime === "" ? defaults.defaultRuntime : host.Runtime,
  };
}

function checkAll(
  room: Room,
  config: ContainerConfig,
  host: HostConfig,
  networking: NetworkingConfig,
): void {
  checkConfig(config);
  checkHostConfig(host);
  checkDeviceRequests(host, room.options.defaults.cdiSpecDirs);
  checkStorageOptions(host, () => room.options.layers.canLimitWritables());
  checkRestartPolicy(host.RestartPolicy, host.AutoRemove);
  checkOnUnhealthy(host);
  planLog(host.LogConfig);
  const security = parseSecurityOptions(host.SecurityOpt ?? []);
  if (!["", "unconfined", undefined].includes(security.apparmor) && !hasApparmor()) {
    throw new NaruError(
      "unsupported",
      `HostConfig.SecurityOpt: apparmor=${security.apparmor} needs AppArmor, which this kernel does not have`,
      { field: "SecurityOpt" },
    );
  }
  const { initPath, init } = room.options.defaults;
  if ((host.Init ?? init) && (initPath === "" || !existsSync(initPath))) {
    throw new NaruError(
      "unsupported",
      `HostConfig.Init: no init program at "${initPath}" (init-path in daemon.json)`,
      { field: "Init" },
    );
  }
  planPorts(config, host);
  room.options.network.parseMode(host.NetworkMode); // whether it is there is asked at start
  for (const { ref } of (host.Links ?? []).map(parseLink)) {
    findOther(room, ref, `could not get container for ${ref}: `);
  }
  for (const shared of [host.PidMode, host.IpcMode]) {
    if (shared.startsWith("container:")) findOther(room, shared.slice("container:".length));
  }
  for (const [name, settings] of Object.entries(networking.EndpointsConfig ?? {})) {
    checkEndpointSettings(name, settings);
  }
}

/**
 * A container that the new one refers to. Missing is the client's error, not 404: at create that
 * means a missing image, which clients then pull.
 */
function findOther(room: Room, ref: string, before = ""): ContainerRecord {
  try {
    return room.table.find(ref);
  } catch (error) {
    if (!isNaruError(error, "not_found")) throw error;
    throw new NaruError("invalid_argument", `${before}${error.message}`, error.details, {
      cause: error,
    });
  }
}

function hasApparmor(): boolean {
  return existsSync("/sys/kernel/security/apparmor");
}

/** Every network must be there, and give what is asked of it. */
function checkNetworks(room: Room, record: ContainerRecord): void {
  const mode = networkModeOf(room, record);
  for (const request of endpointRequests(room, record, mode)) {
    try {
      room.options.network.checkEndpoint(request);
    } catch (error) {
      if (!isNaruError(error, "not_found")) throw error;
      // Not 404, which at create means that the image is missing; the main one is asked for at start.
      if (mode.kind === "named" && request.network === mode.name) continue;
      throw new NaruError(
        "invalid_argument",
        error.message,
        { field: "EndpointsConfig" },
        { cause: error },
      );
    }
  }
}

function checkPlatform(image: ResolvedImage, platform: string): void {
  if (platform === "") return;
  const [os = "", architecture] = platform.toLowerCase().split("/");
  const fits =
    os === image.config.os &&
    (architecture === undefined || architecture === image.config.architecture);
  if (fits) return;
  const has = `${image.config.os}/${image.config.architecture}`;
  throw new NaruError(
    "not_found",
    `image with reference ${image.repoTags[0] ?? image.id} was found but its platform (${has}) does not match the specified platform (${platform})`,
  );
}

/** `--mount` names a missing source at create; `-v` makes it at start. */
async function checkBind(one: RecordedMount): Promise<void> {
  if (one.origin === "mounts") await ensureBindSource(one);
}

/** Throws invalid_argument: 404 at create would mean the container's own image, which clients pull. */
function withImage(room: Room, one: RecordedMount): RecordedMount {
  if (one.image !== undefined) return one; // of volumes-from
  const found = room.options.images.find(one.source);
  if (found === undefined) {
    const message = `invalid mount config for type "image": No such image: ${one.source}`;
    throw new NaruError("invalid_argument", message, { field: "Mounts" });
  }
  return { ...one, image: { id: found.id, chainId: found.chainId } };
}

/** Docker's words. */
function discardedPorts(host: HostConfig): string[] {
  const published = Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts;
  if (host.NetworkMode !== "host" || !published) return [];
  return ["Published ports are discarded when using host network mode"];
}

function chooseRuntime(room: Room, name: string): RuntimeChoice {
  const found = room.options.defaults.runtimes.get(name);
  if (found === undefined) {
    throw new NaruError("invalid_argument", `unknown or invalid runtime name: ${name}`, {
      field: "Runtime",
    });
  }
  return { name, path: found.path, args: found.args };
}

/** Builds what start will build, with stand-ins for what only a start knows: limits, names, rules. */
function rehearse(room: Room, record: ContainerRecord): string[] {
  const { defaults, seccompProfile, host } = room.options;
  const hostNetwork = record.hostConfig.NetworkMode === "host";
  const input = planSpecInput(
    record,
    {
      rootfsPath: rootfsDir(room, record.id),
      user: { uid: 0, gid: 0, additionalGids: [], home: "/" },
      mounts: [],
      namespaces: {
        pid: "own",
        network: hostNetwork ? "host" : "own",
        ipc: record.hostConfig.IpcMode === "host" ? "host" : "own",
        uts: record.hostConfig.UTSMode === "host" ? "host" : "own",
        cgroup: "own",
      },
      shm: { kind: "none" },
    },
    defaults,
    seccompProfile,
  );
  // The profile was parsed; deciding its conditions is for the start.
  return [...buildRuntimeSpec({ ...input, seccomp: undefined }, host).warnings];
}
