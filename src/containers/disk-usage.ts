import type { Room } from "./room.ts";

/** Bytes of every layer once, whichever images share it. */
export function layersSizeBytes(room: Room): number {
  let total = 0;
  for (const layer of room.options.layers.all()) total += layer.sizeBytes;
  return total;
}
