import type { Digest } from "../base/mod.ts";
import type { LogEntry, LogReadOptions, StdioClient, StdioHub } from "../runtime/mod.ts";
import type {
  ContainerCreateBody,
  ContainerInspect,
  ContainerStats,
  ContainerSummary,
  ContainerTop,
  ContainerUpdateBody,
  EndpointSettings,
  ExecCreateBody,
  ExecInspect,
  PortsUpdateBody,
} from "../spec/mod.ts";
import type { ContainerFiles } from "./files-contract.ts";

/** What of the daemon's configuration the lifecycle needs. Read at use, so that a reload counts. */
export interface ContainerDefaults {
  readonly defaultRuntime: string;
  /** name -> path and args; `crun`, `runc` and Docker's aliases are always there when installed. */
  readonly runtimes: ReadonlyMap<string, { path: string; args: readonly string[] }>;
  readonly cgroupParent: string;
  readonly cgroupDriver: "cgroupfs" | "systemd";
  readonly ulimits: readonly { Name: string; Hard: number; Soft: number }[];
  readonly init: boolean;
  /** Path of the init program (`--init`). */
  readonly initPath: string;
  readonly shmSizeBytes: number;
  readonly noNewPrivileges: boolean;
  readonly stopTimeoutSeconds: number;
  /** "" for naru's built-in default profile, `unconfined`, or a path. */
  readonly seccompProfile: string;
  readonly cgroupnsMode: "host" | "private";
  readonly ipcMode: "private" | "shareable";
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  /** Where CDI specifications are looked for; the later folder wins. */
  readonly cdiSpecDirs: readonly string[];
  readonly dnsOptions: readonly string[];
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Replay the log first. */
  readonly logs: boolean;
  /** Stay attached. */
  readonly stream: boolean;
}

/** An attached client. Output goes to the StdioClient; this is the way in and out. */
export interface AttachSession {
  readonly tty: boolean;
  /** Undefined when stdin was not asked for or the container has none. */
  readonly stdin: { write(bytes: Uint8Array): Promise<void>; close(): void } | undefined;
  /** Resolves when output has ended and was written, or after `detach`. */
  readonly done: Promise<void>;
  detach(): void;
}

export interface ContainerListOptions {
  readonly all: boolean;
  readonly limit: number;
  readonly size: boolean;
  /** Parsed and checked by key: ancestor, before, expose, exited, health, id, isolation, is-task, label, name, network, publish, since, status, volume. */
  readonly filters: ReadonlyMap<string, readonly string[]>;
}

export interface StatsOptions {
  readonly stream: boolean;
  /** Without `stream`: answer at once, with zero precpu_stats. */
  readonly oneShot: boolean;
  readonly signal: AbortSignal;
}

export interface ContainerCounts {
  readonly running: number;
  readonly paused: number;
  readonly stopped: number;
}

/**
 * The whole life of containers. `ref` is a full id, a unique prefix of one, or a name with or
 * without slash. Every method throws not_found (`No such container: ref`), and conflict in Docker's
 * words when the state forbids it. One writer per container: calls on one container queue.
 */
