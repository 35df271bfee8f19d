import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isNaruError, NaruError } from "../base/mod.ts";
import { decompress } from "../storage/mod.ts";
import { RunningJob } from "./files/file-job.ts";
import type { FileJob, RootSource, UpperSource, ViewBind } from "./files/protocol.ts";
import type { ContainerFiles, ExtractRequest, FileOutput } from "./files-contract.ts";
import { inMountOrder } from "./mounts-plan.ts";
import type { ContainerRecord, RecordedMount } from "./record.ts";
import { publish, type Room, rootfsDir } from "./room.ts";
import { withDirectoryInRoot } from "./rootfs.ts";
import { isRunning } from "./state.ts";
import { volumesOf } from "./volume-use.ts";

/** How long a container that does not run is kept from starting: until `release` is called. */
interface Hold {
  readonly record: ContainerRecord;
  readonly release: () => void;
}

/**
 * Takes the container's turn in the queue, unless it runs: then its files are looked at where they
 * are, and it can be stopped meanwhile.
 */
export async function holdStill(room: Room, ref: string): Promise<Hold> {
  const { id } = room.table.find(ref);
  const now = room.table.must(id);
  if (isRunning(now.state)) return { record: now, release: () => undefined };
  const turn = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  void room.queue.run(id, () => {
    turn.resolve();
    return over.promise;
  });
  await turn.promise;
  try {
    const record = room.table.must(id);
    if (room.removing.has(id)) throw new NaruError("conflict", `container ${id} is being removed`);
    // Started while we waited: nothing has to be held.
    if (isRunning(record.state)) over.resolve();
    return { record, release: () => over.resolve() };
  } catch (error) {
    over.resolve();
    throw error;
  }
}

/** The operations on files over `room`; `commit` is a file of its own. */
export function fileOperations(room: Room): Omit<ContainerFiles, "commit"> {
  return {
    stat: (ref, path) => statPath(room, ref, path),
    read: (ref, path) => readPath(room, ref, path),
    write: (ref, body, request) => writePath(room, ref, body, request),
    async export(ref) {
      const hold = await holdStill(room, ref);
      publish(room, hold.record, "export");
      return output(room, hold, () => exportJob(room, hold.record));
    },
    async changes(ref) {
      const hold = await holdStill(room, ref);
      return output(room, hold, async () => ({
        kind: "changes",
        source: await upperSource(room, hold.record),
      }));
    },
  };
}

async function statPath(room: Room, ref: string, path: string): ReturnType<ContainerFiles["stat"]> {
  const hold = await holdStill(room, ref);
  const found = await started(room, hold, ref, path, async () => ({
    kind: "stat",
    root: await rootSource(room, hold.record),
    path,
  }));
  await found.close();
  return found.stat;
}

async function readPath(room: Room, ref: string, path: string): ReturnType<ContainerFiles["read"]> {
  const hold = await holdStill(room, ref);
  const found = await started(room, hold, ref, path, async () => ({
    kind: "read",
    root: await rootSource(room, hold.record),
    path,
  }));
  publish(room, hold.record, "archive-path");
  return found;
}

async function writePath(
  room: Room,
  ref: string,
  body: AsyncIterable<Uint8Array>,
  request: ExtractRequest,
): Promise<void> {
  const hold = await holdStill(room, ref);
  const { record } = hold;
  const { path, noOverwriteDirNonDir } = request;
  const user = request.copyUidGid ? record.config.User : "";
  await using job = await startJob(room, hold, async () => ({
    kind: "write",
    root: await rootSource(room, record, { readOnly: record.hostConfig.ReadonlyRootfs }),
    path,
    options: { noOverwriteDirNonDir, user },
  }));
  try {
    await job.job.ready();
    await job.job.input(decompress(body));
  } catch (error) {
    throw inWords(error, ref, path);
  }
  publish(room, record, "extract-to-dir");
}

/** A job and the container's turn, which end together. */
interface HeldJob extends AsyncDisposable {
  readonly job: RunningJob;
}

async function startJob(room: Room, hold: Hold, plan: () => Promise<FileJob>): Promise<HeldJob> {
  try {
    const job = await RunningJob.start(await plan(), (root) =>
      fillVolumes(room, hold.record, root),
    );
    return {
      job,
      [Symbol.asyncDispose]: async () => {
        await job.close();
        await letGo(room, hold);
      },
    };
  } catch (error) {
    await letGo(room, hold);
    throw error;
  }
}

/** Volumes that were mounted for a container which does not run, and its turn. */
async function letGo(room: Room, { record, release }: Hold): Promise<void> {
  try {
    if (isRunning(record.state)) return;
    for (const { volumeName } of volumesOf(record)) {
      await room.options.volumes.release(volumeName, record.id);
    }
  } finally {
    release();
  }
}

