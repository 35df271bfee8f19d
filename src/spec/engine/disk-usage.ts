import type { ContainerSummary } from "./container.ts";
import type { ImageSummary } from "./image.ts";
import type { VolumeBody, VolumeUsage } from "./volume.ts";

/** A volume as `system/df` shows it. */
export type VolumeWithUsage = VolumeBody & { UsageData: VolumeUsage };

/** What one kind of object takes on disk; bytes. Items only when details were asked for. */
export interface UsageOf<T> {
  ActiveCount: number;
  TotalCount: number;
  Reclaimable: number;
  TotalSize: number;
  Items?: T[];
}

/** `GET /system/df` since API 1.52: kinds that were not asked for are absent. */
export interface DiskUsage {
  ImageUsage?: UsageOf<ImageSummary>;
  ContainerUsage?: UsageOf<ContainerSummary>;
  VolumeUsage?: UsageOf<VolumeWithUsage>;
  BuildCacheUsage?: UsageOf<never>;
}

/** Before 1.52, in the shape of its version: lists of kinds that were not asked for are null. */
export interface LegacyDiskUsage {
  LayersSize: number;
  Images: object[] | null;
  Containers: object[] | null;
  Volumes: VolumeWithUsage[] | null;
  BuildCache: never[] | null;
}
