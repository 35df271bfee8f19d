import type { Digest } from "../../base/mod.ts";
import type { Descriptor, Platform } from "../oci/mod.ts";

/** What a check of one blob found. `/naru/v1/images/verify` */
export interface BlobCheck {
  readonly Digest: Digest;
  readonly State: "good" | "missing" | "damaged" | "repaired";
  /** Bytes on disk; 0 when it is missing. */
  readonly Size: number;
  /** Names (or ids) of the images that need it. */
  readonly Images: readonly string[];
  /** Why it could not be repaired. */
  readonly Problem?: string;
}

/** Something in the store, and why it stays. `/naru/v1/images/garbage` */
export interface StoredThing {
  /** Of a blob, or the chain id of a layer. */
  readonly Digest: Digest;
  readonly Kind: "blob" | "layer";
  readonly Size: number;
  /** Empty: it is garbage. */
  readonly Why: readonly string[];
}

/** One manifest of an image's index. @see reference engine-api ImageManifestSummary */
export interface ImageManifestSummary {
  ID: string;
  Descriptor: Descriptor;
  Available: boolean;
  Size: { Content: number; Total: number };
  Kind: "image" | "attestation";
  ImageData?: { Platform: Platform; Containers: string[]; Size: { Unpacked: number } };
  AttestationData?: { For: string };
}

/** @see reference engine-api AttestationStatement */
export interface AttestationStatement {
  Descriptor: Descriptor;
  PredicateType: string;
  Statement?: unknown;
}
