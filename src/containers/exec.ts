import { mkdir, rm } from "node:fs/promises";
import { errorMessage, isNaruError, NaruError, newId } from "../base/mod.ts";
import {
  buildExecProcess,
  type ExecProcess,
  type StdioClient,
  type StdioHub,
} from "../runtime/mod.ts";
import type { ExecCreateBody, ExecInspect, RuntimeProcess } from "../spec/mod.ts";
import { checkVariable } from "./config-check.ts";
import type { ExecSession } from "./contract.ts";
import { crashPoint } from "./crash-point.ts";
import type { ContainerRecord, ExecRecord } from "./record.ts";
import { execDir, notRunning, publish, type Room, rootfsDir } from "./room.ts";
import { readInRoot } from "./rootfs.ts";
import { type ResolvedUser, resolveUser } from "./user.ts";

export interface ExecStartOptions {
  readonly detach: boolean;
  readonly tty: boolean | undefined;
  readonly consoleSize: [number, number] | undefined;
  readonly onAccepted?: () => void;
}

/** Processes that run now, by exec id. */
export type RunningExecs = Map<string, ExecProcess>;

/** A container that can run a command now. Throws conflict in Docker's words, with what was asked for. */
function runnable(record: ContainerRecord, ref: string): ContainerRecord {
  if (record.state.kind !== "running") throw notRunning(record);
  if (record.state.paused) {
    throw new NaruError(
      "conflict",
      `Container ${ref} is paused, unpause the container before exec`,
    );
  }
  return record;
}

export function createExec(room: Room, ref: string, body: ExecCreateBody): string {
  const container = runnable(room.table.find(ref), ref);
  room.options.monitor.expect();
  if (body.Cmd.length === 0) throw new NaruError("invalid_argument", "No exec command specified");
  for (const variable of body.Env ?? []) checkVariable(variable);
  if (body.WorkingDir !== "" && !body.WorkingDir.startsWith("/")) {
    throw new NaruError(
      "invalid_argument",
      `the working directory '${body.WorkingDir}' is invalid, it needs to be an absolute path`,
    );
  }
  const record: ExecRecord = {
    version: 1,
    id: newId(),
    containerId: container.id,
    createdAtNs: room.options.clock.nowNs().toString(),
    user: body.User,
    privileged: body.Privileged,
    tty: body.Tty,
    consoleSize: body.ConsoleSize,
    attachStdin: body.AttachStdin,
    attachStdout: body.AttachStdout,
    attachStderr: body.AttachStderr,
    detachKeys: body.DetachKeys,
    env: body.Env ?? [],
    workingDir: body.WorkingDir,
    cmd: body.Cmd,
    state: { kind: "created" },
  };
  room.execs.put(record);
  publish(room, container, `exec_create: ${commandText(record)}`, { execID: record.id });
  return record.id;
}

function commandText(record: ExecRecord): string {
  return record.cmd.join(" ");
}

/** Starts what was created. A command that cannot run is told in the stream, as Docker does. */
export async function startExec(
  room: Room,
  running: RunningExecs,
  execId: string,
  options: ExecStartOptions,
  client: StdioClient | undefined,
): Promise<ExecSession> {
  const record = room.execs.find(execId);
  const container = runnable(room.table.must(record.containerId), record.containerId);
  if (record.state.kind === "running") {
    throw new NaruError("conflict", `exec command ${execId} is already running`);
  }
  if (record.state.kind === "ended") {
    throw new NaruError("conflict", `exec command ${execId} has already run`);
  }
  options.onAccepted?.();
  room.execs.put({ ...record, state: { kind: "running", pid: 0 } });
  publish(room, container, `exec_start: ${commandText(record)}`, { execID: execId });
  const follower = options.detach || client === undefined ? undefined : new Follower(client);
  let process: ExecProcess;
  try {
    process = await launchExec(room, container, record, options, follower);
  } catch (error) {
    return failExec(room, container, record, error, follower === undefined ? undefined : client);
  }
  crashPoint("exec.after-start");
  running.set(execId, process);
  room.execs.put({ ...record, state: { kind: "running", pid: process.pid } });
  return followExec(room, running, container, record, process, follower);
}

/** The client of one exec, attached before the first byte; its end comes after the exit code. */
class Follower {
  readonly client: StdioClient;
  readonly written: Promise<void>;
  readonly #written: PromiseWithResolvers<void> = Promise.withResolvers();
  #leave: () => void = () => undefined;

  constructor(client: StdioClient) {
    this.client = client;
    this.written = this.#written.promise;
  }

  attachTo(hub: StdioHub): void {
    this.#leave = hub.attach({
      stdout: this.client.stdout,
      stderr: this.client.stderr,
      write: (stream, bytes) => this.client.write(stream, bytes),
      end: () => this.#written.resolve(),
    });
  }

  detach(): void {
    this.#leave();
    this.#written.resolve();
  }
}

