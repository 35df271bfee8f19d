import { join } from "node:path";
import { errorMessage } from "../base/mod.ts";
import { umountDetached } from "../linux/mod.ts";
import type { ExitRecord, MonitorHandle, StdioHub } from "../runtime/mod.ts";
import type { RuntimeProcess } from "../spec/mod.ts";
import { crashPoint } from "./crash-point.ts";
import { endLog } from "./logs.ts";
import { publishNetworks } from "./networks.ts";
import type { ContainerRecord } from "./record.ts";
import { bundleDir, type LiveRun, pathsOf, publish, type Room, rootfsDir } from "./room.ts";
import { unstage } from "./staged-mounts.ts";
import type { ExitInfo } from "./state.ts";
import { releaseVolumes } from "./volume-use.ts";

const NS_PER_S = 1_000_000_000n;

/** Remembers a run and waits for its end in the background. */
export function watchExit(
  room: Room,
  id: string,
  run: {
    readonly handle: MonitorHandle;
    readonly hub: StdioHub;
    readonly process: RuntimeProcess;
  },
): void {
  const record = room.table.must(id);
  const ended = Promise.withResolvers<ExitInfo>();
  const live: LiveRun = {
    hub: run.hub,
    process: run.process,
    exited: ended.promise,
    cleaning: undefined,
  };
  room.live.set(id, live);
  void room.options.monitor.waitExit(id, run.handle, pathsOf(room, record)).then(
    (exit) => {
      if (room.closing) return;
      ended.resolve(recordExit(room, id, exit, exit.monitorLost));
      void room.queue
        .run(id, () => finishExit(room, id))
        .catch((error: unknown) => {
          room.options.logger.error("clean-up after an exit", { id, error });
        });
    },
    (error: unknown) => {
      if (!room.closing) room.options.logger.error("waiting for an exit", { id, error });
    },
  );
}

/**
 * First half of an exit, all at once: the state, the `die` event, those who wait. What follows may
 * take its time; conmon's exit file keeps the code until the row is written.
 */
export function recordExit(
  room: Room,
  id: string,
  exit: ExitRecord,
  monitorLost: boolean,
): ExitInfo {
  const before = room.table.must(id);
  const startedAtNs =
    before.state.kind === "running" ? before.state.startedAtNs : exit.exitedAtNs.toString();
  const finishedAtNs =
    exit.exitedAtNs > BigInt(startedAtNs) ? exit.exitedAtNs.toString() : startedAtNs;
  const info: ExitInfo = {
    exitCode: exit.exitCode,
    startedAtNs,
    finishedAtNs,
    oomKilled: exit.oomKilled,
    error: monitorLost ? "the monitor of this container died; the container was killed" : "",
  };
  room.table.updateInMemory(id, (now) => ({ ...now, state: { kind: "exited", ...info } }));
  const record = room.table.must(id);
  const ranNs = BigInt(info.finishedAtNs) - BigInt(info.startedAtNs);
  if (exit.oomKilled) publish(room, record, "oom");
  publish(room, record, "die", {
    exitCode: String(exit.exitCode),
    execDuration: (ranNs / NS_PER_S).toString(),
    ...(monitorLost ? { reason: info.error } : {}),
  });
  publishNetworks(room, record, record.endpoints, "disconnect");
  room.health.stopped(id);
  endLog(room, id);
  room.waiters.exited(id, { exitCode: exit.exitCode, error: undefined });
  return info;
}

/** Second half, in the queue; once for each run. Whoever changes a container awaits it first. */
export async function finishExit(room: Room, id: string): Promise<void> {
  const live = room.live.get(id);
  const record = room.table.get(id);
  if (live === undefined || record === undefined || record.state.kind === "running") return;
  live.cleaning ??= cleanUp(room, id, live);
  await live.cleaning;
}

async function cleanUp(room: Room, id: string, live: LiveRun): Promise<void> {
  crashPoint("exit.before-clean-up");
  await undoRun(room, id);
  void live.hub.ended.then(() => live.hub.close());
  const read = live.hub.drained();
  room.unread.set(id, read);
  void read.then(() => {
    if (room.unread.get(id) === read) room.unread.delete(id);
  });
  room.live.delete(id);
  await room.afterRun(id);
}

/** What a run has in the kernel and in the runtime: gone. Idempotent; every part is tried. */
export async function undoRun(room: Room, id: string): Promise<void> {
  const record = room.table.must(id);
  unstage(bundleDir(room, id));
  await room.options.monitor.delete(id, record.runtime).catch(complain(room, record, "runtime"));
  umountShm(room, record);
  const results = await Promise.allSettled([
    room.options.layers.unmount(rootfsDir(room, id)),
    room.options.network.detach(id),
  ]);
  for (const result of results) {
    if (result.status === "rejected") complain(room, record, "clean-up")(result.reason);
  }
  // The last: its mounts were above.
  await releaseVolumes(room, record).catch(complain(room, record, "volumes"));
}

function umountShm(room: Room, record: ContainerRecord): void {
  const mode = record.hostConfig.IpcMode;
  const effective = mode === "" ? room.options.defaults.ipcMode : mode;
  if (effective !== "shareable") return;
  umountDetached(join(bundleDir(room, record.id), "shm"));
}

/** What could not be undone now is found again by the recovery pass. */
function complain(room: Room, record: ContainerRecord, what: string): (error: unknown) => void {
  return (error) => {
    room.options.logger.error(`${what}: ${errorMessage(error)}`, { id: record.id, error });
  };
}
