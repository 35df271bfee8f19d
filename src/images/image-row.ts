import type { Digest } from "../base/mod.ts";
import type { Descriptor, ImageConfig } from "../spec/mod.ts";

/** A row of the table `images`; the key is the image's id, the digest of its configuration. */
export interface ImageRow {
  /** Copied from the blob of the same digest, so that a start does not read every blob. */
  readonly config: ImageConfig;
  readonly manifest: Pick<Descriptor, "mediaType" | "digest" | "size">;
  /** Every blob that belongs to it: configuration, manifest, layers, and of an index all of it. */
  readonly blobs: readonly Digest[];
  /** When a name was last given, nanoseconds; absent for never. */
  readonly lastTagNs?: string;
  /** Removed by force while containers use it: without a name or id, its layers stay as long as they do. */
  readonly removed?: true;
}

/** A row of the table `references`; the key is the whole name, `docker.io/library/busybox:latest`. */
export interface ReferenceRow {
  readonly image: Digest;
  /** The manifest or the index that the name stands for. */
  readonly target: Digest;
}
