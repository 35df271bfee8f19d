import { errorCode } from "../../base/mod.ts";
import {
  close,
  type FileStatus,
  lgetxattr,
  O_DIRECTORY,
  O_RDONLY,
  open,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
} from "../../linux/mod.ts";
import { utf8 } from "../../oci/mod.ts";
import type { FileChannel } from "./channel.ts";
import { isGone, namesIn, openFolder, statusOf, TreeArchive, walkTree } from "./tree.ts";

/*
 * What a container wrote: overlay's upper directory against all that lies below it.
 * @see Linux Documentation/filesystems/overlayfs.rst "whiteouts and opaque directories"
 */

/** What Docker calls changed, added and deleted. */
export const MODIFIED = 0;
export const ADDED = 1;
export const DELETED = 2;
export type ChangeKind = 0 | 1 | 2;

/** Where every start mounts something: the runtime makes them, and no person did. */
const PLACEHOLDERS: ReadonlySet<string> = new Set([
  ...["dev", "dev/console", "dev/mqueue", "dev/pts", "dev/shm", "proc", "sys", ".dockerenv"],
  ...["etc/hosts", "etc/hostname", "etc/resolv.conf"],
  ...["run/.containerenv", "sys/fs", "sys/fs/cgroup"],
]);

const OPAQUE = "trusted.overlay.opaque";

class Comparison {
  readonly #upperFd: number;
  readonly #lowerFd: number;
  /** Folders whose lower side cannot be seen: new ones, and those that replace others. */
  readonly #fresh: Set<string> = new Set();
  #lowerFolder: { path: string; fd: number | undefined } | undefined;

  constructor(upperFd: number, lowerFd: number) {
    this.#upperFd = upperFd;
    this.#lowerFd = lowerFd;
  }

