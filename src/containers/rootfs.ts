import { posix } from "node:path";
import { errorCode, MiB, NaruError } from "../base/mod.ts";
import {
  AT_FDCWD,
  close,
  fchown,
  mkdirat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  open,
  openat2,
  pread,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  statat,
} from "../linux/mod.ts";

/*
 * Looking into a container's root file system, whose links are the image's to choose. Every name is
 * resolved by the kernel with the container's root as `/` (openat2 RESOLVE_IN_ROOT), so that no
 * link, however it is made, leads out.
 */

const IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
const ACCOUNT_FILE_BYTES_MAX = MiB; // passwd and group of the largest known images are below 100 KB

/** The text of a small regular file, "" when there is none or it is something else. */
export function readInRoot(root: string, path: string): string {
  return withRoot(root, (rootFd) => {
    let fd: number;
    try {
      fd = openat2(rootFd, path, { flags: O_RDONLY | O_NONBLOCK, resolve: IN_ROOT });
    } catch (error) {
      if (isMissing(error)) return "";
      throw error;
    }
    try {
      const status = statat(fd, "");
      if ((status.mode & S_IFMT) !== S_IFREG) return "";
      const bytes = Buffer.alloc(Math.min(status.sizeBytes, ACCOUNT_FILE_BYTES_MAX));
      return bytes.toString("utf8", 0, pread(fd, bytes, 0));
    } finally {
      close(fd);
    }
  });
}

/** Calls `use` with a host path of the directory `path` inside the root, or with undefined. */
export async function withDirectoryInRoot<T>(
  root: string,
  path: string,
  use: (hostPath: string | undefined) => Promise<T>,
): Promise<T> {
  const rootFd = open(root, O_PATH | O_DIRECTORY);
  let fd: number | undefined;
  try {
    fd = openat2(rootFd, path, { flags: O_PATH | O_DIRECTORY, resolve: IN_ROOT });
  } catch (error) {
    if (!isMissing(error)) throw error;
  } finally {
    close(rootFd);
  }
  try {
    return await use(fd === undefined ? undefined : `/proc/self/fd/${fd}/.`);
  } finally {
    if (fd !== undefined) close(fd);
  }
}

/**
 * Makes a directory with its parents inside the root, as Docker does for a working directory that
 * the image lacks. Throws invalid_argument when something else is in the way.
 */
export function makeDirectoryInRoot(
  root: string,
  path: string,
  owner: { readonly uid: number; readonly gid: number },
): void {
  withRoot(root, (rootFd) => {
    const parts = posix
      .resolve("/", path)
      .split("/")
      .filter((part) => part !== "");
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const name = parts.slice(0, depth).join("/");
      const found = openDirectory(rootFd, name);
      if (found !== undefined) {
        close(found);
        continue;
      }
      const parent = openDirectory(rootFd, parts.slice(0, depth - 1).join("/") || ".");
      if (parent === undefined) throw notADirectory(path);
      try {
        mkdirat(parent, parts[depth - 1] as string, 0o755);
        const made = openat2(parent, parts[depth - 1] as string, {
          flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
          resolve: IN_ROOT,
        });
        fchown(made, owner.uid, owner.gid);
        close(made);
      } catch (error) {
        if (errorCode(error) === "EEXIST") throw notADirectory(path, error);
        throw error;
      } finally {
        close(parent);
      }
    }
  });
}

function openDirectory(rootFd: number, name: string): number | undefined {
  try {
    const fd = openat2(rootFd, name, { flags: O_PATH, resolve: IN_ROOT });
    if ((statat(fd, "").mode & S_IFMT) === S_IFDIR) return fd;
    close(fd);
    throw notADirectory(name);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    if (errorCode(error) === "ENOTDIR") throw notADirectory(name, error);
    throw error;
  }
}

function notADirectory(path: string, cause?: unknown): NaruError {
  return new NaruError(
    "invalid_argument",
    `Cannot mkdir: ${path} is not a directory`,
    { path },
    { cause },
  );
}

function withRoot<T>(root: string, use: (rootFd: number) => T): T {
  const rootFd = openDirectoryOf(root);
  try {
    return use(rootFd);
  } finally {
    close(rootFd);
  }
}

function openDirectoryOf(root: string): number {
  return openat2(AT_FDCWD, root, { flags: O_PATH | O_DIRECTORY, resolve: 0 });
}

function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "ENXIO";
}
