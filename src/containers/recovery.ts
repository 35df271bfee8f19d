import { readFileSync, readlinkSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { errorMessage, isId } from "../base/mod.ts";
import { umountDetached } from "../linux/mod.ts";
import type { MonitorHandle, RuntimeChoice, StdioHub } from "../runtime/mod.ts";
import type { RuntimeProcess, RuntimeSpec } from "../spec/mod.ts";
import { finishExit, recordExit, undoRun, watchExit } from "./exit.ts";
import { thawAfterCrash } from "./freeze.ts";
import { openLog, resumeShipping } from "./logs.ts";
import { finishConnections } from "./networks.ts";
import type { ContainerRecord, ExecRecord } from "./record.ts";
import { removeContainer } from "./remove.ts";
import { armRestart, scheduleRestart } from "./restart.ts";
import { startsWithEngine } from "./restart-policy.ts";
import { bundleDir, containerDir, execDir, pathsOf, type Room, stdinMode } from "./room.ts";
import { unstage } from "./staged-mounts.ts";
import { startContainer } from "./start.ts";
import { finishUpdate } from "./update.ts";
import { holdVolumes } from "./volume-use.ts";

const EXIT_CODE_KILLED = 137;
const NO_RUN = Symbol("no run");

/**
 * Compares what the rows say with what the kernel, the runtime and the monitors say, and makes the
 * two agree. Nothing else writes meanwhile. A container that cannot be recovered is logged and does
 * not keep the others from it.
 */
export async function recoverAll(room: Room): Promise<void> {
  const records = [...room.table.all()];
  for (const record of records) {
    if (["starting", "running"].includes(record.state.kind)) holdVolumes(room, record);
  }
  await Promise.all(
    records.map((record) => guarded(room, record.id, () => recoverOne(room, record))),
  );
  await sweep(room);
  for (const exec of [...room.execs.all()]) recoverExec(room, exec);
  const stopped = [...room.table.all()].filter((record) => record.state.kind !== "running");
  await Promise.all(
    stopped.map((record) => guarded(room, record.id, () => settle(room, record.id))),
  );
}

async function guarded(room: Room, id: string, action: () => Promise<void>): Promise<void> {
  try {
    await room.queue.run(id, action);
  } catch (error) {
    room.options.logger.error(`recovery: ${errorMessage(error)}`, { id, error });
  }
}

async function recoverOne(room: Room, record: ContainerRecord): Promise<void> {
  const { state } = record;
  if (state.kind === "starting") {
    await undoRun(room, record.id);
    await endedWithoutRecord(room, record, "the engine was stopped while this container started");
    return;
  }
  if (state.kind !== "running") return;
  if (await isHalfMade(room, record, state.handle)) {
    await undoRun(room, record.id);
    await endedWithoutRecord(room, record, "the engine was stopped while this container started");
    return;
  }
  if (await room.options.monitor.isRunning(state.handle)) {
    await thawAfterCrash(room, record);
    await adopt(room, record, state.handle);
    return;
  }
  // The code is there, or conmon is about to write it, or conmon is gone too.
  const exit = await room.options.monitor.waitExit(record.id, state.handle, pathsOf(room, record));
  if (exit.monitorLost) {
    await undoRun(room, record.id);
    await endedWithoutRecord(
      room,
      record,
      "the container ended without its monitor: the host was restarted or the monitor was killed",
    );
    return;
  }
  recordExit(room, record.id, exit, false);
  await undoRun(room, record.id);
  await room.table.update(record.id, (now) => ({ ...now, endpoints: [] }));
}

/** The row is written before the runtime is told to start: is it still the runtime's own process? */
async function isHalfMade(
  room: Room,
  record: ContainerRecord,
  handle: MonitorHandle,
): Promise<boolean> {
  let program: string | typeof NO_RUN;
  try {
    program = basename(readlinkSync(`/proc/${handle.pid}/exe`));
  } catch {
    program = NO_RUN; // gone, or a kernel thread that took the number
  }
  if (program === NO_RUN) return false;
  const ofRuntime = program.includes(basename(record.runtime.path)) || program.includes("memfd:");
  if (!ofRuntime) return false;
  return (await room.options.monitor.state(record.id, record.runtime))?.status === "created";
}

/** A run whose end nobody saw. */
async function endedWithoutRecord(room: Room, record: ContainerRecord, why: string): Promise<void> {
  const nowNs = room.options.clock.nowNs();
  const startedAtNs = record.state.kind === "running" ? record.state.startedAtNs : nowNs.toString();
  await room.table.update(record.id, (now) => ({
    ...now,
    endpoints: [],
    state: {
      kind: "exited",
      exitCode: EXIT_CODE_KILLED,
      startedAtNs,
      finishedAtNs: nowNs.toString(),
      oomKilled: false,
      error: why,
    },
  }));
}

/** The container runs: connect to it again and wait for its end. */
async function adopt(room: Room, record: ContainerRecord, handle: MonitorHandle): Promise<void> {
  const { id } = record;
  unstage(bundleDir(room, id));
  const log = await openLog(room, record);
  log?.resumed();
  const dir = bundleDir(room, id);
  const request = { terminal: record.config.Tty, stdin: stdinMode(record), log };
  const hub = await room.options.terminals.connectStdio(dir, request).catch((error: unknown) => {
    room.options.logger.error("the monitor of a running container is gone", { id, error });
    return DEAD_HUB; // the wait for its exit ends the container and says so
  });
  const process = await readProcess(dir);
  watchExit(room, id, { handle, hub, process });
  room.health.resumed(id);
  await finishUpdate(room, id);
  await finishConnections(room, id);
  await log?.rotateIfNeeded(bundleDir(room, id));
  room.options.logger.info("container found running", { id, name: record.name });
}

/** In place of a connection to a monitor that is dead. */
const DEAD_HUB: StdioHub = {
  attach(client) {
    client.end();
    return () => undefined;
  },
  writeStdin: () => Promise.resolve(),
  closeStdin: () => undefined,
  ended: Promise.resolve(),
  drained: () => Promise.resolve(),
  close: () => undefined,
};

async function readProcess(dir: string): Promise<RuntimeProcess> {
  const text = await readFile(join(dir, "config.json"), "utf8");
  return (JSON.parse(text) as RuntimeSpec).process;
}

/** What belongs to no running container goes: runtime state, mounts, namespaces, directories. */
async function sweep(room: Room): Promise<void> {
  const running = new Set<string>();
  for (const record of room.table.all())
    if (record.state.kind === "running") running.add(record.id);
  for (const runtime of runtimesInUse(room)) await sweepRuntime(room, runtime, running);
  await sweepBundles(room, running);
  await room.options.network.sweep(running);
  for (const id of await room.options.layers.writables()) {
    if (room.table.get(id) === undefined) await room.options.layers.removeWritable(id);
  }
  for (const name of await names(room.options.dataDir)) {
    if (isId(name) && room.table.get(name) === undefined) {
      await rm(containerDir(room, name), { recursive: true, force: true });
    }
  }
  for (const record of room.table.all()) await sweepRuns(room, record);
  await room.options.volumes.recover();
  await sweepExecDirs(room);
}

function runtimesInUse(room: Room): RuntimeChoice[] {
  const choices = new Map<string, RuntimeChoice>();
  for (const [name, { path, args }] of room.options.defaults.runtimes) {
    const key = [path, ...args].join("\0");
    if (!choices.has(key)) choices.set(key, { name, path, args });
  }
  return [...choices.values()];
}

async function sweepRuntime(
  room: Room,
  runtime: RuntimeChoice,
  running: ReadonlySet<string>,
): Promise<void> {
  let ids: string[];
  try {
    ids = await room.options.monitor.list(runtime);
  } catch (error) {
    room.options.logger.warn("listing a runtime's containers", { runtime: runtime.path, error });
    return;
  }
  for (const id of ids) {
    if (running.has(id)) continue;
    room.options.logger.info("removing a container that no row knows", { id });
    await room.options.monitor.delete(id, runtime).catch((error: unknown) => {
      room.options.logger.error("removing a container that no row knows", { id, error });
    });
  }
}

async function sweepBundles(room: Room, running: ReadonlySet<string>): Promise<void> {
  for (const name of await names(join(room.options.runDir, "bundles"))) {
    if (running.has(name)) continue;
    const dir = bundleDir(room, name);
    umountDetached(join(dir, "shm"));
    unstage(dir);
    await room.options.layers.unmount(join(dir, "rootfs"));
    await rm(dir, { recursive: true, force: true });
  }
}

/** Exit directories of runs before the current one. */
async function sweepRuns(room: Room, record: ContainerRecord): Promise<void> {
  const current = record.state.kind === "running" ? `run-${record.runNumber}` : "";
  const dir = containerDir(room, record.id);
  for (const name of await names(dir)) {
    if (/^run-\d+$/.test(name) && name !== current) {
      await rm(join(dir, name), { recursive: true, force: true });
    }
  }
}

async function sweepExecDirs(room: Room): Promise<void> {
  const kept = new Set<string>();
  for (const exec of room.execs.all()) {
    if (exec.state.kind === "running") kept.add(basename(execDir(room, exec.id)));
  }
  const dir = join(room.options.runDir, "execs");
  for (const name of await names(dir)) {
    if (!kept.has(name)) await rm(join(dir, name), { recursive: true, force: true });
  }
}

async function names(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []);
}

