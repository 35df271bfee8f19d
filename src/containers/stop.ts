import { NaruError } from "../base/mod.ts";
import { parseSignal } from "../runtime/mod.ts";
import type { StopOptions } from "./contract.ts";
import { crashPoint } from "./crash-point.ts";
import { finishExit } from "./exit.ts";
import type { ContainerRecord } from "./record.ts";
import { cancelRestart, type LiveRun, notRunning, publish, type Room } from "./room.ts";

const SIGKILL = 9;
const SECOND_MS = 1000;

/** After SIGKILL a process may still be in the kernel (a slow disk); beyond this it is an error. */
const KILL_WAIT_MS = 10_000;

/** Ends the run, in the queue: the stop signal, then SIGKILL. Throws not_modified when none runs. */
export async function stopContainer(room: Room, id: string, options: StopOptions): Promise<void> {
  await finishExit(room, id);
  const record = room.table.must(id);
  if (record.state.kind === "restarting") {
    cancelRestart(room, id);
    await room.table.update(id, (now) => {
      if (now.state.kind !== "restarting") return now;
      const { againAtNs: _, ...exit } = now.state;
      return { ...now, stoppedByUser: true, state: { ...exit, kind: "exited" } };
    });
    publish(room, record, "stop");
    return;
  }
  const live = room.live.get(id);
  if (record.state.kind !== "running" || live === undefined) {
    if (record.state.kind === "running") throw notRunning(record);
    throw new NaruError("not_modified", "container is already stopped");
  }
  await room.table.update(id, (now) => ({ ...now, stoppedByUser: true }));
  const wanted = options.signal === "" ? (record.config.StopSignal ?? "") : options.signal;
  const signal = parseSignal(wanted === "" ? "SIGTERM" : wanted);
  const timeoutMs = stopTimeoutMs(room, record, options);
  await sendSignal(room, record, signal);
  crashPoint("stop.after-signal");
  // The frozen do not die of a signal that they could handle.
  if (record.state.paused) await thaw(room, record);
  if (!(await within(room, live.exited, timeoutMs))) {
    await sendSignal(room, record, SIGKILL);
    await awaitDeath(room, record, live);
  }
  publish(room, record, "stop");
  await finishExit(room, id); // which may remove it, and `destroy` comes last
}

function didNotDie(record: ContainerRecord): NaruError {
  return new NaruError(
    "internal",
    `container ${record.id} did not die within ${KILL_WAIT_MS / SECOND_MS} s of SIGKILL`,
  );
}

function stopTimeoutMs(room: Room, record: ContainerRecord, options: StopOptions): number {
  const seconds =
    options.timeoutSeconds ?? record.config.StopTimeout ?? room.options.defaults.stopTimeoutSeconds;
  return seconds < 0 ? Number.POSITIVE_INFINITY : seconds * SECOND_MS;
}

/** True when `promise` resolved in time. */
async function within(room: Room, promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  if (timeoutMs === Number.POSITIVE_INFINITY) {
    await promise;
    return true;
  }
  const timeout = Promise.withResolvers<false>();
  const cancel = room.options.clock.after(timeoutMs, () => timeout.resolve(false));
  try {
    return await Promise.race([promise.then(() => true as const), timeout.promise]);
  } finally {
    cancel();
  }
}

const THAW_CHECK_MS = 100; // a pause that was under way may have frozen what was to die
const THAW_ANYWAY_MS = 500; // an engine that was killed in a pause left no record of it

/** After SIGKILL. A container that was frozen meanwhile is thawed, or it would never die. */
async function awaitDeath(room: Room, record: ContainerRecord, live: LiveRun): Promise<void> {
  for (let waitedMs = 0; waitedMs < KILL_WAIT_MS; waitedMs += THAW_CHECK_MS) {
    if (await within(room, live.exited, THAW_CHECK_MS)) return;
    const { state } = room.table.must(record.id);
    if (state.kind !== "running") continue;
    if (state.paused || waitedMs >= THAW_ANYWAY_MS) await thaw(room, record);
  }
  throw didNotDie(record);
}

async function sendSignal(room: Room, record: ContainerRecord, signal: number): Promise<void> {
  publish(room, record, "kill", { signal: String(signal) });
  await signalRun(room, record, signal);
}

/** A run that ended a moment ago is no error: its exit is on the way. */
async function signalRun(room: Room, record: ContainerRecord, signal: number): Promise<void> {
  try {
    await room.options.monitor.kill(record.id, record.runtime, signal);
  } catch (error) {
    const live = room.live.get(record.id);
    const ended = live === undefined || (await within(room, live.exited, SECOND_MS));
    if (!ended) throw error;
  }
}

/**
 * Sends a signal; not in the queue, so that it reaches a container that is being stopped. SIGKILL
 * waits for the end, as with Docker.
 */
export async function killContainer(room: Room, id: string, text: string): Promise<void> {
  const signal = text === "" ? SIGKILL : parseSignal(text);
  const record = room.table.must(id);
  const live = room.live.get(id);
  if (record.state.kind !== "running" || live === undefined) {
    if (record.state.kind === "restarting") return killRestarting(room, id);
    const word = `cannot kill container: ${id}: container ${id} is not running`;
    throw new NaruError("conflict", word);
  }
  const stopSignal = parseSignal(record.config.StopSignal || "SIGTERM");
  if (signal === SIGKILL || signal === stopSignal) {
    await room.table.update(id, (now) => ({ ...now, stoppedByUser: true }));
  }
  await sendSignal(room, record, signal);
  if (record.state.paused && (signal === SIGKILL || signal === stopSignal)) {
    await thaw(room, record);
  }
  if (signal !== SIGKILL) return;
  await awaitDeath(room, record, live);
}

async function killRestarting(room: Room, id: string): Promise<void> {
  await room.queue.run(id, () => stopContainer(room, id, { signal: "", timeoutSeconds: 0 }));
}

async function writePaused(room: Room, id: string, paused: boolean): Promise<void> {
  await room.table.update(id, (now) =>
    now.state.kind === "running" ? { ...now, state: { ...now.state, paused } } : now,
  );
}

/** Lets a signal be handled. It may have ended or been thawed since; then there is nothing to do. */
async function thaw(room: Room, record: ContainerRecord): Promise<void> {
  try {
    await room.options.monitor.resume(record.id, record.runtime);
    const { state } = room.table.must(record.id);
    if (state.kind !== "running" || !state.paused) return;
    await writePaused(room, record.id, false);
    publish(room, record, "unpause");
  } catch (error) {
    room.options.logger.debug("thawing a container that was signalled", { id: record.id, error });
  }
}

/** Freezes or thaws, in the queue. */
export async function setPaused(room: Room, id: string, paused: boolean): Promise<void> {
  const record = room.table.must(id);
  const isPaused = record.state.kind === "running" && record.state.paused;
  if (paused && record.state.kind !== "running") throw notRunning(record);
  if (isPaused === paused) {
    const words = paused ? "is already paused" : "is not paused";
    throw new NaruError("conflict", `Container ${record.id} ${words}`);
  }
  const { monitor } = room.options;
  try {
    await (paused ? monitor.pause(id, record.runtime) : monitor.resume(id, record.runtime));
  } catch (error) {
    const live = room.live.get(id);
    const ended = live === undefined || (await within(room, live.exited, SECOND_MS));
    throw ended ? notRunning(record) : error;
  }
  await writePaused(room, id, paused);
  publish(room, record, paused ? "pause" : "unpause");
}
