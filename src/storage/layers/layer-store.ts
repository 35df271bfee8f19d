import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  type Clock,
  type Digest,
  errorCode,
  isNaruError,
  NaruError,
  systemClock,
} from "../../base/mod.ts";
import { hasProjectQuota } from "../../linux/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import { chainIdOf } from "../../oci/mod.ts";
import type {
  ByteStream,
  Layer,
  LayerApplyOptions,
  LayerStore,
  Metadata,
  OverlayDirs,
  WorkQueue,
} from "../contract.ts";
import { UnpackPool } from "./unpack-pool.ts";
import { WritableLayers } from "./writable-layers.ts";

export interface LayerStoreOptions {
  /** Folder of the store, normally `DATAROOT/layers`; short, because mount options are. */
  readonly root: string;
  readonly metadata: Metadata;
  /** Not started yet: the store adds its handler. */
  readonly work: WorkQueue;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** A row of the table `layers`; the key is the chain id. */
interface LayerRow {
  readonly diffId: Digest;
  readonly parent: Digest | null;
  readonly dir: string;
  readonly sizeBytes: number;
}

const TRASH_WORK = "layers.trash";

/**
 * Opens the layers under `options.root`. What a former engine left half-made goes to the trash,
 * which the work queue empties.
 */
export async function openLayerStore(
  options: LayerStoreOptions,
): Promise<LayerStore & LayerStoreControl> {
  const store = new OverlayLayerStore(options);
  await store.open();
  return store;
}

export interface LayerStoreControl {
  /** Ends idle unpacking threads. */
  close(): void;
}

class OverlayLayerStore implements LayerStore, LayerStoreControl {
  readonly driverName: string = "overlay2";
  readonly #options: LayerStoreOptions;
  readonly #pool: UnpackPool;
  readonly #rows: Map<Digest, LayerRow> = new Map();
  readonly #applying: Map<Digest, Promise<Layer>> = new Map();
  readonly #writables: WritableLayers;
  readonly #layersDir: string;
  readonly #unpackDir: string;
  readonly #trashDir: string;

