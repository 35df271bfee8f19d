import { formatTimestamp } from "../base/mod.ts";
import type { VolumeWithUsage } from "../spec/mod.ts";
import type { Room } from "./room.ts";

/** Bytes of every layer once, whichever images share it. */
export function layersSizeBytes(room: Room): number {
  let total = 0;
  for (const layer of room.options.layers.all()) total += layer.sizeBytes;
  return total;
}

/** Every volume with what it holds and how many containers, running or not, refer to it. */
export async function volumesWithUsage(room: Room): Promise<VolumeWithUsage[]> {
  const { volumes } = room.options;
  const users = new Map<string, number>();
  for (const { mounts } of room.table.all()) {
    const names = new Set(mounts.map(({ volumeName }) => volumeName));
    for (const name of names) users.set(name, (users.get(name) ?? 0) + 1);
  }
  const found: VolumeWithUsage[] = [];
  for (const { name, driver, createdAtNs, labels } of [...volumes.all()]) {
    found.push({
      Name: name,
      Driver: driver,
      Mountpoint: volumes.dataDir(name),
      CreatedAt: formatTimestamp(BigInt(createdAtNs)),
      Labels: Object.keys(labels).length === 0 ? null : { ...labels },
      Scope: "local",
      Options: null,
      UsageData: { Size: await volumes.sizeBytes(name), RefCount: users.get(name) ?? 0 },
    });
  }
  return found;
}