/** An exec that ran when the engine went: its monitor has written its code, or it still runs. */
export function recoverExec(room: Room, exec: ExecRecord): void {
  const container = room.table.get(exec.containerId);
  if (container === undefined) {
    room.execs.forgetContainer(exec.containerId);
    return;
  }
  if (exec.state.kind !== "running") return;
  const { pid } = exec.state;
  const exitCode = execExitCode(room, exec);
  if (exitCode === undefined && container.state.kind === "running") return;
  const code = exitCode ?? EXIT_CODE_KILLED;
  room.execs.put({ ...exec, state: { kind: "ended", exitCode: code, pid } });
  void rm(execDir(room, exec.id), { recursive: true, force: true });
}

/** conmon names the exit file of an exec after the container. */
function execExitCode(room: Room, exec: ExecRecord): number | undefined {
  try {
    const path = join(execDir(room, exec.id), "exits", exec.containerId);
    const code = Number.parseInt(readFileSync(path, "latin1"), 10);
    return Number.isNaN(code) ? undefined : code;
  } catch {
    return undefined;
  }
}

/** What a stopped container wants of a new engine: to go, or to run again. */
async function settle(room: Room, id: string): Promise<void> {
  await finishExit(room, id);
  const record = room.table.get(id);
  if (record === undefined || record.state.kind === "running") return;
  await resumeShipping(room, record);
  const { hostConfig: host, state } = record;
  if (host.AutoRemove && state.kind === "exited") {
    await removeContainer(room, id, { force: false, volumes: true });
    return;
  }
  if (state.kind === "restarting") {
    armRestart(room, id, 0);
    return;
  }
  const last = state.kind === "exited" ? state : undefined;
  const again =
    last !== undefined &&
    startsWithEngine(host.RestartPolicy, {
      exitCode: last.exitCode,
      stoppedByUser: record.stoppedByUser,
      restartCount: record.restartCount,
    });
  if (!again) return;
  try {
    await startContainer(room, id, { byUser: false });
  } catch (error) {
    room.options.logger.warn("restart by policy failed", { id, error });
    await scheduleRestart(room, id);
  }
}
