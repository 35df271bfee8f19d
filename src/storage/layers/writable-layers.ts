import { randomBytes } from "node:crypto";
import { existsSync, readlinkSync } from "node:fs";
import { lstat, mkdir, readdir, rename, rmdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Digest, errorCode, NaruError, parseDigest } from "../../base/mod.ts";
import {
  close,
  fchmod,
  fchown,
  freeDirectoryLimit,
  limitDirectory,
  mountOverlay,
  O_DIRECTORY,
  O_RDONLY,
  open,
  plainOverlayOptions,
  umountDetached,
} from "../../linux/mod.ts";

import type { OverlayDirs } from "../contract.ts";

export interface WritableLayersOptions {
  /** One folder per writable layer. */
  readonly folder: string;
  /** On the same file system; what is in it at start is swept. */
  readonly scratch: string;
  /** Directories of a chain, the top first. Throws not_found. */
  readonly lowerDirs: (chainId: Digest) => string[];
  /** Takes a path away at once and frees it later. */
  readonly discard: (path: string) => Promise<void>;
}

const UPPER = "upper";
const WORK = "work";
const EMPTY = "empty";
const PARENT = "parent"; // a symbolic link whose text is the chain id, or `none`
const NO_PARENT = "none";

/**
 * What containers write: `ID/upper` and `ID/work` for overlay, and `ID/parent`, a link whose text
 * names the chain below. Made aside and renamed, so a crash leaves all of it or nothing.
 */
export class WritableLayers {
  readonly folder: string;
  readonly #options: WritableLayersOptions;

  constructor(options: WritableLayersOptions) {
    this.folder = options.folder;
    this.#options = options;
  }

  upperDir(id: string): string {
    return join(this.#dir(id), UPPER);
  }

  #dir(id: string): string {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(id)) {
      throw new NaruError("invalid_argument", `invalid name of a writable layer "${id}"`);
    }
    return join(this.folder, id);
  }

  async create(id: string, parent: Digest | null, sizeBytes: number): Promise<void> {
    const dir = this.#dir(id);
    if (existsSync(dir)) return;
    const lower = parent === null ? [] : this.#options.lowerDirs(parent);
    const temporary = join(this.#options.scratch, `w-${randomBytes(4).toString("hex")}`);
    await mkdir(temporary, { mode: 0o711 });
    // Above both: overlay renames from one to the other, which no project's border allows.
    if (sizeBytes > 0) await this.#limit(temporary, sizeBytes);
    await mkdir(join(temporary, UPPER));
    await mkdir(join(temporary, WORK), { mode: 0o700 });
    // Overlay wants something below: an image without layers has this.
    if (lower.length === 0) await mkdir(join(temporary, EMPTY), { mode: 0o755 });
    await copyRootAttributes(lower[0], join(temporary, UPPER));
    await symlink(parent ?? NO_PARENT, join(temporary, PARENT));
    try {
      await rename(temporary, dir);
    } catch (error) {
      await this.#options.discard(temporary);
      // Somebody made the same meanwhile: that is what was asked for.
      if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "EEXIST") throw error;
    }
  }

  async #limit(dir: string, sizeBytes: number): Promise<void> {
    try {
      limitDirectory(dir, sizeBytes);
    } catch (error) {
      await this.#options.discard(dir);
      throw error;
    }
  }

  /** The chain below `id`, or null. Throws not_found. */
  #parent(id: string): Digest | null {
    try {
      const text = readlinkSync(join(this.#dir(id), PARENT));
      return text === NO_PARENT ? null : parseDigest(text);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
      throw new NaruError("not_found", `no such writable layer: ${id}`, { id }, { cause: error });
    }
  }

  #lower(id: string): string[] {
    const parent = this.#parent(id);
    return parent === null ? [join(this.#dir(id), EMPTY)] : this.#options.lowerDirs(parent);
  }

  async mount(id: string, target: string): Promise<void> {
    const lower = this.#lower(id);
    await mkdir(target, { recursive: true, mode: 0o711 });
    if (await isMountPoint(target)) return;
    const dir = this.#dir(id);
    const writable = { upper: join(dir, UPPER), work: join(dir, WORK) };
    await mountOverlay({ lower, writable, target, options: plainOverlayOptions() });
  }

  async unmount(target: string): Promise<void> {
    while (umountDetached(target)) {
      // Mounted twice by whatever went wrong: until nothing is left.
    }
    try {
      await rmdir(target);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }

  async remove(id: string): Promise<void> {
    const dir = this.#dir(id);
    try {
      freeDirectoryLimit(dir);
    } catch (error) {
      // Gone already, or a file system without projects.
      if (errorCode(error) === undefined) throw error;
    }
    await this.#options.discard(dir);
  }

  async list(): Promise<string[]> {
    return readdir(this.folder);
  }

  overlayDirs(id: string): OverlayDirs {
    const dir = this.#dir(id);
    return { lower: this.#lower(id), upper: join(dir, UPPER), work: join(dir, WORK) };
  }

  describe(id: string, target: string): Record<string, string> {
    const dir = this.#dir(id);
    return {
      LowerDir: this.#lower(id).join(":"),
      MergedDir: target,
      UpperDir: join(dir, UPPER),
      WorkDir: join(dir, WORK),
    };
  }
}

/** The upper root is what a container sees as `/`: it looks like the image's. */
async function copyRootAttributes(from: string | undefined, to: string): Promise<void> {
  const status = from === undefined ? undefined : await lstat(from);
  const fd = open(to, O_RDONLY | O_DIRECTORY);
  try {
    fchown(fd, status?.uid ?? 0, status?.gid ?? 0);
    fchmod(fd, status === undefined ? 0o755 : status.mode & 0o7777);
  } finally {
    close(fd);
  }
}

async function isMountPoint(path: string): Promise<boolean> {
  const [own, above] = await Promise.all([lstat(path), lstat(dirname(path))]);
  return own.dev !== above.dev;
}