  constructor(options: LayerStoreOptions) {
    this.#options = options;
    this.#pool = new UnpackPool(options.clock ?? systemClock);
    this.#layersDir = join(options.root, "l");
    this.#unpackDir = join(options.root, "unpack");
    this.#trashDir = join(options.root, "trash");
    this.#writables = new WritableLayers({
      folder: join(options.root, "w"),
      scratch: this.#unpackDir,
      lowerDirs: (chainId) => this.#chainDirs(chainId),
      discard: (path) => this.#discard(path),
    });
  }

  async open(): Promise<void> {
    const { root, metadata, work } = this.#options;
    const folders = [this.#layersDir, this.#unpackDir, this.#trashDir, this.#writables.folder];
    // Traversal for all is needed by containers of other users; the data root above is 0710.
    for (const folder of [root, ...folders]) await mkdir(folder, { recursive: true, mode: 0o711 });
    work.handle(TRASH_WORK, async (payload) => {
      const { name } = payload as { name: string };
      await rm(join(this.#trashDir, name), { recursive: true, force: true });
    });
    for (const [key, value] of metadata.rows("layers")) {
      this.#rows.set(key as Digest, value as LayerRow);
    }
    await this.#dropMissing();
    await this.#sweep();
  }

  /** A row without its files cannot be mounted; the image's blobs can make it again. */
  async #dropMissing(): Promise<void> {
    const present = new Set(await readdir(this.#layersDir));
    const lost = [...this.#rows].filter(([, row]) => !present.has(row.dir)).map(([key]) => key);
    for (const chainId of lost) {
      this.#options.logger.error("the files of a layer are gone", { chainId });
      this.#rows.delete(chainId);
    }
    await this.#options.metadata.commit(
      lost.map((key) => ({ table: "layers", key, value: undefined })),
    );
  }

  async #sweep(): Promise<void> {
    const known = new Set([...this.#rows.values()].map((row) => row.dir));
    for (const name of await readdir(this.#layersDir)) {
      if (!known.has(name)) await this.#toTrash(join(this.#layersDir, name));
    }
    for (const name of await readdir(this.#unpackDir)) {
      await this.#toTrash(join(this.#unpackDir, name));
    }
    const queued = new Set(
      this.#options.metadata
        .rows("work")
        .map(([, value]) => value as { kind: string; payload: { name: string } })
        .filter(({ kind }) => kind === TRASH_WORK)
        .map(({ payload }) => payload.name),
    );
    for (const name of await readdir(this.#trashDir)) {
      if (!queued.has(name)) await this.#options.work.add(TRASH_WORK, { name });
    }
  }

  /** Gives `path` a name in the trash. Undefined when it is not there. */
  async #toTrash(path: string): Promise<string | undefined> {
    const name = randomBytes(8).toString("hex");
    try {
      await rename(path, join(this.#trashDir, name));
      return name;
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Takes `path` out of the way at once; the space comes back later. */
  async #discard(path: string): Promise<void> {
    const name = await this.#toTrash(path);
    if (name === undefined) return;
    try {
      await this.#options.work.add(TRASH_WORK, { name });
    } catch (error) {
      if (!isNaruError(error, "exhausted")) throw error;
      // The queue has no room on a full disk: this makes some.
      await rm(join(this.#trashDir, name), { recursive: true, force: true });
    }
  }

  get(chainId: Digest): Layer | undefined {
    const row = this.#rows.get(chainId);
    return row === undefined ? undefined : layerOf(chainId, row);
  }

  *all(): Iterable<Layer> {
    for (const [chainId, row] of this.#rows) yield layerOf(chainId, row);
  }

  async apply(
    parent: Digest | null,
    tar: ByteStream,
    options: LayerApplyOptions = {},
  ): Promise<Layer> {
    if (parent !== null && !this.#rows.has(parent)) {
      throw new NaruError("not_found", `no such layer: ${parent}`, { chainId: parent });
    }
    if (options.expectDiffId === undefined) return this.#unpack(parent, tar, options);
    const chainId = chainIdOf(parent, options.expectDiffId);
    for (;;) {
      const known = this.get(chainId);
      if (known !== undefined) return known;
      const other = this.#applying.get(chainId);
      if (other === undefined) break;
      // Somebody unpacks the same; when their source fails or they give up, ours may still be good.
      const layer = await other.catch(() => undefined);
      if (layer !== undefined) return layer;
      if (options.signal?.aborted === true) {
        throw new NaruError("cancelled", "unpacking was cancelled");
      }
    }
    const unpacking = this.#unpack(parent, tar, options);
    this.#applying.set(chainId, unpacking);
    try {
      return await unpacking;
    } finally {
      this.#applying.delete(chainId);
    }
  }

  async #unpack(
    parent: Digest | null,
    tar: ByteStream,
    options: LayerApplyOptions,
  ): Promise<Layer> {
    const name = this.#newName();
    const root = join(this.#unpackDir, name);
    await mkdir(root, { mode: 0o700 });
    try {
      const { onProgress, signal } = options;
      const result = await this.#pool.unpack({ root, source: tar, onProgress, signal });
      if (options.expectDiffId !== undefined && options.expectDiffId !== result.diffId) {
        const message = `the layer's content has digest ${result.diffId} instead of ${options.expectDiffId}`;
        throw new NaruError("invalid_argument", message);
      }
      if (result.skippedXattrs > 0) {
        const fields = { diffId: result.diffId, count: result.skippedXattrs };
        this.#options.logger.warn("the file system takes no such extended attributes", fields);
      }
      return await this.#publish(parent, name, result);
    } catch (error) {
      await this.#discard(root).catch((cause: unknown) => {
        // The next start sweeps it; the first error is the one to report.
        this.#options.logger.error("cannot remove a half-made layer", { root, error: cause });
      });
      throw error;
    }
  }

  async #publish(
    parent: Digest | null,
    name: string,
    result: { diffId: Digest; sizeBytes: number },
  ): Promise<Layer> {
    const chainId = chainIdOf(parent, result.diffId);
    const known = this.get(chainId);
    if (known !== undefined) {
      await this.#discard(join(this.#unpackDir, name));
      return known;
    }
    const row: LayerRow = {
      diffId: result.diffId,
      parent,
      dir: name,
      sizeBytes: result.sizeBytes,
    };
    await rename(join(this.#unpackDir, name), join(this.#layersDir, name));
    try {
      await using folder = await open(this.#layersDir, "r");
      await folder.sync();
      await this.#options.metadata.commit([{ table: "layers", key: chainId, value: row }]);
    } catch (error) {
      await this.#discard(join(this.#layersDir, name)).catch(() => undefined);
      throw error;
    }
    const first = this.get(chainId);
    if (first !== undefined) {
      // Two without a known diff id met here: the row now names our directory, so theirs goes.
      const theirs = this.#rows.get(chainId)?.dir;
      if (theirs !== undefined) await this.#keepFirst(chainId, theirs, name);
      return first;
    }
    this.#rows.set(chainId, row);
    return layerOf(chainId, row);
  }

  /** Sets the row back to the directory that may be in use already. */
  async #keepFirst(chainId: Digest, first: string, second: string): Promise<void> {
    const value = this.#rows.get(chainId);
    if (value === undefined || first === second) return;
    await this.#options.metadata.commit([{ table: "layers", key: chainId, value }]);
    await this.#discard(join(this.#layersDir, second));
  }

  /** Eight digits: at most nine bytes of mount options per layer when names are relative. */
  #newName(): string {
    for (;;) {
      const name = randomBytes(4).toString("hex");
      if (![...this.#rows.values()].some((row) => row.dir === name)) return name;
    }
  }

  async remove(chainId: Digest): Promise<void> {
    const row = this.#rows.get(chainId);
    if (row === undefined) return;
    this.#rows.delete(chainId);
    // First the row: a directory without a row is swept, a row without a directory is damage.
    await this.#options.metadata.commit([{ table: "layers", key: chainId, value: undefined }]);
    await this.#discard(join(this.#layersDir, row.dir));
  }

  /** Directories of a chain, the top first. Throws not_found. */
  #chainDirs(chainId: Digest): string[] {
    const dirs: string[] = [];
    for (let next: Digest | null = chainId; next !== null; ) {
      const row: LayerRow | undefined = this.#rows.get(next);
      if (row === undefined) {
        throw new NaruError("not_found", `no such layer: ${next}`, { chainId: next });
      }
      dirs.push(join(this.#layersDir, row.dir));
      next = row.parent;
    }
    return dirs;
  }

  createWritable(
    id: string,
    parent: Digest | null,
    options: { readonly sizeBytes?: number } = {},
  ): Promise<void> {
    return this.#writables.create(id, parent, options.sizeBytes ?? 0);
  }

  canLimitWritables(): boolean {
    return hasProjectQuota(this.#writables.folder);
  }

  mount(id: string, target: string): Promise<void> {
    return this.#writables.mount(id, target);
  }

  unmount(target: string): Promise<void> {
    return this.#writables.unmount(target);
  }

  removeWritable(id: string): Promise<void> {
    return this.#writables.remove(id);
  }

  writableDir(id: string): string {
    return this.#writables.upperDir(id);
  }

  overlayDirs(id: string): OverlayDirs {
    return this.#writables.overlayDirs(id);
  }

  lowerDirs(chainId: Digest): readonly string[] {
    return this.#chainDirs(chainId);
  }

  writableSizeBytes(id: string): Promise<number> {
    return directorySizeBytes(this.#writables.upperDir(id));
  }

  writables(): Promise<string[]> {
    return this.#writables.list();
  }

  describe(id: string, target: string): Record<string, string> {
    return this.#writables.describe(id, target);
  }

  close(): void {
    this.#pool.close();
  }
}

function layerOf(chainId: Digest, row: LayerRow): Layer {
  return { chainId, diffId: row.diffId, parent: row.parent, sizeBytes: row.sizeBytes };
}

/** Bytes of regular files below `path`, each inode once. Files that vanish meanwhile do not count. */
async function directorySizeBytes(path: string): Promise<number> {
  let total = 0;
  const linked = new Set<number>();
  const folders = [path];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(ignoreMissing);
    for (const entry of entries ?? []) {
      const name = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(name);
      if (!entry.isFile()) continue;
      const status = await lstat(name).catch(ignoreMissing);
      if (status === undefined || (status.nlink > 1 && linked.has(status.ino))) continue;
      if (status.nlink > 1) linked.add(status.ino);
      total += status.size;
    }
  }
  return total;
}

function ignoreMissing(error: unknown): undefined {
  if (errorCode(error) === "ENOENT" || isNaruError(error, "not_found")) return undefined;
  throw error;
}
