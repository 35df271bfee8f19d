import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isNaruError } from "../base/mod.ts";
import { applyChanges } from "../oci/mod.ts";
import type { ContainerConfig } from "../spec/mod.ts";
import { commandOf, mergeConfig } from "./config-merge.ts";
import { RunningJob } from "./files/file-job.ts";
import { holdStill, upperSource } from "./files.ts";
import type { CommitRequest } from "./files-contract.ts";
import type { ContainerRecord } from "./record.ts";
import { containerDir, publish, type Room } from "./room.ts";
import { isRunning } from "./state.ts";
import { setPaused } from "./stop.ts";

/** In the container's directory while a commit keeps it frozen, for the engine after a crash. */
const FROZEN = "frozen-by-commit";

/**
 * Makes an image of what a container wrote. A running one is frozen meanwhile if that is wanted;
 * one that does not run is kept from starting. Until the image's row is written there are only
 * temporary files, which the next start of the engine sweeps.
 */
export async function commitContainer(
  room: Room,
  ref: string,
  request: CommitRequest,
  signal: AbortSignal,
): Promise<Digest> {
  const hold = await holdStill(room, ref);
  try {
    const { record } = hold;
    const config = configOf(record, request);
    await using _thawed = await freeze(room, record, request.pause);
    const job = await RunningJob.start({ kind: "layer", source: await upperSource(room, record) });
    try {
      await job.ready();
      const id = await room.options.images.commit(record.imageId, job.output(), {
        config,
        author: request.author,
        comment: request.comment,
        createdBy: commandOf(record.config).join(" "),
        repo: request.repo,
        tag: request.tag,
        signal,
      });
      const named = request.repo === "" ? {} : { imageRef: nameOf(request) };
      publish(room, record, "commit", { comment: request.comment, imageID: id, ...named });
      return id;
    } finally {
      await job.close();
    }
  } finally {
    hold.release();
  }
}

function nameOf({ repo, tag }: CommitRequest): string {
  return tag === "" ? repo : `${repo}:${tag}`;
}

/** What the request says, with the instructions applied, filled up from the container. */
function configOf(record: ContainerRecord, request: CommitRequest): ContainerConfig {
  const changed = applyChanges(request.config ?? record.config, request.changes);
  if (request.config === null) return changed;
  return mergeConfig(changed, record.config);
}

async function freeze(
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

/** In recovery, of a container that runs: a commit that was cut off leaves it frozen. */
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
