import { type Digest, digestOf } from "../base/mod.ts";

/** The identity of a layer together with all below it. @see OCI image-spec config.md#layer-chainid */
export function chainIdOf(parent: Digest | null, diffId: Digest): Digest {
  return parent === null ? diffId : digestOf(`${parent} ${diffId}`);
}

/** The chain ids of `diffIds`, from the lowest layer up. */
export function chainIdsOf(diffIds: readonly Digest[]): Digest[] {
  let parent: Digest | null = null;
  return diffIds.map((diffId) => {
    parent = chainIdOf(parent, diffId);
    return parent;
  });
}
