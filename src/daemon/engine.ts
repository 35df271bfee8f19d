import { existsSync } from "node:fs";
import { join } from "node:path";
import { createEngineApi, type RegistryService } from "../api/mod.ts";
import { type Clock, NaruError, systemClock } from "../base/mod.ts";
import type { DaemonConfig } from "../config/mod.ts";
import {
  type ContainerService,
  createContainerService,
  packTree,
  unpackTree,
} from "../containers/mod.ts";
import { createEventBus, createTableJournal, type EventBus } from "../events/mod.ts";
import { createImageService, type ImageService } from "../images/mod.ts";
import { detectCgroups } from "../linux/mod.ts";
import {
  createNetworkService,
  type NetworkServiceControl,
  type NetworkServiceOptions,
} from "../network/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { createPluginHost } from "../plugins/mod.ts";
import { createRegistryClient } from "../registry-client/mod.ts";
import { createContainerMonitor, monitorCgroups, readHostFacts } from "../runtime/mod.ts";
import {
  type BlobStore,
  createWorkQueue,
  type LayerStore,
  type Metadata,
  openBlobStore,
  openLayerStore,
  openMetadata,
  type WorkQueue,
} from "../storage/mod.ts";
import type { HttpHandlers } from "../transport/mod.ts";
import { createPluginDrivers, createVolumeService, type VolumeService } from "../volumes/mod.ts";
import { containerDefaults, initPathOf } from "./defaults.ts";
import { collectRegularly } from "./garbage.ts";
import { createFacts } from "./host-facts.ts";
import { type EngineIdentity, engineIdentity } from "./identity.ts";
import { registryHosts, registryService } from "./registries.ts";
import { BUILD_TIME, ENGINE_VERSION, GIT_COMMIT } from "./version.ts";

const MONITOR_PATHS: readonly string[] = [
  "/usr/bin/conmon",
  "/usr/libexec/podman/conmon",
  "/usr/local/bin/conmon",
];

/** The engine, ready to answer. */
export interface Engine {
  readonly handlers: HttpHandlers;
  /** Publishes that the configuration was read again. */
  reloaded(attributes: Readonly<Record<string, string>>): void;
  /** Writes what waits and lets go of everything. Containers go on. */
  close(): Promise<void>;
}

/** What every part of the engine is given. */
interface Setting {
  readonly config: DaemonConfig;
  /** The configuration of this moment. */
  readonly current: () => DaemonConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Closed in the opposite order. */
  readonly closers: AsyncDisposableStack;
}

/**
 * Wires the rooms together and repairs what a former engine left. `current` gives the configuration
 * of this moment. When it throws, everything that was opened is closed again.
 */
export async function openEngine(current: () => DaemonConfig, logger: Logger): Promise<Engine> {
  await using closers = new AsyncDisposableStack();
  const setting: Setting = { config: current(), current, clock: systemClock, logger, closers };
  const monitorPath = findMonitor();
  checkCgroupDriver(setting.config);
  const stores = await openStores(setting);
  const { identity, events } = stores;
  const parts = await openContainers(setting, stores, monitorPath);
  await parts.network.start();
  await parts.containers.recover();
  stores.work.start();
  closers.defer(collectRegularly(parts.images, logger));
  const facts = createFacts({
    engineId: identity.id,
    gitCommit: GIT_COMMIT,
    buildTime: BUILD_TIME,
    monitorPath,
    initPath: initPathOf(setting.config),
    config: current,
  });
  const { containers, images, network: networks, volumes, registry } = parts;
  const handlers = createEngineApi(
    { containers, images, networks, volumes, registry, events, logger, facts },
    { engineVersion: ENGINE_VERSION },
  );
  const open = closers.move();
  return {
    handlers,
    reloaded: (attributes) =>
      events.publish({ type: "daemon", action: "reload", id: identity.id, attributes }),
    close: () => open.disposeAsync(),
  };
}

function findMonitor(): string {
  const path = MONITOR_PATHS.find((candidate) => existsSync(candidate));
  if (path !== undefined) return path;
  throw new NaruError("unavailable", "conmon is not installed; install the Debian package conmon");
}

interface Stores {
  readonly metadata: Metadata;
  readonly work: WorkQueue;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly events: EventBus;
  readonly identity: EngineIdentity;
}

/** What is on disk. */
async function openStores({ config, clock, logger, closers }: Setting): Promise<Stores> {
  const metadata = await openMetadata(join(config.dataRoot, "naru.db"));
  closers.defer(() => metadata.close());
  const identity = await engineIdentity(metadata);
  const work = createWorkQueue(metadata, { clock, logger });
  closers.defer(() => work.stop());
  const blobs = await openBlobStore(config.dataRoot);
  const root = join(config.dataRoot, "layers");
  const layers = await openLayerStore({ root, metadata, work, logger });
  closers.defer(() => layers.close());
  const journal = createTableJournal({
    rows: metadata,
    clock,
    onError: (error) => logger.warn("cannot write events", { error }),
  });
  closers.defer(() => journal.close());
  return { metadata, work, blobs, layers, events: createEventBus({ clock, journal }), identity };
}

