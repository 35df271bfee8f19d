import type {
  VolumeBody,
  VolumePruneReport,
  VolumeSnapshot,
  VolumeWithUsage,
} from "../spec/mod.ts";
import type { Change } from "../storage/mod.ts";

/** One row of the table `volumes`. */
export interface Volume {
  readonly version: 1;
  readonly name: string;
  /** `local`, or the name of a volume plugin. */
  readonly driver: string;
  /** Nanoseconds since the epoch, decimal. */
  readonly createdAtNs: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the driver. Absent: none. */
  readonly options?: Readonly<Record<string, string>>;
  /** Made without a name: a prune takes it when nobody uses it. */
  readonly anonymous: boolean;
}

/** What somebody asks for; `driver` "" leaves the choice to what exists, else `local`. */
export interface VolumeRequest {
  /** "" for an anonymous one. */
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * A volume that a container asks for, kept from being removed until `adopt` or `abandon`; `change`
 * is undefined when it exists already.
 */
export interface PreparedVolume {
  readonly volume: Volume;
  readonly change: Change | undefined;
}

/** Rows to delete, to be committed by the caller; then call `done`. */
export interface VolumeRemoval {
  readonly changes: readonly Change[];
  done(): void;
}

/** Who refers to volumes; the containers. */
export interface VolumeUsers {
  /** Containers, running or not, that mount the volume. */
  usersOf(name: string): readonly { readonly containerId: string; readonly running: boolean }[];
  /** Runs `task` while the containers that run on the volume stand still. */
  whilePaused<T>(name: string, task: () => Promise<T>): Promise<T>;
}

/** What one kind of volume does. Errors are the user's to read. */
export interface VolumeDriver {
  readonly name: string;
  /** `local` or `global`. */
  readonly scope: string;
  /** Throws invalid_argument for options or a name that it does not take. Idempotent. */
  create(name: string, options: Readonly<Record<string, string>>): Promise<void>;
  /** Takes away what only the driver knows of; files of the data root are the service's. */
  remove(name: string): Promise<void>;
  /** Where the volume is, or will be once it is mounted; "" when only a mount can say. */
  pathOf(name: string): string;
  /** For one user (a container) more. Resolves to the directory to bind. */
  mount(volume: Volume, use: { readonly user: string; readonly first: boolean }): Promise<string>;
  /** For one user less. Idempotent. */
  unmount(volume: Volume, use: { readonly user: string; readonly last: boolean }): Promise<void>;
}

/** A volume as its plugin knows it. */
export interface PluginVolume {
  readonly name: string;
  /** "" when it is not mounted. */
  readonly mountpoint: string;
  /** RFC 3339, or "". */
  readonly createdAt: string;
  readonly status: Readonly<Record<string, unknown>> | undefined;
}

export interface PluginVolumeDriver extends VolumeDriver {
  /** Undefined when the plugin has no such volume. */
  look(name: string): Promise<PluginVolume | undefined>;
  list(): Promise<readonly PluginVolume[]>;
}

/** The plugins of this host. */
export interface PluginVolumeDrivers {
  /** Names of plugins that are there, whether they answer or not. */
  names(): Promise<readonly string[]>;
  /** Throws not_found, unavailable. */
  driver(name: string): Promise<PluginVolumeDriver>;
}

export type VolumeFilters = ReadonlyMap<string, readonly string[]>;

export interface VolumeService {
  get(name: string): Volume | undefined;
  all(): Iterable<Volume>;

  // --- for containers ------------------------------------------------------------------------

