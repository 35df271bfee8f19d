import type { Change } from "../storage/mod.ts";

/** One row of the table `volumes`. */
export interface Volume {
  readonly version: 1;
  readonly name: string;
  readonly driver: "local";
  /** Nanoseconds since the epoch, decimal. */
  readonly createdAtNs: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Made for one container without a name. */
  readonly anonymous: boolean;
}

/** A volume that a container asks for; `change` is undefined when it exists already. */
export interface PreparedVolume {
  readonly volume: Volume;
  readonly change: Change | undefined;
}

export interface VolumeStore {
  get(name: string): Volume | undefined;
  all(): Iterable<Volume>;
  /** Makes the row of a volume, to be committed with its container; then call `adopt`. Throws invalid_argument. */
  prepare(name: string, labels?: Readonly<Record<string, string>>): PreparedVolume;
  prepareAnonymous(labels?: Readonly<Record<string, string>>): PreparedVolume;
  adopt(prepared: readonly PreparedVolume[]): void;
  /** The directory that is mounted, whether it exists or not. */
  dataDir(name: string): string;
  /** Makes the directory. Idempotent. */
  materialise(name: string): Promise<string>;
  /**
   * Copies what is beneath `sourceDir` into the volume when it is empty or a former copy was cut
   * off. `sourceDir` must be safe to open: links in its last place are not followed.
   */
  copyUp(name: string, sourceDir: string): Promise<void>;
  /** Bytes that the volume holds; reads its whole tree. */
  sizeBytes(name: string): Promise<number>;
  /** Rows to delete, to be committed by the caller; then call `forget`. */
  removalChanges(names: readonly string[]): readonly Change[];
  /** In memory only, after the commit. */
  forget(names: readonly string[]): void;
  /** Deletes the directory of a volume without a row. Idempotent. */
  removeData(name: string): Promise<void>;
  /** Deletes directories that have no row (a crash between row and files). */
  sweep(): Promise<void>;
}
