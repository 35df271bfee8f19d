/** @see reference engine-api Volume */
export interface VolumeBody {
  Name: string;
  Driver: string;
  Mountpoint: string;
  /** RFC 3339, whole seconds. */
  CreatedAt?: string;
  /** What a plugin tells of the volume. */
  Status?: Record<string, unknown>;
  Labels: Record<string, string> | null;
  /** `local` or `global`. */
  Scope: string;
  Options: Record<string, string> | null;
  /** Only from `system/df`. -1: not known. */
  UsageData?: VolumeUsage;
}

export interface VolumeUsage {
  Size: number;
  RefCount: number;
}

/** @see reference engine-api VolumeCreateOptions */
export interface VolumeCreateBody {
  Name: string;
  Driver: string;
  DriverOpts: Record<string, string> | null;
  Labels: Record<string, string> | null;
  /** Cluster volumes are a thing of swarm mode: present means refused. */
  ClusterVolumeSpec?: object | null;
}

export interface VolumeListBody {
  Volumes: VolumeBody[];
  Warnings: string[] | null;
}

/** A copy of what a volume held at one moment. `/naru/v1/volumes/snapshots` */
export interface VolumeSnapshot {
  Volume: string;
  Name: string;
  /** RFC 3339. */
  CreatedAt: string;
  /** Bytes of its files; blocks that are shared with the volume count in full. */
  Size: number;
}

export interface VolumePruneReport {
  VolumesDeleted: string[] | null;
  SpaceReclaimed: number;
}
