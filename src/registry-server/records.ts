import type { Digest } from "../base/mod.ts";
import type { ContentDigest } from "./names.ts";

/** A blob that a repository has. Row of the table `layers`, key `name@digest`. */
export interface BlobLink {
  /** Where its bytes are in the blob store. */
  readonly content: Digest;
  readonly sizeBytes: number;
  readonly linkedMs: number;
}

/** A manifest or an index of a repository. Row of the table `images`, key `name@digest`. */
export interface ManifestRecord {
  readonly content: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly artifactType: string;
  /** "" where there is none. */
  readonly subject: ContentDigest | "";
  readonly blobs: readonly ContentDigest[];
  readonly manifests: readonly ContentDigest[];
  readonly pushedMs: number;
}

/** A tag. Row of the table `references`, key `name:tag`. */
export interface TagRecord {
  readonly digest: ContentDigest;
  readonly pushedMs: number;
}
