import { type Digest, NaruError } from "../../base/mod.ts";
import {
  decodeIndex,
  decodeManifest,
  INDEX_DEPTH_MAX,
  isIndexType,
  MANIFEST_BYTES_MAX,
} from "../../oci/mod.ts";
import type { Descriptor } from "../../spec/mod.ts";
import type { BlobStore } from "../../storage/mod.ts";

/** A manifest or index that is pushed, with its bytes. */
export interface PushManifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export interface PushPlan {
  /** In the order in which a registry must get them: what is referred to first. */
  readonly manifests: readonly PushManifest[];
  /** Configurations and layers, each once. */
  readonly blobs: readonly Descriptor[];
}

/** What pushing `target` means, or undefined when something of it is not here. */
export async function planPush(
  target: Pick<Descriptor, "mediaType" | "digest">,
  blobs: BlobStore,
): Promise<PushPlan | undefined> {
  const manifests: PushManifest[] = [];
  const found = new Map<Digest, Descriptor>();
  const complete = await collect(target, { store: blobs, manifests, found, depth: 0 });
  return complete ? { manifests, blobs: [...found.values()] } : undefined;
}

interface Collecting {
  readonly store: BlobStore;
  readonly manifests: PushManifest[];
  readonly found: Map<Digest, Descriptor>;
  readonly depth: number;
}

/** False when something is missing. */
async function collect(
  target: Pick<Descriptor, "mediaType" | "digest">,
  into: Collecting,
): Promise<boolean> {
  const { store, manifests, found, depth } = into;
  const { mediaType, digest } = target;
  if (manifests.some((known) => known.digest === digest)) return true;
  if ((await store.stat(digest)) === undefined) return false;
  if (depth > INDEX_DEPTH_MAX) {
    throw new NaruError("invalid_argument", `indexes are nested deeper than ${INDEX_DEPTH_MAX}`);
  }
  const bytes = await store.readAll(digest, MANIFEST_BYTES_MAX);
  if (isIndexType(mediaType)) {
    for (const child of decodeIndex(bytes, digest).manifests) {
      if (!(await collect(child, { ...into, depth: depth + 1 }))) return false;
    }
  } else {
    const { config, layers } = decodeManifest(bytes, digest);
    for (const blob of [config, ...layers]) {
      if ((await store.stat(blob.digest)) === undefined) return false;
      found.set(blob.digest, blob);
    }
  }
  manifests.push({ mediaType, digest, bytes });
  return true;
}