async function started(
  room: Room,
  hold: Hold,
  ref: string,
  path: string,
  plan: () => Promise<FileJob>,
): ReturnType<ContainerFiles["read"]> {
  const held = await startJob(room, hold, plan);
  try {
    const stat = await held.job.ready();
    if (stat === null) throw new NaruError("internal", "a path was not described");
    return { stat, stream: held.job.output(), close: async () => held[Symbol.asyncDispose]() };
  } catch (error) {
    await held[Symbol.asyncDispose]();
    throw inWords(error, ref, path);
  }
}

async function output(room: Room, hold: Hold, plan: () => Promise<FileJob>): Promise<FileOutput> {
  const held = await startJob(room, hold, plan);
  try {
    await held.job.ready();
    return { stream: held.job.output(), close: async () => held[Symbol.asyncDispose]() };
  } catch (error) {
    await held[Symbol.asyncDispose]();
    throw error;
  }
}

/** Docker's words for a path that is not there. */
function inWords(error: unknown, ref: string, path: string): unknown {
  if (!isNaruError(error, "not_found") || error.details["missing"] !== true) return error;
  const message = `Could not find the file ${path} in container ${ref}`;
  return new NaruError("not_found", message, {}, { cause: error });
}

async function rootSource(
  room: Room,
  record: ContainerRecord,
  options: { readonly readOnly: boolean } = { readOnly: false },
): Promise<RootSource> {
  if (isRunning(record.state)) {
    const { pid, pidStartTime } = record.state.handle;
    return { kind: "process", pid, startTime: Number(pidStartTime) };
  }
  return {
    kind: "overlay",
    dirs: room.options.layers.overlayDirs(record.id),
    binds: await bindsOf(room, record),
    fillFirst: copiesUp(record).length > 0,
    readOnly: options.readOnly,
    ...(await places(room)),
  };
}

/** Volumes and binds of a container that does not run; a tmpfs has nothing in it then. */
async function bindsOf(room: Room, record: ContainerRecord): Promise<ViewBind[]> {
  const binds: ViewBind[] = [];
  for (const { type, ...one } of inMountOrder(record.mounts)) {
    if (type === "tmpfs") continue;
    const { destination, subpath = "", image } = one;
    const readOnly = one.readOnly || type === "image";
    const chainId = image?.chainId ?? null;
    if (type === "image" && chainId === null) continue; // without layers there is nothing
    const source =
      chainId === null
        ? await hostSource(room, record.id, { type, ...one })
        : room.options.layers.lowerDirs(chainId);
    binds.push({ source, subpath, destination, readOnly });
  }
  return binds;
}

async function hostSource(
  room: Room,
  id: string,
  { type, source, volumeName }: Pick<RecordedMount, "type" | "source" | "volumeName">,
): Promise<string> {
  return type === "bind" ? source : room.options.volumes.acquire(volumeName, id);
}

/** Volumes that take what the image has, which the first start would do. */
function copiesUp(record: ContainerRecord): readonly RecordedMount[] {
  if (record.runNumber > 0) return [];
  return record.mounts.filter(
    ({ type, copyUp, subpath = "" }) => type === "volume" && copyUp && subpath === "",
  );
}

async function fillVolumes(room: Room, record: ContainerRecord, root: string): Promise<void> {
  for (const one of inMountOrder(copiesUp(record))) {
    await withDirectoryInRoot(root, one.destination, async (source) => {
      if (source !== undefined) await room.options.volumes.copyUp(one.volumeName, source);
    });
  }
}

async function exportJob(room: Room, record: ContainerRecord): Promise<FileJob> {
  if (isRunning(record.state)) {
    return { kind: "export", root: { kind: "directory", path: rootfsDir(room, record.id) } };
  }
  const root: RootSource = {
    kind: "overlay",
    dirs: room.options.layers.overlayDirs(record.id),
    binds: [],
    fillFirst: false,
    readOnly: false,
    ...(await places(room)),
  };
  return { kind: "export", root };
}

/** What the container wrote and what is below it. */
export async function upperSource(room: Room, record: ContainerRecord): Promise<UpperSource> {
  return { dirs: room.options.layers.overlayDirs(record.id), ...(await places(room)) };
}

/** Every job mounts there, each in a namespace where nobody else does. */
async function places(room: Room): Promise<{ bundlesDir: string; mountPoint: string }> {
  const { runDir } = room.options;
  const mountPoint = join(runDir, "view");
  if (!existsSync(mountPoint)) await mkdir(mountPoint, { recursive: true, mode: 0o711 });
  return { bundlesDir: join(runDir, "bundles"), mountPoint };
}
