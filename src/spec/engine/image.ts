import type { Timestamp } from "../../base/mod.ts";
import type { ContainerConfig } from "./container-config.ts";
import type { ImageManifestSummary } from "./image-store.ts";

/** An element of `GET /images/json`, newest shape. */
export interface ImageSummary {
  Id: string;
  ParentId: string;
  RepoTags: string[];
  RepoDigests: string[];
  /** Unix seconds. */
  Created: number;
  Size: number;
  /** -1 unless computed. */
  SharedSize: number;
  Labels: Record<string, string> | null;
  /** -1 unless computed. */
  Containers: number;
  /** When asked for. */
  Manifests?: ImageManifestSummary[];
}

/** `GET /images/{name}/json`, newest shape. */
export interface ImageInspect {
  Id: string;
  RepoTags: string[];
  RepoDigests: string[];
  Parent: string;
  Comment: string;
  Created: Timestamp;
  DockerVersion: string;
  Author: string;
  Config: ContainerConfig;
  Architecture: string;
  Variant?: string;
  Os: string;
  OsVersion?: string;
  Size: number;
  GraphDriver: { Name: string; Data: Record<string, string> };
  RootFS: { Type: "layers"; Layers: string[] };
  Metadata: { LastTagTime: Timestamp };
  Descriptor?: { mediaType: string; digest: string; size: number };
  /** When asked for. */
  Manifests?: ImageManifestSummary[];
}

/** An element of `GET /images/{name}/history`. */
export interface HistoryItem {
  Id: string;
  Created: number;
  CreatedBy: string;
  Tags: string[] | null;
  Size: number;
  Comment: string;
}

/** An element of the answer to `DELETE /images/{name}`. */
export type ImageDeleteItem = { Untagged: string } | { Deleted: string };

/** A line of a progress stream (pull, load, import). */
export interface ProgressMessage {
  status?: string;
  stream?: string;
  id?: string;
  progress?: string;
  progressDetail?: { current?: number; total?: number };
  aux?: unknown;
  error?: string;
  errorDetail?: { code?: number; message: string };
}
