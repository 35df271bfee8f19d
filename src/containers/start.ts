import { mkdir, rm } from "node:fs/promises";
import { errorMessage, isNaruError, NaruError } from "../base/mod.ts";
import type { Endpoint } from "../network/mod.ts";
import { buildRuntimeSpec, type MonitorHandle, type StdioHub } from "../runtime/mod.ts";
import type { RuntimeSpec } from "../spec/mod.ts";
import { crashPoint } from "./crash-point.ts";
import { finishExit, undoRun, watchExit } from "./exit.ts";
import { planLinks } from "./links.ts";
import { openLog } from "./logs.ts";
import { endpointRequests, publishNetworks } from "./networks.ts";
import type { ContainerRecord } from "./record.ts";
import { removeContainer } from "./remove.ts";
import {
  bundleDir,
  cancelRestart,
  pathsOf,
  publish,
  type Room,
  rootfsDir,
  stdinMode,
} from "./room.ts";
import { makeDirectoryInRoot, readInRoot } from "./rootfs.ts";
import { planSpecInput } from "./spec-input.ts";
import { unstage } from "./staged-mounts.ts";
import {
  attachNetwork,
  etcMounts,
  networkModeOf,
  planNamespaces,
  planShm,
  realiseMounts,
} from "./start-parts.ts";
import { type SettledState, settledState } from "./state.ts";
import { resolveUser } from "./user.ts";

export interface StartReason {
  /** A person or a client asked for it, which resets what the restart policy counts. */
  readonly byUser: boolean;
}

/**
 * Runs a container; in its queue. A failure leaves it as it was, with the reason in its state, and
 * nothing in the kernel. Throws not_modified when it runs already.
 */
export async function startContainer(room: Room, id: string, reason: StartReason): Promise<void> {
  room.options.monitor.expect();
  await finishExit(room, id);
  const record = room.table.must(id);
  if (record.state.kind === "running") throw refusalToStart(record.state.paused);
  if (room.removing.has(id)) {
    throw new NaruError("conflict", "container is marked for removal and cannot be started");
  }
  cancelRestart(room, id);
  const before = settledState(record.state);
  const { state } = record;
  const again = state.kind === "restarting" ? { againAtNs: state.againAtNs } : {};
  const intent = room.table.update(id, (now) => ({
    ...now,
    state: { kind: "starting", before, ...again },
    runNumber: now.runNumber + 1,
    endpoints: [],
    restartCount: reason.byUser ? 0 : now.restartCount + 1,
    stoppedByUser: false,
  }));
  intent.catch(() => undefined); // awaited in launch, together with what runs beside it
  try {
    await launch(room, id, intent);
  } catch (error) {
    await startFailed(room, id, before, error);
  }
}

function refusalToStart(paused: boolean): NaruError {
  if (!paused) return new NaruError("not_modified", "container is already running");
  return new NaruError("conflict", "cannot start a paused container, try unpause instead");
}

async function launch(room: Room, id: string, intent: Promise<ContainerRecord>): Promise<void> {
  const record = room.table.must(id);
  const paths = pathsOf(room, record);
  await Promise.all([
    mkdir(rootfsDir(room, id), { recursive: true, mode: 0o700 }),
    mkdir(paths.persistDir, { recursive: true, mode: 0o700 }),
  ]);
  const mode = networkModeOf(room, record);
  const endpoints = await allOrNothing([
    attachNetwork(room, record, mode, endpointRequests(room, record, mode)),
    room.options.layers.mount(id, rootfsDir(room, id)),
    intent.then(() => crashPoint("start.after-intent")),
  ]);
  crashPoint("start.after-mount-and-network");
  const spec = await makeSpec(room, record, mode, endpoints);
  const log = await openLog(room, record);
  log?.started();
  const handle = await room.options.monitor.create({
    id,
    name: record.name,
    runtime: record.runtime,
    spec,
    paths,
    terminal: record.config.Tty,
    stdin: stdinMode(record),
  });
  crashPoint("start.after-create");
  unstage(paths.bundleDir);
  const hub = await room.options.terminals.connectStdio(paths.bundleDir, {
    terminal: record.config.Tty,
    stdin: stdinMode(record),
    log,
  });
  connectPending(room, id, hub);
  await run(room, id, { handle, hub, endpoints, spec });
}

/** All of them, or the first failure once every one has come to its end: undoing must not race. */
async function allOrNothing(
  steps: readonly [Promise<readonly Endpoint[]>, Promise<void>, Promise<void>],
): Promise<readonly Endpoint[]> {
  const results = await Promise.allSettled(steps);
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return results[0].status === "fulfilled" ? results[0].value : [];
}

