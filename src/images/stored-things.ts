import type { Digest } from "../base/mod.ts";
import { chainIdsOf, formatFamiliar } from "../oci/mod.ts";
import type { StoredThing } from "../spec/mod.ts";
import type { ImageUsers } from "./contract.ts";
import type { GarbageInput } from "./garbage.ts";

/** Everything in the store with the reasons why it stays: what a collection now would not remove. */
export async function* storedThings(
  input: GarbageInput & { readonly users: ImageUsers },
): AsyncGenerator<StoredThing, void, undefined> {
  const { table, blobs, layers, leases, users } = input;
  const why = new Map<Digest, string[]>();
  const because = (digest: Digest, reason: string): void => {
    why.set(digest, [...(why.get(digest) ?? []), reason]);
  };
  const images = [
    ...table.visible(),
    ...table.hidden().map((id) => [id, table.image(id)] as const),
  ];
  for (const [id, row] of images) {
    if (row === undefined) continue;
    const names = table.referencesOf(id).filter((one) => one.digest === undefined);
    const used = users.usersOf(id).map(({ containerId }) => containerId.slice(0, 12));
    const named = names.length > 0 ? names.map(formatFamiliar).join(", ") : `without a name ${id}`;
    const reason =
      row.removed === true ? `removed image, used by ${used.join(", ")}` : `image ${named}`;
    if (row.removed === true && used.length === 0) continue;
    for (const digest of row.blobs) because(digest, reason);
    for (const chainId of chainIdsOf(row.config.rootfs.diff_ids)) because(chainId, reason);
  }
  const reasons = (digest: Digest): readonly string[] => [
    ...(why.get(digest) ?? []),
    ...leases.reasons(digest),
  ];
  for await (const { digest, sizeBytes } of blobs.list()) {
    yield { Digest: digest, Kind: "blob", Size: sizeBytes, Why: reasons(digest) };
  }
  const needed = neededBelow(input);
  for (const { chainId, sizeBytes } of layers.all()) {
    const own = reasons(chainId);
    const below = own.length === 0 && needed.has(chainId) ? ["below a layer that stays"] : [];
    yield { Digest: chainId, Kind: "layer", Size: sizeBytes, Why: [...own, ...below] };
  }
}

/** Layers below those that something holds on to. */
function neededBelow({ layers, leases }: GarbageInput): ReadonlySet<Digest> {
  const needed = new Set<Digest>();
  for (const { chainId } of layers.all()) {
    if (!leases.has(chainId)) continue;
    for (let next: Digest | null = chainId; next !== null && !needed.has(next); ) {
      needed.add(next);
      next = layers.get(next)?.parent ?? null;
    }
  }
  return needed;
}