export interface ContainerService {
  create(
    body: ContainerCreateBody,
    options: { name: string; platform: string },
  ): Promise<{ id: string; warnings: string[] }>;
  /** Throws not_modified when it runs already. */
  start(ref: string, options?: { detachKeys?: string }): Promise<void>;
  /** Throws not_modified when it does not run. `timeoutSeconds` undefined: the container's own; negative: for ever. */
  stop(ref: string, options: StopOptions): Promise<void>;
  restart(ref: string, options: StopOptions): Promise<void>;
  /** `signal` as the client gave it (`SIGHUP`, `hup`, `1`), "" for SIGKILL. */
  kill(ref: string, signal: string): Promise<void>;
  pause(ref: string): Promise<void>;
  unpause(ref: string): Promise<void>;
  rename(ref: string, name: string): Promise<void>;
  /** At once when it runs, and for every later run. Throws forbidden, invalid_argument, not_found. */
  connectNetwork(ref: string, network: string, settings: EndpointSettings | null): Promise<void>;
  disconnectNetwork(ref: string, network: string): Promise<void>;
  remove(ref: string, options: { force: boolean; volumes: boolean }): Promise<void>;
  prune(
    filters: ReadonlyMap<string, readonly string[]>,
  ): Promise<{ deleted: string[]; freedBytes: number }>;
  /** Registration is complete when the outer promise resolves (API headers leave then); the inner gives the result. */
  wait(
    ref: string,
    condition: WaitCondition,
    signal: AbortSignal,
  ): Promise<{ result: Promise<{ exitCode: number; error: string | undefined }> }>;
  /** Throws conflict when paused or restarting. Works on a created container. */
  attach(ref: string, client: StdioClient, options: AttachOptions): Promise<AttachSession>;
  resize(ref: string, size: { rows: number; columns: number }): Promise<void>;
  logs(
    ref: string,
    options: LogReadOptions,
  ): Promise<{
    tty: boolean;
    /** Goes before each line with `details`: `a=b,c=d `, or "". */
    attributePrefix: string;
    entries: AsyncIterable<LogEntry>;
  }>;
  inspect(ref: string, options: { size: boolean }): Promise<ContainerInspect>;
  list(options: ContainerListOptions): Promise<ContainerSummary[]>;
  /** Throws not_found before the first sample. @see readStats in stats.ts for what comes when. */
  stats(ref: string, options: StatsOptions): AsyncIterable<ContainerStats>;
  /** `ps` for the processes of a running container. Throws conflict when it does not run. */
  top(ref: string, psArgs: string): Promise<ContainerTop>;
  /** Changes limits at once, and for every later run. Durable when it resolves. */
  update(ref: string, body: ContainerUpdateBody): Promise<{ warnings: string[] }>;
  /**
   * Ports are published and unpublished, all or none, while the container runs. Durable when it
   * resolves. Throws invalid_argument, not_found for one that is not published, internal for one
   * that is taken.
   */
  updatePorts(ref: string, body: PortsUpdateBody): Promise<void>;
  /** Bytes of all layers on disk, each once. */
  layersSizeBytes(): number;
  /** Is the container's main process a tty? Needed to choose the framing. */
  isTty(ref: string): boolean;
  counts(): ContainerCounts;
  usersOfImage(id: Digest): readonly { containerId: string; running: boolean }[];
  /** Containers, running or not, that mount a volume. */
  usersOfVolume(name: string): readonly { containerId: string; running: boolean }[];
  /** Runs `task` while every container that runs on a volume is frozen. */
  whileVolumePaused<T>(name: string, task: () => Promise<T>): Promise<T>;

  /** Copying, exporting, committing. */
  readonly files: ContainerFiles;

  execCreate(ref: string, body: ExecCreateBody): Promise<string>;
  /** Throws not_found (`No such exec instance: id`), conflict when already started or the container does not run. */
  execStart(
    execId: string,
    options: {
      detach: boolean;
      tty: boolean | undefined;
      consoleSize: [number, number] | undefined;
      /** Called when nothing but the command itself can fail any more, before it is started. */
      onAccepted?: () => void;
    },
    client: StdioClient | undefined,
  ): Promise<ExecSession>;
  execResize(execId: string, size: { rows: number; columns: number }): Promise<void>;
  execInspect(execId: string): ExecInspect;
  /** What the API must know before it answers a start: framing and whether stdin is wanted. */
  execInfo(execId: string): { tty: boolean; attachStdin: boolean; detachKeys: string };

  /** Compares records with kernel, runtime and monitors; finishes or undoes what a crash left. */
  recover(): Promise<void>;
  /** Clean shutdown of the engine. Containers keep running (design.md section 6). */
  close(): Promise<void>;
}

export interface StopOptions {
  readonly signal: string;
  readonly timeoutSeconds: number | undefined;
}

export interface ExecSession {
  readonly stdio: StdioHub | undefined;
  /** Resolves after output was written and the exit code can be inspected. */
  readonly done: Promise<void>;
  detach(): void;
}
