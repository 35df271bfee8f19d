import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isNaruError } from "../base/mod.ts";
import type { ContainerRecord } from "./record.ts";
import { containerDir, type Room } from "./room.ts";
import { isRunning } from "./state.ts";
import { setPaused } from "./stop.ts";
import { usersOfVolume } from "./volume-use.ts";

/** In the container's directory while we keep it frozen, for the engine after a crash. */
const FROZEN = "frozen-by-commit";

/** Runs `task` while every container that runs on the volume is frozen. */
export async function whileVolumePaused<T>(
  room: Room,
  name: string,
  task: () => Promise<T>,
): Promise<T> {
  await using frozen = new AsyncDisposableStack();
  for (const { containerId, running } of usersOfVolume(room, name)) {
    const record = room.table.get(containerId);
    if (running && record !== undefined) frozen.use(await freeze(room, record, true));
  }
  return await task();
}

/** Keeps a running container frozen until it is disposed of; one that does not run needs nothing. */
export async function freeze(
  room: Room,
  record: ContainerRecord,
  wanted: boolean,
): Promise<AsyncDisposable> {
  const { state, id } = record;
  if (!wanted || !isRunning(state) || state.paused) {
    return { [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const mark = join(containerDir(room, id), FROZEN);
  await writeFile(mark, "");
  const thaw = async (): Promise<void> => {
    await room.queue.run(id, () => setPaused(room, id, false)).catch(ignoreEnded);
    await rm(mark, { force: true });
  };
  try {
    await room.queue.run(id, () => setPaused(room, id, true));
  } catch (error) {
    await rm(mark, { force: true });
    throw error;
  }
  return { [Symbol.asyncDispose]: thaw };
}

/** It was stopped, removed or thawed by somebody else meanwhile. */
function ignoreEnded(error: unknown): void {
  if (!isNaruError(error, "conflict") && !isNaruError(error, "not_found")) throw error;
}

/** In recovery, of a container that runs: a commit or a snapshot that was cut off leaves it frozen. */
export async function thawAfterCrash(room: Room, record: ContainerRecord): Promise<void> {
  const mark = join(containerDir(room, record.id), FROZEN);
  if (!existsSync(mark)) return;
  const { monitor } = room.options;
  if ((await monitor.state(record.id, record.runtime))?.status === "paused") {
    await monitor.resume(record.id, record.runtime);
  }
  await room.table.update(record.id, (now) =>
    now.state.kind === "running" ? { ...now, state: { ...now.state, paused: false } } : now,
  );
  await rm(mark, { force: true });
}