interface Parts {
  readonly containers: ContainerService;
  readonly images: ImageService;
  readonly network: NetworkServiceControl;
  readonly volumes: VolumeService;
  readonly registry: RegistryService;
}

/** Images, the network, and the containers that stand on both. */
async function openContainers(
  setting: Setting,
  stores: Stores,
  conmonPath: string,
): Promise<Parts> {
  const { config, current, clock, logger, closers } = setting;
  const { metadata, work, layers, events, identity } = stores;
  const cgroupParent = cgroupParentOf(config, identity.shortName);
  const late: { containers?: ContainerService } = {};
  const registry = createRegistryClient({
    ...{ clock, logger, userAgent: `naru/${ENGINE_VERSION}` },
    hosts: () => registryHosts(current().registries, process.env),
  });
  closers.defer(() => registry.close());
  const images = await createImageService({
    ...{ metadata, blobs: stores.blobs, layers, events, clock, logger },
    users: { usersOf: (id) => late.containers?.usersOfImage(id) ?? [] },
    registry,
    downloadsMax: () => current().registries.downloadsMax,
    uploadsMax: () => current().registries.uploadsMax,
  });
  const network = createNetworkService({
    ...networkOptions(config),
    ...{ engineShortId: identity.shortName, metadata, queue: work, events, logger },
  });
  closers.defer(() => network.close());
  const monitor = await createContainerMonitor({
    ...{ runRoot: config.execRoot, dataRoot: config.dataRoot, conmonPath, logger },
    ...{ cgroupDriver: config.cgroupDriver, monitorCgroups: monitorCgroups(cgroupParent) },
    seccompCache: true,
  });
  closers.defer(() => monitor.close());
  const volumes = createVolumeService({
    ...{ metadata, work, events, clock, logger, dir: join(config.dataRoot, "volumes") },
    snapshotsDir: join(config.dataRoot, "volume-snapshots"),
    archives: { pack: packTree, unpack: unpackTree },
    users: {
      usersOf: (name) => late.containers?.usersOfVolume(name) ?? [],
      whilePaused: (name, task) => late.containers?.whileVolumePaused(name, task) ?? task(),
    },
    plugins: createPluginDrivers(createPluginHost()),
  });
  const cgroupVersion = detectCgroups().mode === "v2" ? "2" : "1";
  const containers = await createContainerService({
    ...{ metadata, work, layers, images, network, monitor, events, clock, logger },
    volumes,
    defaults: containerDefaults(current, { cgroupVersion, cgroupParent }),
    host: readHostFacts(),
    dataDir: join(config.dataRoot, "containers"),
    runDir: config.execRoot,
  });
  late.containers = containers;
  closers.defer(() => containers.close());
  return { containers, images, network, volumes, registry: registryService(registry) };
}

function networkOptions(
  config: DaemonConfig,
): Omit<NetworkServiceOptions, "engineShortId" | "metadata" | "queue" | "events" | "logger"> {
  const { bridge, mtu, icc, ipMasquerade, ipForward, ipForwardDrop } = config;
  const { dns, dnsSearch, dnsOptions } = config;
  return {
    ...{ ipv4: config.bridge4, ipv6: config.bridge6, addressPools: config.addressPools },
    ...{ defaultOptions: config.networkOptions, hostGateways: config.hostGateways },
    ...{ bridge, mtu, icc, ipMasquerade, ipForward, ipForwardDrop },
    ...{ dns, dnsSearch, dnsOptions },
    publishAddress: config.publishAddress,
    allowDirectRouting: config.allowDirectRouting,
    respectHostFirewall: config.respectHostFirewall,
    netd: {
      // From source the runtime is the executable and the program's file its argument.
      command: [process.execPath, ...(Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main])],
      socketPath: join(config.execRoot, "netd.sock"),
      statePath: join(config.execRoot, "netd.json"),
      logPath: join(config.execRoot, "netd.log"),
      version: `${ENGINE_VERSION} ${GIT_COMMIT}`,
    },
    netnsDir: join(config.execRoot, "netns"),
  };
}

/** crun would say so at the first container only. */
function checkCgroupDriver(config: DaemonConfig): void {
  if (config.cgroupDriver !== "systemd" || existsSync("/run/systemd/system")) return; // sd_booted(3)
  throw new NaruError(
    "invalid_argument",
    "exec-opts: native.cgroupdriver=systemd: systemd does not run on this host",
  );
}

/** Every engine has a cgroup of its own above its containers. */
function cgroupParentOf(config: DaemonConfig, shortName: string): string {
  if (config.cgroupParent !== "") return config.cgroupParent;
  return config.cgroupDriver === "systemd" ? `naru${shortName}.slice` : `/naru/${shortName}`;
}
