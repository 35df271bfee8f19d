import type { Digest } from "../base/mod.ts";
import type { BlobStore, LayerStore } from "../storage/mod.ts";
import type { ImageTable } from "./image-table.ts";
import type { Leases } from "./leases.ts";

export interface GarbageInput {
  readonly table: ImageTable;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly leases: Leases;
}

export interface Freed {
  freedBytes: number;
  blobs: number;
  layers: number;
}

/**
 * Removes layers and blobs that no image and no lease refers to. A load that runs at the same time
 * holds leases from the moment before its blobs can be seen, and the last look happens in the same
 * turn as (for blobs: inside the queue of) the removal.
 */
export async function removeUnreachable(input: GarbageInput): Promise<Freed> {
  const freed: Freed = { freedBytes: 0, blobs: 0, layers: 0 };
  const chainIds = [...input.layers.all()].map(({ chainId }) => chainId);
  for (const chainId of await removeLayers(input, chainIds)) {
    freed.layers += 1;
    freed.freedBytes += chainId.sizeBytes;
  }
  for await (const { digest, sizeBytes } of input.blobs.list()) {
    if (!(await removeBlob(input, digest))) continue;
    freed.blobs += 1;
    freed.freedBytes += sizeBytes;
  }
  return freed;
}

/** Of `chainIds` those that nothing needs are removed, upper ones first; says which. */
export async function removeLayers(
  { table, layers, leases }: GarbageInput,
  chainIds: readonly Digest[],
): Promise<{ chainId: Digest; sizeBytes: number }[]> {
  const removed: { chainId: Digest; sizeBytes: number }[] = [];
  const wanted = new Set<Digest>();
  for (const layer of layers.all()) {
    if (leases.has(layer.chainId)) markChain(layers, layer.chainId, wanted);
  }
  const { chains } = table.reachable();
  for (const chainId of chains) wanted.add(chainId);
  const going: Promise<void>[] = [];
  for (const chainId of [...chainIds].reverse()) {
    const layer = layers.get(chainId);
    if (layer === undefined || wanted.has(chainId)) continue;
    removed.push({ chainId, sizeBytes: layer.sizeBytes });
    going.push(layers.remove(chainId)); // forgets it at once, before anybody else has a turn
  }
  await Promise.all(going);
  return removed;
}

function markChain(layers: LayerStore, top: Digest, wanted: Set<Digest>): void {
  for (let next: Digest | null = top; next !== null && !wanted.has(next); ) {
    wanted.add(next);
    next = layers.get(next)?.parent ?? null;
  }
}

/** False when something needs the blob. */
export async function removeBlob(input: GarbageInput, digest: Digest): Promise<boolean> {
  const needed = (): boolean =>
    input.leases.has(digest) || input.table.reachable().blobs.has(digest);
  if (needed()) return false;
  return input.blobs.remove(digest, { unless: needed });
}
