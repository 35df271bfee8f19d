import { errorCode } from "../../base/mod.ts";
import {
  close,
  mkdirat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  openat,
  openat2,
  type PathText,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
} from "../../linux/mod.ts";
import { isAscii, tarFailure } from "../../oci/mod.ts";

const OPEN_MAX = 128; // well below the usual limit of 1024 descriptors, with several workers

/** Latin1 text as what the kernel wants: most names are ASCII and need no copy. */
export function kernelPath(text: string): PathText {
  return isAscii(text) ? text : Buffer.from(text, "latin1");
}

/**
 * Descriptors of the directories beneath one root. Every path is resolved by the kernel with
 * RESOLVE_BENEATH: neither `..`, nor an absolute link, nor one that climbs out gets past it. Only
 * this process writes beneath the root, so what a descriptor was opened for stays true until
 * `forget` is called.
 */
export class DirectoryCache {
  readonly #rootFd: number;
  readonly #open: Map<string, number> = new Map();
  readonly #replaced: (path: string) => boolean;

  /** `replaced` puts a directory where something else is at `path`; false: it must not. */
  constructor(rootFd: number, replaced: (path: string) => boolean) {
    this.#rootFd = rootFd;
    this.#replaced = replaced;
  }

  /** The directory at `path` ("" is the root), made with its parents when missing. */
  get(path: string): number {
    if (path === "") return this.#rootFd;
    const known = this.#open.get(path);
    if (known !== undefined) return known;
    return this.#keep(path, this.#find(path));
  }

  /** An existing directory; undefined when there is none. Nothing is made. */
  existing(path: string): number | undefined {
    const known = path === "" ? this.#rootFd : this.#open.get(path);
    if (known !== undefined) return known;
    try {
      return this.#keep(path, this.#resolve(path));
    } catch (error) {
      if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
      throw error;
    }
  }

  #keep(path: string, fd: number): number {
    if (this.#open.size >= OPEN_MAX) this.#dropOldest();
    this.#open.set(path, fd);
    return fd;
  }

  /** Closes everything: names have changed their meaning. */
  forget(): void {
    for (const fd of this.#open.values()) close(fd);
    this.#open.clear();
  }

  #dropOldest(): void {
    const oldest = this.#open.entries().next().value;
    if (oldest === undefined) return;
    close(oldest[1]);
    this.#open.delete(oldest[0]);
  }

  #find(path: string): number {
    try {
      return this.#resolve(path);
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOTDIR" && this.#replaced(path)) return this.#resolve(path);
      // ENOTDIR: a folder further up may be what has to be replaced, or is found to be a file there.
      if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    }
    const slash = path.lastIndexOf("/");
    const parentFd = this.get(slash === -1 ? "" : path.slice(0, slash));
    const name = kernelPath(path.slice(slash + 1));
    try {
      mkdirat(parentFd, name, 0o755);
    } catch (error) {
      if (errorCode(error) === "EEXIST") {
        throw tarFailure(path, "a folder of this entry is not a directory in the archive");
      }
      throw error;
    }
    return openat(parentFd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  }

  #resolve(path: string): number {
    try {
      return openat2(this.#rootFd, kernelPath(path), {
        flags: O_PATH | O_DIRECTORY,
        resolve: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
      });
    } catch (error) {
      const code = errorCode(error);
      if (code === "EXDEV" || code === "ELOOP") {
        throw tarFailure(path, "the path leaves the layer through a symbolic link");
      }
      throw error;
    }
  }
}
