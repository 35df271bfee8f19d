import { type Clock, type Digest, NaruError } from "../base/mod.ts";
import {
  chainIdsOf,
  encodeJson,
  formatReference,
  OCI_CONFIG,
  OCI_LAYER,
  OCI_LAYER_GZIP,
  OCI_LAYER_ZSTD,
  OCI_MANIFEST,
  type Reference,
} from "../oci/mod.ts";
import type { Descriptor, ImageManifest } from "../spec/mod.ts";
import { type BlobInfo, type BlobStore, compressionOf, type LayerStore } from "../storage/mod.ts";
import type { ImagePlan } from "./archive-plan.ts";
import { crashPoint } from "./crash-point.ts";
import type { ImageRow, ReferenceRow } from "./image-row.ts";
import type { ImageTable } from "./image-table.ts";
import type { LeaseGroup } from "./leases.ts";
import type { Emit } from "./progress.ts";
import { shortImageId } from "./remove.ts";

export interface InstallInput {
  readonly table: ImageTable;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly clock: Clock;
  readonly leases: LeaseGroup;
  readonly signal: AbortSignal;
  /** Undefined when quiet. */
  readonly emit: Emit | undefined;
}

/** References that stood for another image until now. */
export interface Replaced {
  readonly reference: Reference;
  readonly image: Digest;
}

/** Unpacks the layers of a plan and records the image with its names. Durable when it resolves. */
export async function installImage(plan: ImagePlan, input: InstallInput): Promise<Replaced[]> {
  const { table, leases } = input;
  for (const digest of plan.blobs) leases.add(digest);
  crashPoint("install.before-layers");
  await unpackLayers(plan, input);
  crashPoint("install.after-layers");
  const manifest = plan.manifest ?? (await writeManifest(plan, input));
  leases.add(manifest.digest);
  const known = table.image(plan.id);
  const blobs = new Set([...(known?.blobs ?? []), ...plan.blobs, manifest.digest]);
  const tagNs = plan.references.length > 0 ? input.clock.nowNs().toString() : known?.lastTagNs;
  const row: ImageRow = {
    config: plan.config,
    manifest,
    blobs: [...blobs],
    ...(tagNs === undefined ? {} : { lastTagNs: tagNs }),
  };
  const references = new Map<string, ReferenceRow>();
  const replaced: Replaced[] = [];
  for (const reference of plan.references) {
    const key = formatReference(reference);
    const former = table.reference(key);
    if (former !== undefined && former.image !== plan.id) {
      replaced.push({ reference, image: former.image });
    }
    references.set(key, { image: plan.id, target: plan.index ?? manifest.digest });
  }
  if (input.signal.aborted) throw new NaruError("cancelled", "loading was cancelled");
  crashPoint("install.before-commit");
  await table.write({ images: new Map([[plan.id, row]]), references });
  crashPoint("install.after-commit");
  return replaced;
}

async function unpackLayers(plan: ImagePlan, input: InstallInput): Promise<void> {
  const { layers, blobs, leases, signal, emit } = input;
  const { diff_ids: diffIds } = plan.config.rootfs;
  const chainIds = chainIdsOf(diffIds);
  for (const chainId of chainIds) leases.add(chainId);
  let parent: Digest | null = null;
  for (const [index, file] of plan.layers.entries()) {
    const chainId = chainIds[index] as Digest;
    const expectDiffId = diffIds[index] as Digest;
    const id = shortImageId(expectDiffId);
    const total = file.sizeBytes;
    const isNew = layers.get(chainId) === undefined;
    const onProgress = (current: number): void =>
      emit?.({ status: "Loading layer", progressDetail: { current, total }, id });
    await layers.apply(parent, blobs.read(file.digest), {
      expectDiffId,
      signal,
      ...(isNew && emit !== undefined ? { onProgress } : {}),
    });
    parent = chainId;
  }
}

/** The manifest of an image that came without one: made from its parts alone, so always the same. */
async function writeManifest(
  plan: ImagePlan,
  { blobs, leases }: InstallInput,
): Promise<Pick<Descriptor, "mediaType" | "digest" | "size">> {
  const layers: Descriptor[] = [];
  for (const file of plan.layers) {
    layers.push({
      mediaType: await layerType(blobs, file),
      digest: file.digest,
      size: file.sizeBytes,
    });
  }
  const { digest, sizeBytes } = plan.configFile;
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest, size: sizeBytes },
    layers,
  };
  const info = await blobs.ingest(single(encodeJson(manifest)), {
    beforeVisible: (seen) => leases.add(seen),
  });
  return { mediaType: OCI_MANIFEST, digest: info.digest, size: info.sizeBytes };
}

const LAYER_TYPES: Readonly<Record<ReturnType<typeof compressionOf>, string>> = {
  none: OCI_LAYER,
  gzip: OCI_LAYER_GZIP,
  zstd: OCI_LAYER_ZSTD,
};

async function layerType(blobs: BlobStore, file: BlobInfo): Promise<string> {
  for await (const head of blobs.read(file.digest, { start: 0, end: 4 })) {
    return LAYER_TYPES[compressionOf(head)];
  }
  return OCI_LAYER;
}

/** One chunk as a stream. */
export async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
