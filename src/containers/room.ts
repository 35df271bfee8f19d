import { dirname, join } from "node:path";
import { type Clock, type KeyedQueue, NaruError } from "../base/mod.ts";
import type { EventBus } from "../events/mod.ts";
import type { ImageService } from "../images/mod.ts";
import type { NetworkService } from "../network/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type {
  ContainerLog,
  ContainerMonitor,
  ContainerPaths,
  HostFacts,
  SeccompProfile,
  StdinMode,
  StdioHub,
} from "../runtime/mod.ts";
import type { RuntimeProcess } from "../spec/mod.ts";
import type { LayerStore, Metadata, WorkQueue } from "../storage/mod.ts";
import type { VolumeService } from "../volumes/mod.ts";
import type { ContainerTable } from "./container-table.ts";
import type { ContainerDefaults } from "./contract.ts";
import type { ExecTable } from "./exec-table.ts";
import type { HealthState } from "./health-state.ts";
import type { ContainerRecord } from "./record.ts";
import type { ExitInfo } from "./state.ts";
import type { TerminalDriver } from "./terminals.ts";
import type { Waiters } from "./waiters.ts";

/** What the composition root hands in. */
export interface ContainerServiceOptions {
  readonly metadata: Metadata;
  readonly work: WorkQueue;
  readonly layers: LayerStore;
  readonly images: ImageService;
  readonly network: NetworkService;
  readonly monitor: ContainerMonitor;
  readonly events: EventBus;
  readonly volumes: VolumeService;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly defaults: ContainerDefaults;
  readonly host: HostFacts;
  /** The runtime room's own unless a test gives another. */
  readonly terminals: TerminalDriver;
  /** The built-in profile. */
  readonly seccompProfile: SeccompProfile;
  /** `containers/` under the data root. */
  readonly dataDir: string;
  /** The run root: `bundles/` and `execs/` are made in it. */
  readonly runDir: string;
}

/** What only this engine process knows of a running container. */
export interface LiveRun {
  readonly hub: StdioHub;
  /** For execs. */
  readonly process: RuntimeProcess;
  /** Resolves when the run has ended and its state says so. */
  readonly exited: Promise<ExitInfo>;
  /** The second half of an exit, once it has begun. */
  cleaning: Promise<void> | undefined;
}

/** A client that attached before the start. */
export interface PendingAttachment {
  connected(hub: StdioHub): void;
  abandoned(): void;
}

/** The health checks, as the rest of the folder sees them. */
export interface HealthWatch {
  /** undefined without a check. */
  stateOf(id: string): HealthState | undefined;
  started(id: string): void;
  /** A run of the former engine goes on. */
  resumed(id: string): void;
  stopped(id: string): void;
  forget(id: string): void;
  close(): void;
}

/** What the parts of this folder share. */
export interface Room {
  readonly options: ContainerServiceOptions;
  readonly table: ContainerTable;
  readonly execs: ExecTable;
  /** One writer per container. */
  readonly queue: KeyedQueue<string>;
  readonly waiters: Waiters;
  readonly health: HealthWatch;
  readonly live: Map<string, LiveRun>;
  readonly pending: Map<string, Set<PendingAttachment>>;
  readonly logs: Map<string, Promise<ContainerLog>>;
  /** Of runs that are over: resolves when every attached client has read its output. */
  readonly unread: Map<string, Promise<void>>;
  /** Of removed containers, while the rest of them is being shipped. */
  readonly leavingLogs: Map<string, Promise<ContainerLog>>;
  /** Removals that have begun. */
  readonly removing: Set<string>;
  /** Timers of restart policies, by container. */
  readonly restarts: Map<string, { readonly cancel: () => void; readonly delayMs: number }>;
  /** What follows the clean-up of a run: removal, the row, another run. In the queue. */
  readonly afterRun: (id: string) => Promise<void>;
  /** Exits seen from now on are left for the next engine. */
  closing: boolean;
}

export function bundleDir(room: Room, id: string): string {
  return join(room.options.runDir, "bundles", id);
}

export function rootfsDir(room: Room, id: string): string {
  return join(bundleDir(room, id), "rootfs");
}

export function dataRootOf(room: Room): string {
  return dirname(room.options.dataDir);
}

/** `containers/<id>/` on the data root. */
export function containerDir(room: Room, id: string): string {
  return join(room.options.dataDir, id);
}

export function pathsOf(room: Room, record: ContainerRecord): ContainerPaths {
  return {
    bundleDir: bundleDir(room, record.id),
    persistDir: join(containerDir(room, record.id), `run-${record.runNumber}`),
    logPath: logPathOf(room, record),
  };
}

export function logPathOf(room: Room, record: ContainerRecord): string {
  if (record.hostConfig.LogConfig.Type === "none") return "";
  return join(containerDir(room, record.id), "container.log");
}

export function stdinMode(record: ContainerRecord): StdinMode {
  if (!record.config.OpenStdin) return "closed";
  return record.config.StdinOnce ? "once" : "open";
}

/** Says what happened to a container, with the attributes that Docker gives: labels, image, name. */
export function publish(
  room: Room,
  record: ContainerRecord,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  room.options.events.publish({
    type: "container",
    action,
    id: record.id,
    attributes: {
      ...record.config.Labels,
      image: record.config.Image,
      name: record.name,
      ...more,
    },
  });
}

/** Forgets the timer but not the delay, from which the next one is reckoned. */
export function cancelRestart(room: Room, id: string): void {
  room.restarts.get(id)?.cancel();
}

const EXEC_NAME_LENGTH = 16; // the directory's name is part of a socket's path, which has 107 bytes

export function execDir(room: Room, execId: string): string {
  return join(room.options.runDir, "execs", execId.slice(0, EXEC_NAME_LENGTH));
}

export function notRunning(record: ContainerRecord): NaruError {
  return new NaruError("conflict", `container ${record.id} is not running`);
}