  /**
   * Makes the row of a volume, to be committed with its container; then call `adopt`, or `abandon`
   * when nothing came of it. Throws invalid_argument, conflict (another driver has the name).
   */
  prepare(request: VolumeRequest): Promise<PreparedVolume>;
  adopt(prepared: readonly PreparedVolume[]): void;
  abandon(prepared: readonly PreparedVolume[]): void;
  /** What an inspect shows as the place of a volume, whether it exists or not. */
  pathOf(name: string): string;
  /**
   * The directory to bind, made and mounted if this is its first user. One hold for each user,
   * however often it asks. Throws not_found, and what the mount says.
   */
  acquire(name: string, user: string): Promise<string>;
  /** Undoes `acquire`. Idempotent. The last user's unmounts. */
  release(name: string, user: string): Promise<void>;
  /** After a restart: `user` had acquired it from the former engine. Before `recover`. */
  hold(name: string, user: string): void;
  /**
   * Copies what is beneath `sourceDir` into the volume when it is empty or a former copy was cut
   * off. `sourceDir` must be safe to open: links in its last place are not followed. The caller has
   * acquired the volume.
   */
  copyUp(name: string, sourceDir: string): Promise<void>;
  /** Those of `names` that go (nobody is about to use them), and the work of deleting them. */
  planRemoval(names: readonly string[]): VolumeRemoval;
  /** Unmounts what nobody holds, ends removals and copies that a crash cut off. */
  recover(): Promise<void>;

  // --- for people ----------------------------------------------------------------------------

  /** Idempotent: an existing volume of this name is returned. Throws as `prepare` does. */
  create(request: VolumeRequest): Promise<VolumeBody>;
  /** Throws not_found (`get X: no such volume`). */
  inspect(name: string): Promise<VolumeBody>;
  list(filters: VolumeFilters): Promise<{ volumes: VolumeBody[]; warnings: string[] }>;
  /** Throws not_found unless `force`, conflict when a container refers to it. */
  remove(name: string, options: { readonly force: boolean }): Promise<void>;
  prune(filters: VolumeFilters, options: { readonly named: boolean }): Promise<VolumePruneReport>;
  /** Every volume with its size, which is reckoned by reading it. */
  usage(): Promise<VolumeWithUsage[]>;

  /**
   * Runs `task` while nobody uses the volume, which is mounted for it. Throws not_found, conflict
   * naming the running containers.
   */
  exclusively<T>(name: string, task: (place: VolumePlace) => Promise<T>): Promise<T>;
  readonly backups: VolumeBackups;
}

export interface VolumePlace {
  readonly volume: Volume;
  readonly path: string;
  /** The volume is a directory of the data root, which another one can take the place of. */
  readonly isDirectory: boolean;
  /** Makes an empty directory with the limits of the volume. */
  makeBeside(path: string): Promise<void>;
}

/** A stream that holds something until it is read to its end or `close` is called. */
export interface VolumeStream {
  readonly stream: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Archives of directories; the containers' files room has the threads for it. */
export interface VolumeArchives {
  /** A tar of all that is in `path`, with the owner and mode of `path` itself. */
  pack(path: string): Promise<VolumeStream>;
  /** Unpacks a tar (plain, gzip or zstd) that trusts nothing. Throws invalid_argument naming the entry. */
  unpack(path: string, body: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Copies of volumes, beside them on the data root and as streams. */
export interface VolumeBackups {
  /**
   * Copies what the volume holds now, sharing blocks where the file system can. With `pause`, the
   * containers that run on it stand still meanwhile. "" names it after the time. Durable and whole
   * when it resolves; a crash before leaves nothing. Throws not_found, conflict (the name is taken).
   */
  snapshot(
    volume: string,
    options: { readonly name: string; readonly pause: boolean },
  ): Promise<VolumeSnapshot>;
  /** Of one volume, or of all with "": the newest first. They outlive their volume. */
  list(volume: string): Promise<VolumeSnapshot[]>;
  removeSnapshot(volume: string, name: string): Promise<void>;
  /**
   * The volume holds again what the snapshot has; one that is gone is made anew. All or nothing for
   * volumes of the data root. Throws not_found, conflict while containers run on it.
   */
  restore(volume: string, name: string): Promise<void>;
  /** A tar of the volume as it is, or of a snapshot. Throws not_found. */
  export(volume: string, options: { readonly snapshot: string }): Promise<VolumeStream>;
  /**
   * Fills a volume from a tar; one that is not there is made. All or nothing for volumes of the data
   * root. Throws conflict when it holds something and `replace` is false, or containers run on it.
   */
  import(
    volume: string,
    body: AsyncIterable<Uint8Array>,
    options: { readonly replace: boolean },
  ): Promise<void>;
}