async function launchExec(
  room: Room,
  container: ContainerRecord,
  record: ExecRecord,
  options: ExecStartOptions,
  follower: Follower | undefined,
): Promise<ExecProcess> {
  const live = room.live.get(container.id);
  if (live === undefined || container.state.kind !== "running") throw notRunning(container);
  const terminal = options.tty ?? record.tty;
  const process = planExecProcess(room, container, record, live.process, {
    terminal,
    consoleSize: options.consoleSize ?? record.consoleSize ?? undefined,
  });
  const dir = execDir(room, record.id);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  crashPoint("exec.before-start");
  try {
    return await room.options.monitor.exec({
      containerId: container.id,
      execId: record.id,
      name: container.name,
      runtime: container.runtime,
      process,
      dir,
      terminal,
      stdin: record.attachStdin,
      detached: follower === undefined,
      onStdio: (hub) => follower?.attachTo(hub),
      handle: container.state.handle,
    });
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

function planExecProcess(
  room: Room,
  container: ContainerRecord,
  record: ExecRecord,
  base: RuntimeProcess,
  console: {
    readonly terminal: boolean;
    readonly consoleSize: [number, number] | undefined;
  },
): RuntimeProcess {
  const user = record.user === "" ? undefined : userOf(room, container, record.user);
  const [rows = 0, columns = 0] = console.consoleSize ?? [];
  return buildExecProcess(
    base,
    {
      args: record.cmd,
      env: envOf(container, record, user),
      cwd: record.workingDir === "" ? undefined : record.workingDir,
      user,
      terminal: console.terminal,
      consoleSize: rows > 0 && columns > 0 ? { rows, columns } : undefined,
      privileged: record.privileged,
    },
    room.options.host,
  );
}

function userOf(room: Room, container: ContainerRecord, text: string): ResolvedUser {
  const rootfs = rootfsDir(room, container.id);
  return resolveUser(text, container.hostConfig.GroupAdd ?? [], {
    passwd: readInRoot(rootfs, "/etc/passwd"),
    group: readInRoot(rootfs, "/etc/group"),
  });
}

/** Another user has another home, unless HOME was set for the container or the exec. */
function envOf(
  container: ContainerRecord,
  record: ExecRecord,
  user: ResolvedUser | undefined,
): readonly string[] {
  const given = [...(container.config.Env ?? []), ...record.env];
  if (user === undefined || given.some((variable) => variable.startsWith("HOME="))) {
    return record.env;
  }
  return [`HOME=${user.home}`, ...record.env];
}

function followExec(
  room: Room,
  running: RunningExecs,
  container: ContainerRecord,
  record: ExecRecord,
  process: ExecProcess,
  follower: Follower | undefined,
): ExecSession {
  const ended = process.exited.then(({ exitCode }) => {
    crashPoint("exec.after-exit");
    running.delete(record.id);
    endExec(room, container, record, { exitCode, pid: process.pid });
    void rm(execDir(room, record.id), { recursive: true, force: true });
  });
  // The code can be inspected before the client sees the end of its stream.
  const done = Promise.all([ended, follower?.written]).then(() => follower?.client.end());
  done.catch((error: unknown) => room.options.logger.error("exec", { id: record.id, error }));
  return { stdio: process.stdio, done, detach: () => follower?.detach() };
}

function endExec(
  room: Room,
  container: ContainerRecord,
  record: ExecRecord,
  end: { readonly exitCode: number; readonly pid: number },
): void {
  if (room.table.get(container.id) === undefined) return; // removed meanwhile, with its execs
  room.execs.put({ ...record, state: { kind: "ended", ...end } });
  publish(room, container, "exec_die", {
    execID: record.id,
    exitCode: String(end.exitCode),
  });
}

const EXIT_CODE_CANNOT_RUN = 126;

async function failExec(
  room: Room,
  container: ContainerRecord,
  record: ExecRecord,
  error: unknown,
  client: StdioClient | undefined,
): Promise<ExecSession> {
  const code = isNaruError(error) ? error.details["exitCode"] : undefined;
  const exitCode = typeof code === "number" ? code : EXIT_CODE_CANNOT_RUN;
  endExec(room, container, record, { exitCode, pid: 0 });
  if (client === undefined) throw error;
  await client
    .write("stdout", new TextEncoder().encode(`${errorMessage(error)}\r\n`))
    .catch(() => undefined);
  client.end();
  return { stdio: undefined, done: Promise.resolve(), detach: () => undefined };
}

export async function resizeExec(
  room: Room,
  running: RunningExecs,
  execId: string,
  size: { rows: number; columns: number },
): Promise<void> {
  const process = await startedProcess(room, running, execId);
  if (process === undefined) {
    throw new NaruError("invalid_argument", `exec process ${execId} is not started`);
  }
  await process.resize(size);
}

const START_POLL_MS = 10;
const START_WAIT_MS = 10_000; // Docker's patience in the same place

/** A client sends its size as soon as it has the stream, when the process may only be starting. */
async function startedProcess(
  room: Room,
  running: RunningExecs,
  execId: string,
): Promise<ExecProcess | undefined> {
  for (let waitedMs = 0; ; waitedMs += START_POLL_MS) {
    const { state } = room.execs.find(execId);
    const process = running.get(execId);
    const starting = state.kind === "running" && state.pid === 0;
    if (process !== undefined || !starting || waitedMs >= START_WAIT_MS) return process;
    await new Promise<void>((resolve) => room.options.clock.after(START_POLL_MS, resolve));
  }
}

export function inspectExec(record: ExecRecord, canRemove = false): ExecInspect {
  const { state } = record;
  const [entrypoint = "", ...args] = record.cmd;
  return {
    ID: record.id,
    Running: state.kind === "running",
    ExitCode: state.kind === "ended" ? state.exitCode : null,
    ProcessConfig: {
      tty: record.tty,
      entrypoint,
      arguments: args,
      privileged: record.privileged,
      ...(record.user === "" ? {} : { user: record.user }),
    },
    OpenStdin: record.attachStdin,
    OpenStderr: record.attachStderr,
    OpenStdout: record.attachStdout,
    CanRemove: canRemove,
    ContainerID: record.containerId,
    DetachKeys: record.detachKeys,
    Pid: state.kind === "created" ? 0 : state.pid,
  };
}
