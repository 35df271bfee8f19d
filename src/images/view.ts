import {
  type Digest,
  formatTimestamp,
  parseTimestamp,
  type Timestamp,
  ZERO_TIME,
} from "../base/mod.ts";
import { chainIdsOf, familiarName, formatFamiliar, type Reference } from "../oci/mod.ts";
import {
  type ContainerConfig,
  decodeContainerConfig,
  type ImageConfig,
  type ImageInspect,
  type ImageSummary,
} from "../spec/mod.ts";
import type { LayerStore } from "../storage/mod.ts";
import type { ImageRow } from "./image-row.ts";

/** The configuration in full shape: zero values where the image says nothing. */
export function containerConfigOf(config: ImageConfig): ContainerConfig {
  return decodeContainerConfig(config.config ?? {}, "config");
}

/** The topmost chain id; null without layers. */
export function chainIdOfImage(config: ImageConfig): Digest | null {
  return chainIdsOf(config.rootfs.diff_ids).at(-1) ?? null;
}

/** Bytes of files in all layers. */
export function imageSizeBytes(config: ImageConfig, layers: LayerStore): number {
  let total = 0;
  for (const chainId of chainIdsOf(config.rootfs.diff_ids)) {
    total += layers.get(chainId)?.sizeBytes ?? 0;
  }
  return total;
}

/** When the image was made, in nanoseconds; undefined when it does not say (or not understandably). */
export function createdNsOf(config: ImageConfig): bigint | undefined {
  try {
    return config.created ? parseTimestamp(config.created) : undefined;
  } catch {
    return undefined; // foreign builders write anything
  }
}

export function createdSeconds(created: bigint | undefined): number {
  // Go's zero time in Unix seconds is what clients see for "unknown".
  return created === undefined ? GO_ZERO_SECONDS : Number(created / 1_000_000_000n);
}

const GO_ZERO_SECONDS = -62_135_596_800;

/** Names with a tag, and names with a digest. */
export function splitReferences(references: readonly Reference[]): {
  tags: string[];
  digests: string[];
} {
  const tags = references.filter((reference) => reference.digest === undefined);
  const digests = references.filter((reference) => reference.digest !== undefined);
  return { tags: tags.map(formatFamiliar), digests: digests.map(formatFamiliar) };
}

export interface ViewInput {
  readonly id: Digest;
  readonly row: ImageRow;
  readonly references: readonly Reference[];
  readonly layers: LayerStore;
}

export function summaryOf({ id, row, references, layers }: ViewInput): ImageSummary {
  const { tags, digests } = splitReferences(references);
  return {
    Id: id,
    ParentId: "",
    RepoTags: tags,
    RepoDigests: digests,
    Created: createdSeconds(createdNsOf(row.config)),
    Size: imageSizeBytes(row.config, layers),
    SharedSize: -1,
    Labels: containerConfigOf(row.config).Labels,
    Containers: -1,
  };
}

export function inspectOf({ id, row, references, layers }: ViewInput): ImageInspect {
  const { config } = row;
  const { tags, digests } = splitReferences(references);
  const createdNs = createdNsOf(config);
  const created: Timestamp = createdNs === undefined ? ZERO_TIME : formatTimestamp(createdNs);
  const lastTag = row.lastTagNs === undefined ? ZERO_TIME : formatTimestamp(BigInt(row.lastTagNs));
  const { mediaType, digest, size } = row.manifest;
  return {
    Id: id,
    RepoTags: tags,
    RepoDigests: digests,
    Parent: "",
    Comment: config.comment ?? config.history?.at(-1)?.comment ?? "",
    Created: created,
    DockerVersion: config.docker_version ?? "",
    Author: config.author ?? "",
    Config: containerConfigOf(config),
    Architecture: config.architecture,
    ...(config.variant ? { Variant: config.variant } : {}),
    Os: config.os,
    ...(config["os.version"] ? { OsVersion: config["os.version"] } : {}),
    Size: imageSizeBytes(config, layers),
    GraphDriver: { Name: layers.driverName, Data: {} },
    RootFS: { Type: "layers", Layers: [...config.rootfs.diff_ids] },
    Metadata: { LastTagTime: lastTag },
    Descriptor: { mediaType, digest, size },
  };
}

/** What the filter `reference` is matched with: `busybox:1` and `busybox`. */
export function patternTexts(reference: Reference): string[] {
  return [formatFamiliar(reference), familiarName(reference)];
}
