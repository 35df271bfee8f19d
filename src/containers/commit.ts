import type { Digest } from "../base/mod.ts";
import { applyChanges } from "../oci/mod.ts";
import type { ContainerConfig } from "../spec/mod.ts";
import { commandOf, mergeConfig } from "./config-merge.ts";
import { crashPoint } from "./crash-point.ts";
import { RunningJob } from "./files/file-job.ts";
import { holdStill, upperSource } from "./files.ts";
import type { CommitRequest } from "./files-contract.ts";
import { freeze } from "./freeze.ts";
import type { ContainerRecord } from "./record.ts";
import { publish, type Room } from "./room.ts";

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
    crashPoint("commit.after-freeze");
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
      crashPoint("commit.before-thaw");
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
