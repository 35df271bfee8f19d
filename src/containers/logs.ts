import { assert, NaruError } from "../base/mod.ts";
import type {
  ContainerLog,
  LogEntry,
  LogLimits,
  LogReadOptions,
  ShippingPlan,
} from "../runtime/mod.ts";
import { attributePrefix } from "./log-attributes.ts";
import { planLog } from "./log-config.ts";
import { shippingPlanOf, shownAttributes } from "./log-origin.ts";
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
  const { limits, shipping } = planLog(record.hostConfig.LogConfig);
  if (limits === undefined) return undefined;
  const path = logPathOf(room, record);
  const log = room.options.terminals.openLog(path, limits, shipping && planOf(room, record));
  room.logs.set(record.id, log);
  try {
    return await log;
  } catch (error) {
    room.logs.delete(record.id);
    throw error;
  }
}

/** The plan of this moment, with the name that the container has now. */
function planOf(room: Room, opened: ContainerRecord): () => ShippingPlan {
  return () => {
    const plan = shippingPlanOf(room.table.get(opened.id) ?? opened);
    assert(plan !== undefined, "a container keeps its log driver");
    return plan;
  };
}

/** Goes on with what a stopped container wrote and its peer does not have yet. */
export async function resumeShipping(room: Room, record: ContainerRecord): Promise<void> {
  if (record.runNumber === 0 || shippingPlanOf(record) === undefined) return;
  await openLog(room, record);
}

/** For the durable work of a removal: what its log needs to be shipped to the end. */
export interface LeavingLog {
  readonly path: string;
  readonly shipping: ShippingPlan;
}

/** The log goes on without its container. undefined where nothing is shipped. */
export function leavingLogOf(room: Room, record: ContainerRecord): LeavingLog | undefined {
  const shipping = record.runNumber === 0 ? undefined : shippingPlanOf(record);
  return shipping === undefined ? undefined : { path: logPathOf(room, record), shipping };
}

/** A peer that takes nothing for so long does not get the rest of a removed container's log. */
const LEAVING_PATIENCE_MS = 5_000;

/** Ships the rest of a removed container's log. Throws cancelled when the engine is closing. */
export async function finishShipping(room: Room, id: string, leaving: LeavingLog): Promise<void> {
  const { path, shipping } = leaving;
  const { terminals, logger } = room.options;
  const opened = room.leavingLogs.get(id) ?? terminals.openLog(path, KEPT_WHOLE, () => shipping);
  room.leavingLogs.set(id, opened);
  const log = await opened;
  const done = await log.shipped(LEAVING_PATIENCE_MS);
  if (!done && room.closing) {
    throw new NaruError("cancelled", "the engine is closing; the log is shipped by the next one");
  }
  await log.close();
  room.leavingLogs.delete(id);
  if (!done) logger.warn("a removed container's log was not shipped to its end", { id });
}

/** It goes soon: nothing of it is rotated any more. */
const KEPT_WHOLE: LogLimits = {
  segmentBytesMax: Number.MAX_SAFE_INTEGER,
  segmentsMax: Number.MAX_SAFE_INTEGER,
  compress: false,
};

/** Stops shipping; what is left is shipped by the next engine. */
export async function closeLogs(room: Room): Promise<void> {
  const logs = [...room.logs.values(), ...room.leavingLogs.values()];
  await Promise.allSettled(logs.map(async (log) => (await log).close()));
}

/** What `details` puts before each line. */
export function logPrefixOf(record: ContainerRecord): string {
  return attributePrefix(shownAttributes(record));
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

/** Throws unsupported for `none`, and for a disabled cache. */
export async function readLogs(
  room: Room,
  record: ContainerRecord,
  options: LogReadOptions,
): Promise<AsyncIterable<LogEntry>> {
  const log = await openLog(room, record);
  if (log === undefined || !planLog(record.hostConfig.LogConfig).readable) {
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
      if (room.table.get(id) === undefined) continue; // removed meanwhile, log and all
      room.options.logger.error("rotating a log", { id, error });
    }
  }
}
