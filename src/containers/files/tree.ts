import { readdirSync } from "node:fs";
import { errorCode, NaruError } from "../../base/mod.ts";
import {
  close,
  type FileStatus,
  lgetxattr,
  llistxattr,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  open,
  openat,
  openat2,
  type PathText,
  pread,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  readlinkat,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  statat,
} from "../../linux/mod.ts";
import { encodeTarEntry, isAscii, type TarEntryType, tarPadding } from "../../oci/mod.ts";
import type { FileChannel } from "./channel.ts";

/*
 * Reading a tree that somebody else may change at any moment: every folder is opened beneath the
 * first one without following a link, files are opened as the inode that was looked at, and what
 * has vanished is left out. Names are bytes, kept as latin1.
 */

const STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/** Latin1 text as what the kernel wants. */
export function kernelName(name: string): PathText {
  return isAscii(name) ? name : Buffer.from(name, "latin1");
}

/** A folder of the tree, by its path below `baseFd` ("" is that itself); undefined when it is gone. */
export function openFolder(baseFd: number, path: string): number | undefined {
  try {
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    return openat2(baseFd, path === "" ? "." : kernelName(path), { flags, resolve: STRICT });
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

export function isGone(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "EXDEV";
}

/** Names in a folder, in byte order; none when it was removed after it was opened (ENOENT). */
export function namesIn(folderFd: number): string[] {
  try {
    const names = readdirSync(`/proc/self/fd/${folderFd}`, { encoding: "buffer" });
    return names.map((name) => name.toString("latin1")).sort();
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

export function statusOf(folderFd: number, name: string): FileStatus | undefined {
  try {
    return statat(folderFd, kernelName(name));
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

const TYPES: ReadonlyMap<number, TarEntryType> = new Map([
  [S_IFREG, "file"],
  [S_IFDIR, "directory"],
  [S_IFLNK, "symlink"],
  [S_IFCHR, "char"],
  [S_IFBLK, "block"],
  [S_IFIFO, "fifo"],
]);

/** Writes entries of an archive; files with several names are stored once. */
export class TreeArchive {
  readonly #out: FileChannel;
  readonly #linked: Map<string, string> = new Map();

  constructor(out: FileChannel) {
    this.#out = out;
  }

  /** The object `name` of a folder as `shown`. Sockets have no form in an archive: left out. */
  async add(folderFd: number, name: string, shown: string, status: FileStatus): Promise<void> {
    const type = TYPES.get(status.mode & S_IFMT);
    if (type === undefined) return;
    if (type === "file") return this.#addFile(folderFd, name, shown, status);
    let linkName = "";
    if (type === "symlink") {
      try {
        linkName = readlinkat(folderFd, kernelName(name)).toString("latin1");
      } catch (error) {
        if (isGone(error) || errorCode(error) === "EINVAL") return; // replaced meanwhile
        throw error;
      }
    }
    const entryName = type === "directory" && !shown.endsWith("/") ? `${shown}/` : shown;
    await this.#out.write(
      encodeTarEntry({
        ...attributesOf(status),
        name: entryName,
        type,
        linkName,
        deviceMajor: status.nodeMajor,
        deviceMinor: status.nodeMinor,
        xattrs: xattrsOf(folderFd, name),
      }),
    );
  }

  async #addFile(folderFd: number, name: string, shown: string, looked: FileStatus): Promise<void> {
    const inode = `${looked.deviceMajor}:${looked.deviceMinor}:${looked.inode}`;
    const first = looked.links > 1 ? this.#linked.get(inode) : undefined;
    if (first !== undefined) {
      const entry = { ...attributesOf(looked), name: shown, type: "hardlink" as const };
      await this.#out.write(encodeTarEntry({ ...entry, linkName: first }));
      return;
    }
    const fd = openRegular(folderFd, name);
    if (fd === undefined) return;
    try {
      const status = statat(fd, "");
      const entry = { ...attributesOf(status), name: shown, sizeBytes: status.sizeBytes };
      await this.#out.write(encodeTarEntry({ ...entry, xattrs: xattrsOf(folderFd, name) }));
      await this.#content(fd, status.sizeBytes);
    } finally {
      close(fd);
    }
    if (looked.links > 1) this.#linked.set(inode, shown);
  }

  /** Exactly as many bytes as announced: a file that grows is cut, one that shrinks is filled. */
  async #content(fd: number, sizeBytes: number): Promise<void> {
    for (let at = 0; at < sizeBytes; ) {
      const space = await this.#out.space();
      const part = space.subarray(0, Math.min(space.byteLength, sizeBytes - at));
      let count = pread(fd, part, at);
      if (count === 0) {
        part.fill(0);
        count = part.byteLength;
      }
      this.#out.advance(count);
      at += count;
    }
    await this.#out.write(tarPadding(sizeBytes));
  }

  /** An entry that stands for nothing on the disk: a whiteout. */
  async addEmpty(shown: string, status: FileStatus): Promise<void> {
    await this.#out.write(encodeTarEntry({ ...attributesOf(status), mode: 0o600, name: shown }));
  }

  async end(): Promise<void> {
    await this.#out.write(new Uint8Array(1024));
    await this.#out.flush();
  }
}

function attributesOf(status: FileStatus): {
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
} {
  const { mode, uid, gid, mtimeNs } = status;
  return { mode: mode & 0o7777, uid, gid, mtimeNs };
}

/**
 * Opens a regular file for reading and nothing else: a device or a fifo put in its place meanwhile
 * is never opened, since that may block or have an effect.
 */
function openRegular(folderFd: number, name: string): number | undefined {
  let handle: number;
  try {
    handle = openat(folderFd, kernelName(name), O_PATH | O_NOFOLLOW);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  try {
    if ((statat(handle, "").mode & S_IFMT) !== S_IFREG) return undefined;
    return open(`/proc/self/fd/${handle}`, O_RDONLY | O_NONBLOCK);
  } finally {
    close(handle);
  }
}

const KEPT_XATTR = /^(?:user\.(?!overlay\.)|security\.capability$)/;
const NO_XATTRS: ReadonlyMap<string, string> = new Map();
const WITHOUT: ReadonlySet<string> = new Set(["ENOTSUP", "EOPNOTSUPP", "ENOENT", "EPERM"]);

/** Capabilities and what users set; labels belong to the host. */
export function xattrsOf(folderFd: number, name: string): ReadonlyMap<string, string> {
  const path = Buffer.from(`/proc/self/fd/${folderFd}/${name === "" ? "." : name}`, "latin1");
  try {
    const names = llistxattr(path).filter((key) => KEPT_XATTR.test(key));
    if (names.length === 0) return NO_XATTRS;
    const found = new Map<string, string>();
    for (const key of names) {
      const value = lgetxattr(path, key);
      if (value !== undefined) found.set(key, value.toString("latin1"));
    }
    return found;
  } catch (error) {
    if (WITHOUT.has(errorCode(error) ?? "") || isGone(error)) return NO_XATTRS;
    throw error;
  }
}

const DEPTH_BYTES_MAX = 4000; // of a path below the first folder: PATH_MAX with room for a name
const FOLDERS_OPEN_MAX = 32; // descriptors; folders above the deepest ones are opened again later

export type Visit = (
  folderFd: number,
  name: string,
  path: string,
  status: FileStatus,
) => Promise<void>;

/** True: what is in this folder is left out. */
export type Skip = (folderFd: number, name: string, path: string, status: FileStatus) => boolean;

interface Frame {
  readonly path: string;
  readonly names: readonly string[];
  next: number;
  fd: number | undefined;
}

/** Everything below `baseFd` in byte order, folders before what is in them. */
export async function walkTree(baseFd: number, visit: Visit, skip: Skip): Promise<void> {
  const frames: Frame[] = [];
  try {
    enter(frames, baseFd, "");
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const name = frame.names[frame.next];
      frame.next += 1;
      if (name !== undefined) frame.fd ??= openFolder(baseFd, frame.path);
      if (name === undefined || frame.fd === undefined) {
        if (frame.fd !== undefined) close(frame.fd);
        frame.fd = undefined;
        frames.pop();
        continue;
      }
      const status = statusOf(frame.fd, name);
      if (status === undefined) continue;
      const path = frame.path === "" ? name : `${frame.path}/${name}`;
      await visit(frame.fd, name, path, status);
      const isFolder = (status.mode & S_IFMT) === S_IFDIR;
      if (isFolder && !skip(frame.fd, name, path, status)) enter(frames, baseFd, path);
    }
  } finally {
    for (const { fd } of frames) if (fd !== undefined) close(fd);
  }
}

function enter(frames: Frame[], baseFd: number, path: string): void {
  if (path.length > DEPTH_BYTES_MAX) {
    throw new NaruError("invalid_argument", "the directories are nested too deep for an archive");
  }
  const fd = openFolder(baseFd, path);
  if (fd === undefined) return;
  const frame: Frame = { path, names: [], next: 0, fd };
  frames.push(frame);
  frames[frames.length - 1] = { ...frame, names: namesIn(fd) };
  const shallow = frames.at(-1 - FOLDERS_OPEN_MAX);
  if (shallow?.fd === undefined) return;
  close(shallow.fd);
  shallow.fd = undefined;
}
