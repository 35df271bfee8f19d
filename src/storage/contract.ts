import type { Digest } from "../base/mod.ts";

/**
 * What the rest of naru may ask of storage. Story of an image and a container: blobs arrive through
 * `BlobStore.create` (hashed while streaming, fsynced, renamed), layers are unpacked once by
 * `LayerStore.apply` and found again by chain id, a container gets a writable layer over a chain by
 * `createWritable`, `mount` makes it a root, `removeWritable` gives the space back later. Facts that
 * must survive are rows in `Metadata`, and work that may be done later is a row in `WorkQueue`.
 */

/** A stream of bytes. Consumers that stop early call `return()`, which frees the source. */
export type ByteStream = AsyncIterable<Uint8Array>;

// --- blobs -----------------------------------------------------------------------------------

/** Content-addressed files under `blobs/sha256/`, an OCI image layout. Digests are kept to the byte. */
export interface BlobStore {
  /** Writes a new blob. Nothing is visible before `commit`; a crash leaves only a swept temporary. */
  create(options?: BlobCreateOptions): Promise<BlobWriter>;
  /** Reads all of `source` into a blob. Throws as BlobWriter does; `signal` aborts. */
  ingest(source: ByteStream, options?: BlobCreateOptions): Promise<BlobInfo>;
  /**
   * Goes on with a blob that a former try, or a former engine, has in part. One writer at a time for
   * a digest: whoever calls sees to that.
   */
  resume(digest: Digest, options: BlobResumeOptions): Promise<ResumableWriter>;
  /** Forgets what is there in part. Idempotent; not while anybody writes it. */
  dropPartial(digest: Digest): Promise<void>;
  /**
   * Makes the file at `path`, on the same file system, the blob `digest`; the caller has hashed its
   * bytes. Durable once resolved; after a crash in between the file is in one of the two places.
   */
  adopt(
    path: string,
    digest: Digest,
    options?: Pick<BlobCreateOptions, "beforeVisible">,
  ): Promise<void>;
  stat(digest: Digest): Promise<BlobInfo | undefined>;
  /** Throws not_found. `start` and `end` (exclusive) in bytes. */
  read(digest: Digest, range?: { start?: number; end?: number }): ByteStream;
  /** The whole blob, verified against its digest. Throws too_large above `bytesMax`, damaged, not_found. */
  readAll(digest: Digest, bytesMax: number): Promise<Uint8Array>;
  /** Idempotent. False when `unless` said, at the last moment, that the blob is wanted after all. */
  remove(digest: Digest, options?: { readonly unless?: () => boolean }): Promise<boolean>;
  list(): AsyncIterable<BlobInfo>;
}

export interface BlobInfo {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface BlobCreateOptions {
  readonly expectDigest?: Digest;
  readonly expectSizeBytes?: number;
  readonly sizeBytesMax?: number;
  readonly signal?: AbortSignal;
  /** Called with the digest before the blob can be seen: the moment to take a lease on it. */
  readonly beforeVisible?: (digest: Digest) => void;
}

export interface BlobWriter {
  /** Resolves when the bytes are accepted; back-pressure. Throws too_large, exhausted (disk full). */
  write(chunk: Uint8Array): Promise<void>;
  /** Durable once resolved. Throws invalid_argument on a digest or size that is not the expected one. */
  commit(): Promise<BlobInfo>;
  /** Forgets everything. Idempotent, safe after commit. */
  abort(): Promise<void>;
}

export interface BlobResumeOptions extends Pick<BlobCreateOptions, "beforeVisible" | "signal"> {
  readonly sizeBytes: number;
}

/** A writer whose bytes stay when it is left in the middle. */
export interface ResumableWriter extends BlobWriter {
  /** Bytes that are there already: what is written goes behind them. */
  readonly startBytes: number;
  /**
   * All bytes from the first on, as they are written; ends with the last one. Unverified until
   * `commit` has resolved. Throws cancelled when the writer is left or aborted.
   */
  follow(): ByteStream;
  /** Leaves what is there for a later try. Idempotent, safe after commit. */
  keep(): Promise<void>;
}

// --- layers ----------------------------------------------------------------------------------

/** An unpacked, immutable layer in its place in a chain. @see OCI image-spec config.md#layer-chainid */
export interface Layer {
  readonly chainId: Digest;
  readonly diffId: Digest;
  readonly parent: Digest | null;
  /** Bytes of regular files in this layer alone. */
  readonly sizeBytes: number;
}

export interface LayerStore {
  get(chainId: Digest): Layer | undefined;
  /**
   * Unpacks a layer tar (plain, gzip or zstd, told apart by its first bytes) on top of `parent`.
   * The stream may be hostile: nothing is written outside the layer, limits bound count, name and size.
   * Nothing is visible before the end; the same chain applied twice at once is unpacked once.
   * Throws invalid_argument naming the entry; exhausted; cancelled.
   */
  apply(parent: Digest | null, tar: ByteStream, options?: LayerApplyOptions): Promise<Layer>;
  /** Forgets a layer at once and frees its files later through the work queue. Idempotent. */
  remove(chainId: Digest): Promise<void>;
  all(): Iterable<Layer>;