async function makeSpec(
  room: Room,
  record: ContainerRecord,
  mode: ReturnType<typeof networkModeOf>,
  endpoints: readonly Endpoint[],
): Promise<RuntimeSpec> {
  const rootfs = rootfsDir(room, record.id);
  const user = resolveUser(record.config.User, record.hostConfig.GroupAdd ?? [], {
    passwd: readInRoot(rootfs, "/etc/passwd"),
    group: readInRoot(rootfs, "/etc/group"),
  });
  if (record.config.WorkingDir !== "" && record.config.WorkingDir !== "/") {
    makeDirectoryInRoot(rootfs, record.config.WorkingDir, user);
  }
  const links = planLinks(room, record);
  const [etc, mounts, shm] = await Promise.all([
    etcMounts(room, record, { mode, endpoints, linkHosts: links.hosts }),
    realiseMounts(room, record, rootfs),
    planShm(room, record),
  ]);
  const namespaces = planNamespaces(room, record, mode, endpoints[0]);
  const parts = {
    rootfsPath: rootfs,
    user,
    mounts: [...etc, ...mounts],
    namespaces,
    shm,
    linkEnv: links.env,
  };
  const { defaults, seccompProfile, host } = room.options;
  const built = buildRuntimeSpec(planSpecInput(record, parts, defaults, seccompProfile), host);
  for (const warning of built.warnings) room.options.logger.debug(warning, { id: record.id });
  return built.spec;
}

function connectPending(room: Room, id: string, hub: StdioHub): void {
  for (const waiting of room.pending.get(id) ?? []) waiting.connected(hub);
  room.pending.delete(id);
}

interface Created {
  readonly handle: MonitorHandle;
  readonly hub: StdioHub;
  readonly endpoints: readonly Endpoint[];
  readonly spec: RuntimeSpec;
}

async function run(room: Room, id: string, created: Created): Promise<void> {
  const { handle, hub, endpoints, spec } = created;
  const running = room.table.update(id, (now) => ({
    ...now,
    endpoints,
    state: {
      kind: "running",
      handle,
      startedAtNs: room.options.clock.nowNs().toString(),
      paused: false,
    },
  }));
  const record = room.table.must(id);
  running.then(
    () => crashPoint("start.after-commit"),
    () => undefined,
  );
  const [committed, started] = await Promise.allSettled([
    running,
    room.options.monitor.start(id, record.runtime),
  ]);
  if (committed.status === "rejected" || started.status === "rejected") {
    hub.close();
    throw committed.status === "rejected" ? committed.reason : startReason(started);
  }
  crashPoint("start.after-start");
  publishNetworks(room, record, endpoints, "connect");
  publish(room, record, "start");
  watchExit(room, id, { handle, hub, process: spec.process });
  connectPending(room, id, hub); // who came while the runtime was starting it
  room.health.started(id);
}

function startReason(result: PromiseSettledResult<void>): unknown {
  return result.status === "rejected" ? result.reason : undefined;
}

/** Everything back, the reason into the state, and on to the caller. */
async function startFailed(
  room: Room,
  id: string,
  before: SettledState,
  error: unknown,
): Promise<never> {
  const exitCode = exitCodeOf(error);
  for (const waiting of room.pending.get(id) ?? []) waiting.abandoned();
  room.pending.delete(id);
  await undoRun(room, id);
  await rm(bundleDir(room, id), { recursive: true, force: true });
  await rm(pathsOf(room, room.table.must(id)).persistDir, { recursive: true, force: true });
  const message = errorMessage(error);
  const record = await room.table.update(id, (now) => ({
    ...now,
    endpoints: [],
    state: { ...before, exitCode, error: message },
  }));
  room.options.logger.warn("start failed", { id, error });
  room.waiters.startFailed(id, { exitCode, error: message });
  if (record.hostConfig.AutoRemove) {
    await removeContainer(room, id, { volumes: true, force: false }).catch((reason: unknown) => {
      room.options.logger.error("removal after a failed start", { id, error: reason });
    });
  }
  throw error;
}

const EXIT_CODE_UNKNOWN = 128; // Docker's for a start that failed for no reason of the command's

function exitCodeOf(error: unknown): number {
  const code = isNaruError(error) ? error.details["exitCode"] : undefined;
  return typeof code === "number" ? code : EXIT_CODE_UNKNOWN;
}
