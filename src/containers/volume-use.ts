import { isNaruError, NaruError } from "../base/mod.ts";
import type { PreparedVolume } from "../volumes/mod.ts";
import type { ContainerRecord, RecordedMount } from "./record.ts";
import type { Room } from "./room.ts";

/*
 * What containers have to do with volumes: they name them at create, hold them while they run, and
 * take the anonymous ones along when they go.
 */

/**
 * Gives every volume of `planned` its name, and makes ready those that are new. What was made ready
 * is abandoned again when one of them fails.
 */
export async function nameVolumes(
  room: Room,
  planned: readonly RecordedMount[],
): Promise<{ mounts: RecordedMount[]; volumes: PreparedVolume[] }> {
  const volumes: PreparedVolume[] = [];
  const mounts: RecordedMount[] = [];
  try {
    for (const one of planned) {
      if (one.type !== "volume") {
        mounts.push(one);
        continue;
      }
      const prepared = await prepare(room, one);
      volumes.push(prepared);
      const { name, driver } = prepared.volume;
      const { volumeDriver: _asked, ...rest } = one;
      mounts.push({
        ...rest,
        volumeName: name,
        ...(driver === "local" ? {} : { volumeDriver: driver }),
      });
    }
  } catch (error) {
    room.options.volumes.abandon(volumes);
    throw error;
  }
  return { mounts, volumes };
}

async function prepare(room: Room, one: RecordedMount): Promise<PreparedVolume> {
  try {
    return await room.options.volumes.prepare({
      name: one.volumeName,
      driver: one.volumeDriver ?? "",
      options: one.volumeOptions ?? {},
      labels: one.labels ?? {},
    });
  } catch (error) {
    // 404 at create would mean that the image is missing, which clients then pull.
    if (!isNaruError(error, "not_found")) throw error;
    throw new NaruError("invalid_argument", error.message, error.details, { cause: error });
  }
}

/** The directory to bind for one run of a container; an event says so. */
export async function acquireVolume(room: Room, id: string, one: RecordedMount): Promise<string> {
  const path = await room.options.volumes.acquire(one.volumeName, id);
  publish(room, one, "mount", {
    driver: one.volumeDriver ?? "local",
    container: id,
    destination: one.destination,
    "read/write": String(!one.readOnly),
    propagation: one.propagation,
  });
  return path;
}

/** The end of a run: nobody else's hold is touched. Every volume is tried. */
export async function releaseVolumes(room: Room, record: ContainerRecord): Promise<void> {
  const results: PromiseSettledResult<void>[] = [];
  for (const one of volumesOf(record)) {
    const released = room.options.volumes.release(one.volumeName, record.id);
    results.push(...(await Promise.allSettled([released])));
    publish(room, one, "unmount", { driver: one.volumeDriver ?? "local", container: record.id });
  }
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** After a restart of the engine: what a run has acquired from the former one. */
export function holdVolumes(room: Room, record: ContainerRecord): void {
  for (const { volumeName } of volumesOf(record)) room.options.volumes.hold(volumeName, record.id);
}

export function volumesOf(record: ContainerRecord): readonly RecordedMount[] {
  return record.mounts.filter(({ type }) => type === "volume");
}

/** Containers, running or not, that refer to a volume. */
export function usersOfVolume(
  room: Room,
  name: string,
): { containerId: string; running: boolean }[] {
  const users: { containerId: string; running: boolean }[] = [];
  for (const record of room.table.all()) {
    if (!volumesOf(record).some(({ volumeName }) => volumeName === name)) continue;
    const running = ["running", "starting"].includes(record.state.kind);
    users.push({ containerId: record.id, running });
  }
  return users;
}

/** Anonymous volumes of this container that no other one refers to. */
export function ownVolumes(room: Room, record: ContainerRecord): string[] {
  return volumesOf(record)
    .filter(({ anonymous }) => anonymous)
    .map(({ volumeName }) => volumeName)
    .filter((name) => usersOfVolume(room, name).every((user) => user.containerId === record.id));
}

function publish(
  room: Room,
  one: RecordedMount,
  action: "mount" | "unmount",
  attributes: Readonly<Record<string, string>>,
): void {
  room.options.events.publish({ type: "volume", action, id: one.volumeName, attributes });
}
