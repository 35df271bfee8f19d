import { rm } from "node:fs/promises";
import { NaruError } from "../base/mod.ts";
import type { Change } from "../storage/mod.ts";
import { crashPoint } from "./crash-point.ts";
import { finishExit, undoRun } from "./exit.ts";
import { endLog, finishShipping, type LeavingLog, leavingLogOf } from "./logs.ts";
import type { ContainerRecord } from "./record.ts";
import { bundleDir, cancelRestart, containerDir, execDir, publish, type Room } from "./room.ts";
import { lastExit } from "./state.ts";
import { ownVolumes } from "./volume-use.ts";

/** Work that is done after the answer: the writable layer and the log. */
export const REMOVAL_WORK: string = "container-files";

interface RemovalWork {
  readonly id: string;
  /** Their directories are there only when the engine died while they ran. */
  readonly execs: readonly string[];
  /** Older engines did not write it. */
  readonly log?: LeavingLog | undefined;
}

/** Registers the second half of removals; before the work queue is started. */
export function handleRemovalWork(room: Room): void {
  room.options.work.handle(REMOVAL_WORK, async (payload) => {
    const { id, execs, log } = payload as RemovalWork;
    if (log !== undefined) await finishShipping(room, id, log);
    await room.options.layers.removeWritable(id);
    await rm(containerDir(room, id), { recursive: true, force: true });
    await rm(bundleDir(room, id), { recursive: true, force: true });
    for (const execId of execs) await rm(execDir(room, execId), { recursive: true, force: true });
  });
}

/**
 * First half of a removal, in the queue: what runs is gone from the kernel, the row and the name
 * are gone from the database, and the rest is durably queued. Throws conflict while it runs.
 */
export async function removeContainer(
  room: Room,
  id: string,
  options: { readonly force: boolean; readonly volumes: boolean },
): Promise<void> {
  const before = room.table.must(id);
  if (room.removing.has(id)) throw alreadyRemoving(id);
  // A run that this engine has no hold of (its adoption failed) goes with everything it has.
  const lost = before.state.kind === "running" && !room.live.has(id) && options.force;
  if (before.state.kind === "running" && !lost) throw stillRunning(before);
  room.removing.add(id);
  try {
    await finishExit(room, id);
    cancelRestart(room, id);
    // After an engine restart a stopped container has nothing left to undo; a crash may have.
    if (lost || room.live.has(id) || before.state.kind === "starting") await undoRun(room, id);
    const volumes = room.options.volumes.planRemoval(
      options.volumes ? ownVolumes(room, before) : [],
    );
    const execRows = room.execs.removalChanges(id);
    const execs = execRows.map(({ key }) => key);
    const log = leavingLogOf(room, before);
    const payload: RemovalWork = { id, execs, log };
    const { item, change } = room.options.work.prepare(REMOVAL_WORK, payload);
    const also: Change[] = [change, ...execRows, ...volumes.changes];
    crashPoint("remove.before-commit");
    const record = room.table.must(id);
    await room.table.remove(id, also);
    crashPoint("remove.after-commit");
    volumes.done();
    const open = room.logs.get(id);
    if (log !== undefined && open !== undefined) room.leavingLogs.set(id, open);
    forget(room, id);
    publish(room, record, "destroy");
    const exitCode = lastExit(record.state)?.exitCode ?? 0;
    room.waiters.removed(id, { exitCode, error: undefined });
    // A client that lags reads on from the log: its files stay until it has everything or is gone.
    const unread = room.unread.get(id);
    if (unread === undefined) room.options.work.submit(item);
    else void unread.then(() => room.options.work.submit(item));
  } finally {
    room.removing.delete(id);
  }
}

/** Everything that this process remembers of a container. */
function forget(room: Room, id: string): void {
  room.execs.forgetContainer(id);
  room.live.delete(id);
  endLog(room, id);
  room.logs.delete(id);
  room.restarts.delete(id);
  room.health.forget(id);
  for (const waiting of room.pending.get(id) ?? []) waiting.abandoned();
  room.pending.delete(id);
}

export function alreadyRemoving(id: string): NaruError {
  return new NaruError("conflict", `removal of container ${id} is already in progress`);
}

export function stillRunning(record: ContainerRecord): NaruError {
  const paused = record.state.kind === "running" && record.state.paused;
  const word = record.state.kind === "restarting" ? "restarting" : "running";
  const advice = paused
    ? "container is paused and must be unpaused first"
    : `container is ${word}: stop the container before removing or force remove`;
  return new NaruError("conflict", `cannot remove container "${record.name}": ${advice}`);
}
