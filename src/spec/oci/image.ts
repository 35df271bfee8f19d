import type { Digest } from "../../base/mod.ts";

/** @see OCI image-spec descriptor.md */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  size: number;
  urls?: string[];
  annotations?: Record<string, string>;
  platform?: Platform;
  artifactType?: string;
  data?: string;
}

export interface Platform {
  architecture: string;
  os: string;
  "os.version"?: string;
  "os.features"?: string[];
  variant?: string;
}

/** @see OCI image-spec manifest.md; Docker's schema 2 has the same shape. */
export interface ImageManifest {
  schemaVersion: 2;
  mediaType?: string;
  artifactType?: string;
  config: Descriptor;
  layers: Descriptor[];
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

/** @see OCI image-spec image-index.md; Docker's manifest list has the same shape. */
export interface ImageIndex {
  schemaVersion: 2;
  mediaType?: string;
  artifactType?: string;
  manifests: Descriptor[];
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

/**
 * The image's configuration. The store keeps the bytes; this is a view of them, and fields that
 * are not named here survive because bytes are never written again.
 * @see OCI image-spec config.md
 */
export interface ImageConfig {
  created?: string;
  author?: string;
  architecture: string;
  os: string;
  "os.version"?: string;
  variant?: string;
  docker_version?: string;
  comment?: string;
  /** Docker's ContainerConfig with any field missing. */
  config?: Record<string, unknown>;
  rootfs: { type: "layers"; diff_ids: Digest[] };
  history?: ImageHistory[];
}

export interface ImageHistory {
  created?: string;
  author?: string;
  created_by?: string;
  comment?: string;
  empty_layer?: boolean;
}
