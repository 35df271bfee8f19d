import { existsSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, NaruError, newId, shortId } from "../base/mod.ts";
import { freeDirectoryLimit, listMounts, mountsBelow, umount } from "../linux/mod.ts";
import type { Change, Metadata, WorkItem, WorkQueue } from "../storage/mod.ts";
import type { Volume, VolumeRemoval } from "./contract.ts";
import { crashPoint } from "./crash-point.ts";
import { LOCAL_DRIVER } from "./local-driver.ts";

/** Deleting what removed volumes held; after the answer. */
export const TRASH_WORK: string = "volume-files";

interface TrashWork {
  readonly name: string;
  /** The directory's name once it is on its way out. */
  readonly trash: string;
}

interface Options {
  readonly work: WorkQueue;
  readonly dir: string;
}

/** Registers the work; before the queue is started. */
export function handleTrash({ work, dir }: Options): void {
  work.handle(TRASH_WORK, async (payload) => {
    const path = join(dir, (payload as TrashWork).trash);
    // What is mounted there is somebody else's data: never walked into.
    for (const { target } of mountsBelow(path, listMounts())) umount(target);
    if (mountsBelow(path, listMounts()).length > 0) {
      throw new NaruError("unavailable", `something is mounted in ${path}`);
    }
    freeLimit(join(path, "_data"));
    await rm(path, { recursive: true, force: true });
  });
}

/** Its project's number may be somebody else's next. */
function freeLimit(path: string): void {
  try {
    freeDirectoryLimit(path);
  } catch (error) {
    // Gone already, or a file system without projects.
    if (errorCode(error) === undefined) throw error;
  }
}

/** Deletes rows and, once that is committed, gives the names free at once. */
export function planTrash({ work, dir }: Options, volumes: readonly Volume[]): VolumeRemoval {
  const changes: Change[] = [];
  const items: { item: WorkItem; payload: TrashWork }[] = [];
  for (const { name, driver } of volumes) {
    changes.push({ table: "volumes", key: name, value: undefined });
    if (driver !== LOCAL_DRIVER) continue;
    const payload: TrashWork = { name, trash: `.trash-${shortId(newId())}` };
    const { item, change } = work.prepare(TRASH_WORK, payload);
    changes.push(change);
    items.push({ item, payload });
  }
  return {
    changes,
    done: () => {
      for (const { item, payload } of items) {
        moveAway(dir, payload);
        crashPoint("volume-remove.after-move");
        work.submit(item);
      }
    },
  };
}

/** Removals that were committed when the engine died: their directories go out of the way. */
export function finishMoves(
  { metadata, dir }: { readonly metadata: Metadata; readonly dir: string },
  volumes: { has(name: string): boolean },
): void {
  for (const [, row] of metadata.rows("work")) {
    const { kind, payload } = row as WorkItem;
    if (kind !== TRASH_WORK) continue;
    // A volume of that name was made anew: the directory is its own, the old one has moved.
    if (!volumes.has((payload as TrashWork).name)) moveAway(dir, payload as TrashWork);
  }
}

function moveAway(dir: string, { name, trash }: TrashWork): void {
  const from = join(dir, name);
  if (existsSync(from) && !existsSync(join(dir, trash))) renameSync(from, join(dir, trash));
}
