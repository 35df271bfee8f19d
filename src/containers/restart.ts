import { MS_NS } from "../base/mod.ts";
import { restartDelayMs } from "./restart-policy.ts";
import { cancelRestart, type Room } from "./room.ts";
import { startContainer } from "./start.ts";

/** After an exit, in the queue: does the policy want another run, and when. */
export async function scheduleRestart(room: Room, id: string): Promise<void> {
  const record = room.table.must(id);
  if (record.state.kind !== "exited") return;
  const { exitCode, startedAtNs, finishedAtNs } = record.state;
  const delayMs = restartDelayMs(record.hostConfig.RestartPolicy, {
    exitCode,
    ranMs: Number((BigInt(finishedAtNs) - BigInt(startedAtNs)) / MS_NS),
    stoppedByUser: record.stoppedByUser,
    restartCount: record.restartCount,
    lastDelayMs: room.restarts.get(id)?.delayMs ?? 0,
  });
  if (delayMs === undefined) return;
  const againAtNs = room.options.clock.nowNs() + BigInt(delayMs) * MS_NS;
  await room.table.update(id, (now) =>
    now.state.kind === "exited"
      ? { ...now, state: { ...now.state, kind: "restarting", againAtNs: againAtNs.toString() } }
      : now,
  );
  armRestart(room, id, delayMs);
}

/** Starts the container when the delay is over, unless somebody did something to it meanwhile. */
export function armRestart(room: Room, id: string, delayMs: number): void {
  cancelRestart(room, id);
  const cancel = room.options.clock.after(delayMs, () => {
    void room.queue
      .run(id, async () => {
        if (room.closing || room.table.get(id)?.state.kind !== "restarting") return;
        await startContainer(room, id, { byUser: false });
      })
      .catch((error: unknown) => {
        room.options.logger.warn("restart by policy failed", { id, error });
        return afterFailedRestart(room, id);
      });
  });
  room.restarts.set(id, { cancel, delayMs });
}

/** A start that failed counts as a run that failed. */
async function afterFailedRestart(room: Room, id: string): Promise<void> {
  const record = room.table.get(id);
  if (record === undefined || room.closing) return;
  await room.queue.run(id, () => scheduleRestart(room, id));
}