  /**
   * Makes the writable layer `id` over `parent` (null: an empty root), which holds at most
   * `sizeBytes` (0: no limit). Idempotent. Throws SyscallError for a limit that cannot be.
   */
  createWritable(
    id: string,
    parent: Digest | null,
    options?: { readonly sizeBytes?: number },
  ): Promise<void>;
  /** Has the file system project quotas, by which a writable layer can be limited? */
  canLimitWritables(): boolean;
  /** Mounts `id` at `target`, which is made if missing. Mounted already: fine. */
  mount(id: string, target: string): Promise<void>;
  /** Undoes `mount`. Idempotent; the mount point is removed. */
  unmount(target: string): Promise<void>;
  /** Forgets `id` at once (a rename); the files are freed later through the work queue. Idempotent. */
  removeWritable(id: string): Promise<void>;
  /** The directory that holds what the container wrote (overlay's upper). */
  writableDir(id: string): string;
  /** What `mount` would put together, the top lower one first. Throws not_found. */
  overlayDirs(id: string): OverlayDirs;
  /** Bytes that the container wrote. */
  writableSizeBytes(id: string): Promise<number>;
  writables(): Promise<string[]>;
  /** The directories of a chain, the top one first, to be mounted read-only. Throws not_found. */
  lowerDirs(chainId: Digest): readonly string[];
  /** What an inspect shows as GraphDriver.Data: LowerDir, UpperDir, WorkDir, MergedDir. */
  describe(id: string, target: string): Record<string, string>;
  /** `overlay2` as clients know it. */
  readonly driverName: string;
}

/** Directories of the host. */
export interface OverlayDirs {
  readonly lower: readonly string[];
  readonly upper: string;
  readonly work: string;
}

export interface LayerApplyOptions {
  readonly expectDiffId?: Digest;
  /** Bytes of the (compressed) source consumed so far. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

// --- metadata --------------------------------------------------------------------------------

export type TableName =
  | "settings" // engine id and other single facts
  | "containers"
  | "execs"
  | "images" // by image id (the config's digest)
  | "references" // by normalised reference
  | "leases" // by what needs them: digests that an interrupted pull goes on with
  | "layers" // by chain id
  | "addresses" // by network/address
  | "networks"
  | "ports" // by container id
  | "volumes"
  | "events" // by decimal sequence number, padded
  | "work";

/** One row set or removed. Values are JSON. */
export type Change =
  | { readonly table: TableName; readonly key: string; readonly value: unknown }
  | { readonly table: TableName; readonly key: string; readonly value: undefined };

/**
 * SQLite (WAL, synchronous=FULL) behind a Worker that groups commits, so that a slow disk never
 * stalls the main thread. Rows are read once at start; from then on the owner of a table keeps it
 * in memory and writes through.
 */
export interface Metadata {
  /** All rows of a table in key order, as they were when the engine started. */
  rows(table: TableName): readonly (readonly [key: string, value: unknown])[];
  /** All changes or none; on disk when resolved. Throws exhausted when the disk is full. */
  commit(changes: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}

// --- work that may be done after the answer --------------------------------------------------

export interface WorkItem {
  readonly id: string;
  readonly kind: string;
  readonly payload: unknown;
}

/**
 * Durable, idempotent work: an item is committed together with the change that makes it necessary,
 * runs in the background, is tried again with back-off when it fails and again after a restart, and
 * is forgotten when its handler has resolved.
 */
export interface WorkQueue {
  /** Must be called for every kind before `start`. Handlers must be idempotent. */
  handle(kind: string, handler: (payload: unknown) => Promise<void>): void;
  /** Makes the item and the row to commit; call `submit` after the commit. */
  prepare(kind: string, payload: unknown): { item: WorkItem; change: Change };
  submit(item: WorkItem): void;
  /** `prepare`, commit, `submit`. */
  add(kind: string, payload: unknown): Promise<void>;
  /** Runs what a former engine left. */
  start(): void;
  /** Resolves when nothing is queued or running. */
  idle(): Promise<void>;
  pending(): readonly WorkItem[];
  /** Stops taking work; what is queued stays durable. */
  stop(): Promise<void>;
}
