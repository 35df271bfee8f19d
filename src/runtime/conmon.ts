import {
  existsSync,
  type FSWatcher,
  mkdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from "node:fs";
import { stat } from "node:fs/promises";
import { errorCode, errorMessage, NaruError, systemClock } from "../base/mod.ts";
import {
  type CgroupWarmth,
  close,
  createCgroupWarmth,
  createProcessWatcher,
  isAlive,
  type ProcessWatcher,
  pidfdOpen,
  pidfdSendSignal,
  processStatus,
} from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { RuntimeResources, RuntimeSpec } from "../spec/mod.ts";
import {
  type ConmonProcess,
  identifyProcess,
  moveToCgroup,
  readPidFile,
  spawnConmon,
} from "./conmon-process.ts";
import type {
  ContainerMonitor,
  ContainerPaths,
  ExecProcess,
  ExecRequest,
  ExitRecord,
  MonitorCreateRequest,
  MonitorHandle,
  RuntimeChoice,
} from "./contract.ts";
import { RuntimeCommands } from "./crun.ts";
import { startExec } from "./exec.ts";
import { readOomKilled } from "./oom.ts";
import { translateRuntimeError } from "./runtime-error.ts";
import { SeccompFilterCache } from "./seccomp/filter-cache.ts";

export interface ContainerMonitorOptions {
  /** Run root (a tmpfs): the runtimes' own state and conmon's exit files live beneath it. */
  readonly runRoot: string;
  /** Data root: the cache of compiled seccomp filters lives beneath it. */
  readonly dataRoot: string;
  readonly conmonPath: string;
  readonly cgroupDriver: "cgroupfs" | "systemd";
  /** cgroups that conmons are moved to (see monitorCgroups), or none. */
  readonly monitorCgroups: readonly string[];
  readonly logger: Logger;
  /** False: crun compiles each filter itself. */
  readonly seccompCache: boolean;
}

const KILLED = 137; // 128 + SIGKILL, Docker's code for a container that was killed
const SIGKILL = 9;

/** Drives conmon, and crun or runc through it. Makes the folders it needs. */
export async function createContainerMonitor(
  options: ContainerMonitorOptions,
): Promise<ContainerMonitor> {
  const exitsDir = `${options.runRoot}/exits`;
  mkdirSync(exitsDir, { recursive: true, mode: 0o700 });
  mkdirSync(`${options.runRoot}/runtimes`, { recursive: true, mode: 0o700 });
  return new ConmonMonitor(options, exitsDir);
}

class ConmonMonitor implements ContainerMonitor {
  readonly #options: ContainerMonitorOptions;
  readonly #exitsDir: string;
  readonly #commands: RuntimeCommands;
  readonly #filters: SeccompFilterCache;
  readonly #warmth: CgroupWarmth = createCgroupWarmth();
  readonly #watcher: ProcessWatcher = createProcessWatcher();
  readonly #exitWaiters: Map<string, Set<() => void>> = new Map();
  #exitWatch: FSWatcher | undefined;

  constructor(options: ContainerMonitorOptions, exitsDir: string) {
    this.#options = options;
    this.#exitsDir = exitsDir;
    this.#commands = new RuntimeCommands({
      runRoot: options.runRoot,
      systemdCgroup: options.cgroupDriver === "systemd",
      logger: options.logger,
    });
    this.#filters = new SeccompFilterCache(`${options.dataRoot}/seccomp`);
    this.#exitWatch = watch(exitsDir, (_, name) => this.#exitSeen(String(name)));
    this.#exitWatch.unref();
  }

  #exitSeen(name: string): void {
    for (const wake of this.#exitWaiters.get(name) ?? []) wake();
  }

  expect(): void {
    this.#warmth.warm();
  }

  async create(request: MonitorCreateRequest): Promise<MonitorHandle> {
    const { runtime, spec } = request;
    const identity = await this.#commands.identify(runtime);
    const key =
      identity.kind === "crun" && this.#options.seccompCache
        ? this.#filters.keyOf(spec, { path: runtime.path, version: identity.version })
        : undefined;
    const compiled = key === undefined ? undefined : this.#filters.apply(spec, key);
    if (key === undefined || compiled === undefined) {
      const handle = await this.#create(request, spec);
      if (key !== undefined) {
        this.#filters.learn(key, `${this.#commands.rootDir(runtime)}/${request.id}`);
      }
      return handle;
    }
    try {
      return await this.#create(request, compiled);
    } catch (error) {
      if (!/seccomp|bpf/i.test(errorMessage(error))) throw error;
      this.#options.logger.warn("compiled seccomp filter refused, compiling anew", { error });
      this.#filters.forget(key);
      return await this.#create(request, spec);
    }
  }

  async #create(request: MonitorCreateRequest, spec: RuntimeSpec): Promise<MonitorHandle> {
    const { id, runtime, paths } = request;
    if (paths.logPath.includes(":")) {
      throw new NaruError(
        "invalid_argument",
        `conmon takes no colon in a log path: ${paths.logPath}`,
      );
    }
    mkdirSync(paths.persistDir, { recursive: true, mode: 0o700 });
    rmSync(`${this.#exitsDir}/${id}`, { force: true });
    writeFileSync(`${paths.bundleDir}/config.json`, JSON.stringify(spec), { mode: 0o600 });
    const conmon = await spawnConmon(
      this.#options.conmonPath,
      containerArguments(request, await this.#conmonArguments(runtime), this.#exitsDir),
      { attachPipe: false, cwd: paths.bundleDir },
    );
    let created = false;
    try {
      moveToCgroup(this.#options.monitorCgroups, conmon.pid);
      conmon.go({ last: true });
      const answer = await conmon.answer();
      if (answer.data <= 0) {
        throw translateRuntimeError("create", answer.message, spec.process.args[0] ?? "");
      }
      created = true;
      // On a busy host the monitor may answer before its parent, which names it, has had its turn.
      await conmon.launched;
      return identifyRun(answer.data, `${paths.bundleDir}/conmon.pid`);
    } catch (error) {
      await this.#undoCreate(request, conmon, { created });
      throw error;
    } finally {
      conmon.close();
    }
  }

  /** Half a container: its processes, the runtime's state, conmon's files. */
  async #undoCreate(
    request: MonitorCreateRequest,
    conmon: ConmonProcess,
    state: { readonly created: boolean },
  ): Promise<void> {
    conmon.close();
    try {
      await this.delete(request.id, request.runtime);
    } catch (error) {
      this.#options.logger.warn("cannot undo a failed create", { id: request.id, error });
    }
    const conmonPid = readPidFile(`${request.paths.bundleDir}/conmon.pid`);
    const status = conmonPid === undefined ? undefined : processStatus(conmonPid);
    if (status !== undefined) {
      // Without a container conmon ends by itself; with one it would stay for an exit nobody reads.
      if (state.created) killProcess(status.pid, undefined);
      const { ended } = this.#watcher.watch(status.pid, status.startTime);
      void ended.then(() => rmSync(`${this.#exitsDir}/${request.id}`, { force: true }));
    }
    rmSync(`${request.paths.persistDir}/exit`, { force: true });
  }

  async #conmonArguments(runtime: RuntimeChoice): Promise<string[]> {
    const { program } = await this.#commands.identify(runtime);
    return [
      ...["--api-version", "1", "-r", program],
      ...this.#commands.globalArguments(runtime).map((text) => `--runtime-arg=${text}`),
      ...(this.#options.cgroupDriver === "systemd" ? ["-s"] : []),
    ];
  }

  async start(id: string, runtime: RuntimeChoice): Promise<void> {
    const result = await this.#commands.start(id, runtime);
    if (result.exitCode !== 0) throw translateRuntimeError("start", result.stderr, "");
  }

  async kill(id: string, runtime: RuntimeChoice, signal: number): Promise<void> {
    const direct = await this.#commands.signalInit(id, runtime, signal);
    if (direct === "sent") return;
    if (direct === "gone") throw notRunning(id);
    const result = await this.#commands.run(runtime, ["kill", id, String(signal)]);
    if (result.exitCode === 0) return;
    if (/not running|No such process|No such file|does not exist/i.test(result.stderr))
      throw notRunning(id);
    throw new NaruError("internal", `${runtime.name} kill failed: ${result.stderr.trim()}`, { id });
  }

  async pause(id: string, runtime: RuntimeChoice): Promise<void> {
    await this.#plain(id, runtime, "pause");
  }

  async resume(id: string, runtime: RuntimeChoice): Promise<void> {
    await this.#plain(id, runtime, "resume");
  }

  async update(
    id: string,
    runtime: RuntimeChoice,
    resources: RuntimeResources,
    dir: string,
  ): Promise<void> {
    const file = `${dir}/update.json`;
    writeFileSync(file, JSON.stringify(resources), { mode: 0o600 });
    try {
      const result = await this.#commands.run(runtime, ["update", "--resources", file, id]);
      if (result.exitCode === 0) return;
      const text = result.stderr.trim();
      throw new NaruError("invalid_argument", `cannot update container ${id}: ${text}`, { id });
    } finally {
      rmSync(file, { force: true });
    }
  }

  async #plain(id: string, runtime: RuntimeChoice, command: string): Promise<void> {
    const result = await this.#commands.run(runtime, [command, id]);
    if (result.exitCode === 0) return;
    const text = result.stderr.trim();
    throw new NaruError("internal", `${runtime.name} ${command} failed: ${text}`, { id });
  }

  async delete(id: string, runtime: RuntimeChoice): Promise<void> {
    await this.#commands.delete(id, runtime);
    rmSync(`${this.#exitsDir}/${id}`, { force: true });
  }

  state(id: string, runtime: RuntimeChoice): Promise<{ status: string; pid: number } | undefined> {
    return this.#commands.state(id, runtime);
  }

  async list(runtime: RuntimeChoice): Promise<string[]> {
    return this.#commands.list(runtime);
  }

  async waitExit(
    id: string,
    handle: MonitorHandle,
    paths: ContainerPaths,
  ): Promise<ExitRecord & { monitorLost: boolean }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#exitWaiters.get(id) ?? new Set();
    this.#exitWaiters.set(id, waiters.add(resolve));
    const watched = this.#watcher.watch(handle.conmonPid, Number(handle.conmonStartTime));
    try {
      // Armed before the first look: an exit in between is seen by one or the other.
      const early = await this.readExit(paths);
      if (early !== undefined) return { ...early, monitorLost: false };
      await Promise.race([promise, watched.ended]);
      const record = await this.readExit(paths);
      if (record !== undefined) return { ...record, monitorLost: false };
      // An exit file of this id without one in the run's folder cannot be: wait for conmon's end.
      await watched.ended;
      if (!watched.hasEnded()) throw new NaruError("cancelled", "the monitor was closed", { id });
      const last = await this.readExit(paths);
      if (last !== undefined) return { ...last, monitorLost: false };
      this.#options.logger.warn("conmon died, killing its container", { id });
      killProcess(handle.pid, handle.pidStartTime);
      const exitedAtNs = systemClock.nowNs();
      return { exitCode: KILLED, exitedAtNs, oomKilled: false, monitorLost: true };
    } finally {
      waiters.delete(resolve);
      // conmon writes the run's own exit file first and the one in the common folder after it: by
      // then the container may be deleted, and nobody else would take that file away.
      void watched.ended.then(() => rmSync(`${this.#exitsDir}/${id}`, { force: true }));
      if (waiters.size === 0) this.#exitWaiters.delete(id);
    }
  }

  async readExit(paths: ContainerPaths): Promise<ExitRecord | undefined> {
    const path = `${paths.persistDir}/exit`;
    try {
      const text = readFileSync(path, "latin1");
      const exitCode = Number.parseInt(text, 10);
      if (Number.isNaN(exitCode)) return undefined; // being written: its rename is yet to come
      const { mtimeNs } = await stat(path, { bigint: true });
      return { exitCode, exitedAtNs: mtimeNs, oomKilled: readOomKilled(paths) };
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  async isRunning(handle: MonitorHandle): Promise<boolean> {
    return isAlive(handle.pid, Number(handle.pidStartTime));
  }

  async exec(request: ExecRequest): Promise<ExecProcess> {
    return await startExec(request, {
      conmonPath: this.#options.conmonPath,
      runtimeArguments: await this.#conmonArguments(request.runtime),
      monitorCgroups: this.#options.monitorCgroups,
      logger: this.#options.logger,
    });
  }

  async close(): Promise<void> {
    this.#exitWatch?.close();
    this.#exitWatch = undefined;
    this.#commands.close();
    await this.#warmth.close();
    await this.#watcher.close();
  }
}

function containerArguments(
  request: MonitorCreateRequest,
  common: readonly string[],
  exitsDir: string,
): string[] {
  const { id, name, paths } = request;
  // -t alone for a terminal: with -i the first client that leaves would close its input.
  const stdio = request.terminal
    ? ["-t"]
    : { closed: [], once: ["-i"], open: ["-i", "--leave-stdin-open"] }[request.stdin];
  return [
    ...common,
    ...["-b", paths.bundleDir, "-c", id, "-u", id, "-n", name],
    ...["-p", `${paths.bundleDir}/c.pid`, "-P", `${paths.bundleDir}/conmon.pid`],
    ...["--exit-dir", exitsDir, "--persist-dir", paths.persistDir],
    ...["-l", paths.logPath === "" ? "none" : `k8s-file:${paths.logPath}`],
    // fsync of the log at the end of every container waits for the disk; Docker does not either.
    ...["--full-attach", "--log-level", "error", "--no-sync-log"],
    ...stdio,
  ];
}

/** Where conmons go so that systemd's stop of the engine's unit spares them; none without systemd. */
export function monitorCgroups(cgroupParent: string): string[] {
  if (!existsSync("/run/systemd/system")) return [];
  const name = cgroupParent.split("/").filter((part) => part !== "");
  const path = [...name, "monitors"].join("/");
  const root = "/sys/fs/cgroup";
  return existsSync(`${root}/cgroup.controllers`)
    ? [`${root}/${path}`]
    : [`${root}/systemd/${path}`].filter(() => existsSync(`${root}/systemd`));
}

function identifyRun(pid: number, conmonPidFile: string): MonitorHandle {
  const container = identifyProcess(pid);
  const conmonPid = readPidFile(conmonPidFile);
  const conmon = conmonPid === undefined ? undefined : identifyProcess(conmonPid);
  if (container === undefined || conmon === undefined) {
    throw new NaruError("internal", "the container or its monitor ended while it was created");
  }
  return {
    pid: container.pid,
    pidStartTime: container.startTime,
    conmonPid: conmon.pid,
    conmonStartTime: conmon.startTime,
  };
}

/** SIGKILL to exactly this process; with no start time to whoever has the number. */
function killProcess(pid: number, startTime: string | undefined): void {
  const pidFd = pidfdOpen(pid);
  if (pidFd === undefined) return;
  try {
    if (startTime === undefined || isAlive(pid, Number(startTime))) pidfdSendSignal(pidFd, SIGKILL);
  } finally {
    close(pidFd);
  }
}

function notRunning(id: string): NaruError {
  return new NaruError("conflict", `container ${id} is not running`, { id });
}
