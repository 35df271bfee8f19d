import type { RuntimeProcess, RuntimeResources, RuntimeSpec } from "../spec/mod.ts";

/** An OCI runtime by name, as `--runtime` and `runtimes` of daemon.json give it. */
export interface RuntimeChoice {
  readonly name: string; // `crun`, `runc`, `io.containerd.runc.v2`, …
  readonly path: string;
  readonly args: readonly string[];
}

/** Where the parts of one container live. All made by `containers` before `create`. */
export interface ContainerPaths {
  /** Run root, tmpfs: config.json, conmon's sockets and pid files. */
  readonly bundleDir: string;
  /** Data root: conmon's persistent exit file of this run; a new directory for each start. */
  readonly persistDir: string;
  /** Data root: the k8s-file log that conmon appends to, or "" for `--log-driver none`. */
  readonly logPath: string;
}

export type StdinMode = "closed" | "once" | "open"; // OpenStdin off; with StdinOnce; without

export interface MonitorCreateRequest {
  readonly id: string;
  readonly name: string;
  readonly runtime: RuntimeChoice;
  readonly spec: RuntimeSpec;
  readonly paths: ContainerPaths;
  readonly terminal: boolean;
  readonly stdin: StdinMode;
}

/** Processes of one run of a container; stored with its record so that a new engine finds them. */
export interface MonitorHandle {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, against reuse of the number. */
  readonly pidStartTime: string;
  readonly conmonPid: number;
  readonly conmonStartTime: string;
}

export interface ExitRecord {
  readonly exitCode: number;
  readonly exitedAtNs: bigint;
  readonly oomKilled: boolean;
}

/** Signals by number or name are resolved before they come here. */
export interface ContainerMonitor {
  /** Says that a create, start or exec is about to come, so that slow kernel work may begin. Free to call. */
  expect(): void;
  /**
   * Writes config.json, starts conmon, which creates the container. The container does not run yet.
   * Throws invalid_argument with Docker's words for what the user can mend (command not found: the
   * details carry exitCode 127 or 126), internal otherwise; nothing is left behind on failure.
   */
  create(request: MonitorCreateRequest): Promise<MonitorHandle>;
  /** Runs the created container. Throws as create does. */
  start(id: string, runtime: RuntimeChoice): Promise<void>;
  kill(id: string, runtime: RuntimeChoice, signal: number): Promise<void>;
  pause(id: string, runtime: RuntimeChoice): Promise<void>;
  resume(id: string, runtime: RuntimeChoice): Promise<void>;
  /** Changes limits of a running container; what is left out stays. Throws when the kernel refuses. */
  update(
    id: string,
    runtime: RuntimeChoice,
    resources: RuntimeResources,
    bundleDir: string,
  ): Promise<void>;
  /** crun's state and the cgroup are gone afterwards; kills what still runs. Idempotent. */
  delete(id: string, runtime: RuntimeChoice): Promise<void>;
  /** For recovery: what the runtime says, or undefined when it knows no such container. */
  state(id: string, runtime: RuntimeChoice): Promise<{ status: string; pid: number } | undefined>;
  /** For recovery: ids that the runtime knows under this engine's root. */
  list(runtime: RuntimeChoice): Promise<string[]>;
  /**
   * Resolves when the run has ended and its exit file is there, or when conmon died without one
   * (then `exitCode` is 137 and `monitorLost` true, after the container was killed).
   */
  waitExit(
    id: string,
    handle: MonitorHandle,
    paths: ContainerPaths,
  ): Promise<ExitRecord & { monitorLost: boolean }>;
  /** The exit record of a run that ended while no engine was alive, or undefined. */
  readExit(paths: ContainerPaths): Promise<ExitRecord | undefined>;
  isRunning(handle: MonitorHandle): Promise<boolean>;
  exec(request: ExecRequest): Promise<ExecProcess>;
  /** Stops watching; containers go on. */
  close(): Promise<void>;
}

export interface ExecRequest {
  readonly containerId: string;
  readonly execId: string;
  readonly name: string;
  readonly runtime: RuntimeChoice;
  readonly process: RuntimeProcess;
  /** A new, short directory in the run root. */
  readonly dir: string;
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** Without an attached client: conmon's output goes nowhere. */
  readonly detached: boolean;
  /** Called before the process starts: a client that is attached here gets the first byte. */
  readonly onStdio?: (hub: StdioHub) => void;
  /** The container's own process, for the cgroup. */
  readonly handle: MonitorHandle;
}

export interface ExecProcess {
  readonly pid: number;
  /** undefined when detached. */
  readonly stdio: StdioHub | undefined;
  /** Resolves after the last byte of output has been handed to the hub. */
  readonly exited: Promise<{ exitCode: number }>;
  resize(size: { rows: number; columns: number }): Promise<void>;
}

// --- stdio -----------------------------------------------------------------------------------

export type OutputStream = "stdout" | "stderr";

/** One API client's view. The hub calls it; it answers with promises so that lagging shows. */
export interface StdioClient {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Resolves when the client has room for more. Rejecting detaches the client. */
  write(stream: OutputStream, bytes: Uint8Array): Promise<void>;
  /** No more output will come: all of it was written, or the client was detached by the hub. */
  end(): void;
}

/**
 * The one connection to a conmon attach socket, drained always and fanned out. A client that lags
 * goes on from the log spool (design.md section 4); output is never dropped.
 */
export interface StdioHub {
  /** From now on; before start: from the first byte. The result detaches. */
  attach(client: StdioClient): () => void;
  /** Resolves when conmon took the bytes; waits while the container does not read. */
  writeStdin(bytes: Uint8Array): Promise<void>;
  /** Half-close; the container sees EOF (not for ttys, nor for stdin mode `open`). Idempotent. */
  closeStdin(): void;
  /** Resolves when conmon closed its side and every byte went to the clients' queues. */
  readonly ended: Promise<void>;
  /** After `ended`, resolves when the last client has everything or is gone: until then it may read
   * from the log's files. */
  drained(): Promise<void>;
  close(): void;
}

// --- logs ------------------------------------------------------------------------------------

export interface LogEntry {
  readonly stream: OutputStream;
  readonly timeNs: bigint;
  /** One line with its newline, or the last piece without one. */
  readonly bytes: Uint8Array;
}

export interface LogReadOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly sinceNs: bigint | undefined;
  readonly untilNs: bigint | undefined;
  /** Lines from the end, or undefined for all. */
  readonly tailLines: number | undefined;
  readonly signal: AbortSignal;
}

/** The log of one container: segments (rotated, compressed) and the file that conmon writes. */
export interface ContainerLog {
  read(options: LogReadOptions): AsyncIterable<LogEntry>;
  /** Tells followers that the run has ended: they finish at the end of the file. */
  ended(): void;
  /** A new run begins. */
  started(): void;
  /** The run goes on under a new engine: what it wrote before is not known by position. */
  resumed(): void;
  /** Rotates when the live file is over the limit. Called by a timer and by recovery. */
  rotateIfNeeded(bundleDir: string): Promise<void>;
  /**
   * Resolves true when the peer of a shipped log has all of it, false when it took nothing for
   * `patienceMs` or the log was closed before. True at once where nothing is shipped.
   */
  shipped(patienceMs: number): Promise<boolean>;
  /** Stops shipping; the next `openContainerLog` goes on from the durable offset. */
  close(): Promise<void>;
  remove(): Promise<void>;
}

export interface LogLimits {
  readonly segmentBytesMax: number;
  readonly segmentsMax: number;
  readonly compress: boolean;
}
