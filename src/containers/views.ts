import type { ContainerInspect, ContainerSummary } from "../spec/mod.ts";
import { inspectView } from "./inspect-view.ts";
import type { FilterContext } from "./list-filter.ts";
import { listView, shownImageName } from "./list-view.ts";
import { networksOf } from "./networks.ts";
import type { ContainerRecord } from "./record.ts";
import { bundleDir, logPathOf, type Room, rootfsDir } from "./room.ts";

export interface ContainerSize {
  readonly rwBytes: number;
  readonly rootBytes: number;
}

/** Bytes written by the container, and with its image's layers. */
export async function sizeOf(room: Room, record: ContainerRecord): Promise<ContainerSize> {
  const { layers } = room.options;
  const rwBytes = await layers.writableSizeBytes(record.id);
  let rootBytes = rwBytes;
  let chainId = record.chainId;
  while (chainId !== null) {
    const layer = layers.get(chainId);
    if (layer === undefined) break;
    rootBytes += layer.sizeBytes;
    chainId = layer.parent;
  }
  return { rwBytes, rootBytes };
}

export async function inspectOf(
  room: Room,
  record: ContainerRecord,
  options: { readonly size: boolean },
): Promise<ContainerInspect> {
  const { layers, volumes } = room.options;
  return inspectView(record, {
    bundleDir: bundleDir(room, record.id),
    logPath: logPathOf(room, record),
    driverName: layers.driverName,
    driverData: layers.describe(record.id, rootfsDir(room, record.id)),
    execIds: room.execs.idsOf(record.id),
    health: room.health.stateOf(record.id),
    networks: networksOf(room, record),
    published: room.options.network.publishedPorts(record.id),
    pathOfVolume: (name) => volumes.pathOf(name),
    size: options.size ? await sizeOf(room, record) : undefined,
  });
}

export function summaryOf(
  room: Room,
  record: ContainerRecord,
  nowNs: bigint,
  size: ContainerSize | undefined,
): ContainerSummary {
  return listView(record, {
    nowNs,
    health: room.health.stateOf(record.id),
    imageName: shownImageName(record, (name) => room.options.images.find(name)?.id),
    networks: networksOf(room, record),
    published: room.options.network.publishedPorts(record.id),
    pathOfVolume: (name) => room.options.volumes.pathOf(name),
    size,
  });
}

export function listFilterContext(room: Room): FilterContext {
  return {
    find: (ref) => room.table.find(ref),
    publishedBy: (record) => room.options.network.publishedPorts(record.id),
    healthOf: (record) => room.health.stateOf(record.id)?.Status ?? "none",
    imageId: (name) => room.options.images.find(name)?.id,
    networksOf: (record) =>
      Object.entries(networksOf(room, record)).map(([name, { NetworkID: id }]) => ({ id, name })),
  };
}
