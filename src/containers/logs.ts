import { NaruError } from "../base/mod.ts";
import type { ContainerLog, LogEntry, LogReadOptions } from "../runtime/mod.ts";
import { planLog } from "./log-config.ts";
import type { ContainerRecord } from "./record.ts";
import { bundleDir, logPathOf, type Room } from "./room.ts";

const ROTATION_CHECK_MS = 5_000; // a container that writes 100 MB/s is 25 segments over by then

/** The log of a container, opened once; undefined for `none`. */
export async function openLog(
  room: Room,
  record: ContainerRecord,
): Promise<ContainerLog | undefined> {
  const existing = room.logs.get(record.id);
  if (existing !== undefined) return existing;
  const { limits } = planLog(record.hostConfig.LogConfig);
  if (limits === undefined) return undefined;
  const log = room.options.terminals.openLog(logPathOf(room, record), limits);
  room.logs.set(record.id, log);
  try {
    return await log;
  } catch (error) {
    room.logs.delete(record.id);
    throw error;
  }
}

/** Followers finish at the end of the file. */
export function endLog(room: Room, id: string): void {
  room.logs.get(id)?.then(
    (log) => log.ended(),
    () => undefined, // whoever opened it was told
  );
}

/** Throws invalid_argument when neither stream is asked for: before the container is looked up. */
export function checkLogStreams(options: LogReadOptions): void {
  if (options.stdout || options.stderr) return;
  throw new NaruError("invalid_argument", "Bad parameters: you must choose at least one stream");
}

/** Throws unsupported for `none`. */
export async function readLogs(
  room: Room,
  record: ContainerRecord,
  options: LogReadOptions,
): Promise<AsyncIterable<LogEntry>> {
  const log = await openLog(room, record);
  if (log === undefined) {
    throw new NaruError("unsupported", "configured logging driver does not support reading");
  }
  return log.read(options);
}

/** Rotates the logs of what runs, now and then. The result stops it. */
export function rotateRegularly(room: Room): () => void {
  let cancel: () => void = () => undefined;
  let stopped = false;
  const arm = (): void => {
    if (stopped) return;
    cancel = room.options.clock.after(ROTATION_CHECK_MS, () => {
      void rotateAll(room).finally(arm);
    });
  };
  arm();
  return () => {
    stopped = true;
    cancel();
  };
}

async function rotateAll(room: Room): Promise<void> {
  for (const id of room.live.keys()) {
    try {
      const log = await room.logs.get(id);
      await log?.rotateIfNeeded(bundleDir(room, id));
    } catch (error) {
      room.options.logger.error("rotating a log", { id, error });
    }
  }
}
