import { existsSync } from "node:fs";
import { join } from "node:path";
import { createEngineApi } from "../api/mod.ts";
import { NaruError, systemClock } from "../base/mod.ts";
import type { DaemonConfig } from "../config/mod.ts";
import { type ContainerService, createContainerService } from "../containers/mod.ts";
import { createEventBus, createTableJournal } from "../events/mod.ts";
import { createImageService } from "../images/mod.ts";
import { detectCgroups } from "../linux/mod.ts";
import { createNetworkService, type NetworkServiceOptions } from "../network/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { createContainerMonitor, monitorCgroups, readHostFacts } from "../runtime/mod.ts";
import { createWorkQueue, openBlobStore, openLayerStore, openMetadata } from "../storage/mod.ts";
import type { HttpHandlers } from "../transport/mod.ts";
import { createVolumeStore } from "../volumes/mod.ts";
import { containerDefaults, initPathOf } from "./defaults.ts";
import { createFacts } from "./host-facts.ts";
import { engineIdentity } from "./identity.ts";
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

/**
 * Wires the rooms together and repairs what a former engine left. `current` gives the configuration
 * of this moment.
 */
export async function openEngine(current: () => DaemonConfig, logger: Logger): Promise<Engine> {
  const config = current();
  const conmonPath = MONITOR_PATHS.find((path) => existsSync(path));
  if (conmonPath === undefined) {
    throw new NaruError(
      "unavailable",
      "conmon is not installed; install the Debian package conmon",
    );
  }
  const clock = systemClock;
  const closers: (() => unknown)[] = [];
  const metadata = await openMetadata(join(config.dataRoot, "naru.db"));
  closers.push(() => metadata.close());
  const identity = await engineIdentity(metadata);
  const work = createWorkQueue(metadata, { clock, logger });
  closers.push(() => work.stop());
  const blobs = await openBlobStore(config.dataRoot);
  const layers = await openLayerStore({
    root: join(config.dataRoot, "layers"),
    metadata,
    work,
    logger,
  });
  closers.push(() => layers.close());
  const journal = createTableJournal({
    rows: metadata,
    clock,
    onError: (error) => logger.warn("cannot write events", { error }),
  });
  closers.push(() => journal.close());
  const events = createEventBus({ clock, journal });
  let containers: ContainerService | undefined;
  const images = await createImageService({
    metadata,
    blobs,
    layers,
    events,
    users: { usersOf: (id) => containers?.usersOfImage(id) ?? [] },
    clock,
    logger,
  });
  const network = createNetworkService({
    ...networkOptions(config),
    engineShortId: identity.shortName,
    metadata,
    queue: work,
    logger,
  });
  closers.push(() => network.close());
  const monitor = await createContainerMonitor({
    runRoot: config.execRoot,
    dataRoot: config.dataRoot,
    conmonPath,
    cgroupDriver: config.cgroupDriver,
    monitorCgroups: monitorCgroups(cgroupParentOf(config, identity.shortName)),
    logger,
    seccompCache: true,
  });
  closers.push(() => monitor.close());
  const cgroupVersion = detectCgroups().mode === "v2" ? "2" : "1";
  containers = await createContainerService({
    metadata,
    work,
    layers,
    images,
    network,
    monitor,
    events,
    volumes: createVolumeStore({ metadata, dir: join(config.dataRoot, "volumes"), clock }),
    clock,
    logger,
    defaults: containerDefaults(current, {
      cgroupVersion,
      cgroupParent: cgroupParentOf(config, identity.shortName),
    }),
    host: readHostFacts(),
    dataDir: join(config.dataRoot, "containers"),
    runDir: config.execRoot,
  });
  const service = containers;
  closers.push(() => service.close());
  await network.start();
  await service.recover();
  work.start();
  const handlers = createEngineApi(
    {
      containers: service,
      images,
      networks: network,
      events,
      logger,
      facts: createFacts({
        engineId: identity.id,
        gitCommit: GIT_COMMIT,
        buildTime: BUILD_TIME,
        monitorPath: conmonPath,
        initPath: initPathOf(config),
        config: current,
      }),
    },
    { engineVersion: ENGINE_VERSION },
  );
  return {
    handlers,
    reloaded: (attributes) =>
      events.publish({ type: "daemon", action: "reload", id: identity.id, attributes }),
    async close() {
      for (const close of closers.toReversed()) await close();
    },
  };
}

function networkOptions(
  config: DaemonConfig,
): Omit<NetworkServiceOptions, "engineShortId" | "metadata" | "queue" | "logger"> {
  const { bridge, bip, mtu, icc, ipMasquerade, ipForward, ipForwardDrop } = config;
  const { dns, dnsSearch, dnsOptions } = config;
  return {
    ...{
      bridge,
      bip,
      mtu,
      icc,
      ipMasquerade,
      ipForward,
      ipForwardDrop,
      dns,
      dnsSearch,
      dnsOptions,
    },
    netnsDir: join(config.execRoot, "netns"),
  };
}

/** Every engine has a cgroup of its own above its containers. */
function cgroupParentOf(config: DaemonConfig, shortName: string): string {
  if (config.cgroupParent !== "") return config.cgroupParent;
  return config.cgroupDriver === "systemd" ? `naru${shortName}.slice` : `/naru/${shortName}`;
}