  close(): void {
    if (this.#lowerFolder?.fd !== undefined) close(this.#lowerFolder.fd);
    this.#lowerFolder = undefined;
  }

  /** What was there before, undefined for nothing. */
  lower(path: string): FileStatus | undefined {
    const slash = path.lastIndexOf("/");
    const folder = slash === -1 ? "" : path.slice(0, slash);
    if (this.#fresh.has(folder)) return undefined;
    if (this.#lowerFolder?.path !== folder) {
      this.close();
      this.#lowerFolder = { path: folder, fd: openFolder(this.#lowerFd, folder) };
    }
    const { fd } = this.#lowerFolder as { fd: number | undefined };
    return fd === undefined ? undefined : statusOf(fd, path.slice(slash + 1));
  }

  isPlaceholder(path: string, status: FileStatus): boolean {
    if (!PLACEHOLDERS.has(path) || this.lower(path) !== undefined) return false;
    if (!isFolder(status)) return status.sizeBytes === 0 && !isWhiteout(status);
    const fd = openFolder(this.#upperFd, path);
    if (fd === undefined) return true;
    try {
      return namesIn(fd).every((name) => {
        const child = statusOf(fd, name);
        return child === undefined || this.isPlaceholder(`${path}/${name}`, child);
      });
    } finally {
      close(fd);
    }
  }

  /** Call for a folder before what is in it. True when it replaces one that was there before. */
  enter(folderFd: number, name: string, path: string): boolean {
    const before = this.lower(path);
    const slash = path.lastIndexOf("/");
    const inFresh = this.#fresh.has(slash === -1 ? "" : path.slice(0, slash));
    const replaces = before !== undefined && isOpaque(folderFd, name);
    if (inFresh || before === undefined || replaces || !isFolder(before)) this.#fresh.add(path);
    return replaces;
  }

  kindOf(folderFd: number, name: string, path: string, status: FileStatus): ChangeKind | undefined {
    if (isWhiteout(status)) return DELETED;
    const before = this.lower(path);
    if (before === undefined) return ADDED;
    if (!isFolder(status) || !isFolder(before)) return MODIFIED;
    return this.#folderChanged(folderFd, name, path, status, before) ? MODIFIED : undefined;
  }

  /** A folder counts when it was changed itself, and not for being on the way to something. */
  #folderChanged(
    folderFd: number,
    name: string,
    path: string,
    status: FileStatus,
    before: FileStatus,
  ): boolean {
    if (status.mode !== before.mode || status.uid !== before.uid || status.gid !== before.gid) {
      return true;
    }
    if (isOpaque(folderFd, name)) return true;
    const fd = openFolder(folderFd, name);
    if (fd === undefined) return false;
    let placeholders = false;
    try {
      for (const child of namesIn(fd)) {
        const inside = statusOf(fd, child);
        if (inside === undefined) continue;
        const childPath = `${path}/${child}`;
        if (this.isPlaceholder(childPath, inside)) placeholders = true;
        else if (isWhiteout(inside) || this.lower(childPath) === undefined) return true;
      }
    } finally {
      close(fd);
    }
    // Making the place for a mount touched its folder, too.
    return !placeholders && status.mtimeNs !== before.mtimeNs;
  }
}

function isFolder(status: FileStatus): boolean {
  return (status.mode & S_IFMT) === S_IFDIR;
}

function isWhiteout(status: FileStatus): boolean {
  return (status.mode & S_IFMT) === S_IFCHR && status.nodeMajor === 0 && status.nodeMinor === 0;
}

function isOpaque(folderFd: number, name: string): boolean {
  try {
    const path = Buffer.from(`/proc/self/fd/${folderFd}/${name}`, "latin1");
    return lgetxattr(path, OPAQUE)?.toString() === "y";
  } catch (error) {
    if (isGone(error) || errorCode(error) === "EOPNOTSUPP") return false;
    throw error;
  }
}

/** Docker's list of changes as JSON text, in the order of paths; `null` when there are none. */
export async function writeChanges(
  upper: string,
  lowerFd: number,
  out: FileChannel,
): Promise<void> {
  await compare(upper, lowerFd, async (comparison, upperFd) => {
    let separator = "[";
    await walkTree(
      upperFd,
      async (folderFd, name, path, status) => {
        if (comparison.isPlaceholder(path, status)) return;
        const kind = comparison.kindOf(folderFd, name, path, status);
        if (isFolder(status)) comparison.enter(folderFd, name, path);
        if (kind === undefined) return;
        const item = JSON.stringify({ Path: `/${utf8(path)}`, Kind: kind });
        await out.write(Buffer.from(`${separator}${item}`));
        separator = ",";
      },
      (_, __, path, status) => comparison.isPlaceholder(path, status),
    );
    await out.write(Buffer.from(separator === "[" ? "null\n" : "]\n"));
    await out.flush();
  });
}

/** What was written as a layer: whiteouts and opaque markers as files. @see OCI image-spec layer.md */
export async function writeLayer(upper: string, lowerFd: number, out: FileChannel): Promise<void> {
  await compare(upper, lowerFd, async (comparison, upperFd) => {
    const archive = new TreeArchive(out);
    await walkTree(
      upperFd,
      async (folderFd, name, path, status) => {
        if (comparison.isPlaceholder(path, status)) return;
        const slash = path.lastIndexOf("/");
        if (isWhiteout(status)) {
          const shown = `${path.slice(0, slash + 1)}.wh.${name}`;
          return archive.addEmpty(shown, status);
        }
        await archive.add(folderFd, name, path, status);
        if (!isFolder(status)) return;
        if (comparison.enter(folderFd, name, path)) {
          await archive.addEmpty(`${path}/.wh..wh..opq`, status);
        }
      },
      (_, __, path, status) => comparison.isPlaceholder(path, status),
    );
    await archive.end();
  });
}

async function compare(
  upper: string,
  lowerFd: number,
  use: (comparison: Comparison, upperFd: number) => Promise<void>,
): Promise<void> {
  const upperFd = open(upper, O_RDONLY | O_DIRECTORY);
  const comparison = new Comparison(upperFd, lowerFd);
  try {
    await use(comparison, upperFd);
  } finally {
    comparison.close();
    close(upperFd);
  }
}
