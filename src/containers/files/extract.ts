import { errorCode, isNaruError, NaruError } from "../../base/mod.ts";
import {
  close,
  fchmod,
  fchown,
  fchownat,
  fsetxattr,
  ftruncate,
  futimens,
  linkat,
  lsetxattr,
  mkdirat,
  mknodat,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  openat,
  openat2,
  pwrite,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  statat,
  symlinkat,
  unlinkat,
  utimensat,
} from "../../linux/mod.ts";
import {
  byteText,
  displayName,
  type TarEntry,
  type TarHandler,
  tarFailure,
  utf8,
} from "../../oci/mod.ts";
import { IN_ROOT } from "./root.ts";
import { kernelName, namesIn, openFolder } from "./tree.ts";

export interface ExtractOptions {
  readonly noOverwriteDirNonDir: boolean;
  /** Everything belongs to this user; undefined: to whom the archive says. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** The archive is a whole tree: its top folder (`./`) says what the target is like, and holes are kept. */
  readonly withRoot?: boolean;
}

const ZEROS: Uint8Array = new Uint8Array(1024 * 1024);

function isZero(bytes: Uint8Array): boolean {
  if (bytes.byteLength > ZEROS.byteLength || bytes[0] !== 0) return false;
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.byteLength)) === 0;
}

const FOLDERS_OPEN_MAX = 64; // an archive goes through folders one after the other
const XATTR_IGNORED: ReadonlySet<string> = new Set(["ENOTSUP", "EOPNOTSUPP", "EPERM", "EINVAL"]);
const KEPT_XATTR = /^(?:user\.(?!overlay\.)|security\.capability$)/;

/**
 * Writes the entries of an archive into a container that may be running and hostile. Folders are
 * resolved by the kernel inside the container's root at each first use; what is made is made
 * beneath such a descriptor and never through a link in the last place, so that whatever the
 * container renames or replaces meanwhile, nothing outside of it is touched. The thread must have
 * umask 0. Folders get their owner, mode and time in `finish`.
 */
export class TreeWriter implements TarHandler {
  readonly #rootFd: number;
  /** Latin1, absolute, without a slash at the end ("" is the root). */
  readonly #target: string;
  readonly #options: ExtractOptions;
  readonly #folders: Map<string, number> = new Map();
  readonly #pending: Map<string, TarEntry> = new Map();
  #fileFd = -1;
  #file: TarEntry | undefined;

  constructor(rootFd: number, target: string, options: ExtractOptions) {
    this.#rootFd = rootFd;
    this.#target = byteText(target).replace(/\/+$/, "");
    this.#options = options;
  }

  entry(entry: TarEntry): void {
    this.#guard(entry, () => this.#make(entry));
  }

  data(bytes: Uint8Array, offset: number): void {
    if (this.#file === undefined) return;
    this.#guard(this.#file, () => {
      if (this.#options.withRoot === true && isZero(bytes)) return; // stays a hole
      for (let at = 0; at < bytes.byteLength; ) {
        at += pwrite(this.#fileFd, bytes.subarray(at), offset + at);
      }
    });
  }

  entryEnd(): void {
    const entry = this.#file;
    if (entry === undefined) return;
    try {
      this.#guard(entry, () => {
        if (entry.sparse || this.#options.withRoot === true)
          ftruncate(this.#fileFd, entry.sizeBytes);
        this.#finishDescriptor(this.#fileFd, entry);
      });
    } finally {
      this.#closeFile();
    }
  }

  finish(): void {
    for (const [path, entry] of this.#pending) {
      this.#guard(entry, () => {
        const fd = this.#openExact(path);
        if (fd === undefined) return; // the container took it away
        try {
          this.#finishDescriptor(fd, entry);
        } finally {
          close(fd);
        }
      });
    }
  }

  close(): void {
    this.#closeFile();
    this.#forgetFolders();
  }

  #closeFile(): void {
    if (this.#fileFd !== -1) close(this.#fileFd);
    this.#fileFd = -1;
    this.#file = undefined;
  }

  #forgetFolders(): void {
    for (const fd of this.#folders.values()) close(fd);
    this.#folders.clear();
  }

  #make(entry: TarEntry): void {
    const path = cleanName(entry.name);
    if (path === "") {
      if (this.#options.withRoot === true && entry.type === "directory") {
        this.#pending.set("", entry);
      }
      return; // else the target itself stays as it is
    }
    const slash = path.lastIndexOf("/");
    const folder = slash === -1 ? "" : path.slice(0, slash);
    const base = path.slice(slash + 1);
    const folderFd = this.#folder(folder);
    if (!this.#makeRoom(entry, path, folderFd, base)) return;
    this.#create(entry, path, this.#folder(folder), base);
  }

  /** Takes away what is in the way, by Docker's rules. False: the folder is there and stays. */
  #makeRoom(entry: TarEntry, path: string, folderFd: number, base: string): boolean {
    const name = kernelName(base);
    let mode: number;
    try {
      mode = statat(folderFd, name).mode;
    } catch (error) {
      if (errorCode(error) === "ENOENT") return true;
      throw error;
    }
    const isFolder = (mode & S_IFMT) === S_IFDIR;
    const wantsFolder = entry.type === "directory";
    if (isFolder && wantsFolder) {
      this.#pending.set(path, entry);
      return false;
    }
    if (this.#options.noOverwriteDirNonDir && isFolder !== wantsFolder) {
      const shown = `"${utf8(`${this.#target}/${path}`)}"`;
      throw new NaruError(
        "invalid_argument",
        isFolder
          ? `cannot overwrite directory ${shown} with non-directory ${shown}`
          : `cannot overwrite non-directory ${shown} with directory ${shown}`,
      );
    }
    if (entry.type === "hardlink" && cleanName(entry.linkName, entry.name) === path) return false;
    if (isFolder) {
      removeTree(folderFd, base);
      this.#forgetFolders();
      for (const known of this.#pending.keys()) {
        if (known === path || known.startsWith(`${path}/`)) this.#pending.delete(known);
      }
    } else {
      unlinkat(folderFd, name);
      this.#forgetFolders(); // a link to a folder may have been on the way to others
    }
    return true;
  }

  #create(entry: TarEntry, path: string, folderFd: number, base: string): void {
    const name = kernelName(base);
    switch (entry.type) {
      case "file": {
        const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
        this.#fileFd = openat(folderFd, name, flags, entry.mode & 0o777);
        this.#file = entry;
        return;
      }
      case "directory":
        mkdirat(folderFd, name, entry.mode & 0o777);
        this.#pending.set(path, entry);
        return;
      case "hardlink":
        this.#link(entry, folderFd, base);
        return;
      case "symlink":
        symlinkat(kernelName(entry.linkName), folderFd, name);
        break;
      case "char":
      case "block": {
        const type = entry.type === "char" ? S_IFCHR : S_IFBLK;
        const device = { major: entry.deviceMajor, minor: entry.deviceMinor };
        mknodat(folderFd, name, type | (entry.mode & 0o777), device);
        break;
      }
      case "fifo":
        mknodat(folderFd, name, S_IFIFO | (entry.mode & 0o777), { major: 0, minor: 0 });
        break;
    }
    const { uid, gid } = this.#ownerOf(entry);
    fchownat(folderFd, name, uid, gid);
    this.#setXattrs(entry, (key, value) => lsetxattr(pathBelow(folderFd, base), key, value));
    utimensat(folderFd, name, entry.mtimeNs, entry.mtimeNs);
  }

  #link(entry: TarEntry, folderFd: number, base: string): void {
    const target = cleanName(entry.linkName, entry.name);
    const slash = target.lastIndexOf("/");
    const targetFd = this.#existing(slash === -1 ? "" : target.slice(0, slash));
    try {
      linkat(targetFd, kernelName(target.slice(slash + 1)), folderFd, kernelName(base));
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
      throw tarFailure(entry.name, "a hard link to something that is not there");
    } finally {
      close(targetFd);
    }
  }

  #ownerOf(entry: TarEntry): { readonly uid: number; readonly gid: number } {
    return this.#options.owner ?? entry;
  }

  #finishDescriptor(fd: number, entry: TarEntry): void {
    const { uid, gid } = this.#ownerOf(entry);
    fchown(fd, uid, gid);
    fchmod(fd, entry.mode); // after chown, which takes the set-id bits away
    this.#setXattrs(entry, (key, value) => fsetxattr(fd, key, value));
    futimens(fd, entry.mtimeNs, entry.mtimeNs);
  }

  #setXattrs(entry: TarEntry, set: (key: string, value: Uint8Array) => void): void {
    for (const [key, value] of entry.xattrs) {
      if (!KEPT_XATTR.test(key)) continue;
      try {
        set(key, Buffer.from(value, "latin1"));
      } catch (error) {
        // Docker goes on without attributes that a file system does not take.
        if (!XATTR_IGNORED.has(errorCode(error) ?? "")) throw error;
      }
    }
  }

  /** The folder at `path` below the target, through the container's links, made when missing. */
  #folder(path: string): number {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const fd = this.#openOrMake(path);
    if (this.#folders.size >= FOLDERS_OPEN_MAX) this.#forgetFolders();
    this.#folders.set(path, fd);
    return fd;
  }

  #openOrMake(path: string): number {
    try {
      return this.#existing(path);
    } catch (error) {
      if (errorCode(error) !== "ENOENT" || path === "") throw error;
    }
    const slash = path.lastIndexOf("/");
    const parentFd = this.#openOrMake(slash === -1 ? "" : path.slice(0, slash));
    try {
      mkdirat(parentFd, kernelName(path.slice(slash + 1)), 0o755);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error; // the container was faster
    } finally {
      close(parentFd);
    }
    return this.#existing(path);
  }

  #existing(path: string): number {
    const whole = path === "" ? this.#target || "/" : `${this.#target}/${path}`;
    return openat2(this.#rootFd, kernelName(whole), {
      flags: O_PATH | O_DIRECTORY,
      resolve: IN_ROOT,
    });
  }

  /** A folder made here, but not what a link in its place leads to. */
  #openExact(path: string): number | undefined {
    const slash = path.lastIndexOf("/");
    try {
      const parentFd = this.#existing(slash === -1 ? "" : path.slice(0, slash));
      try {
        const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
        const name = path === "" ? "." : path.slice(slash + 1);
        return openat(parentFd, kernelName(name), flags);
      } finally {
        close(parentFd);
      }
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
      throw error;
    }
  }

  #guard(entry: TarEntry, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (isNaruError(error)) throw error;
      const code = errorCode(error);
      const blame = code === undefined ? undefined : BLAMES.get(code);
      if (blame === undefined) throw error;
      const kind = code === "EROFS" ? "forbidden" : "invalid_argument";
      const name = displayName(entry.name);
      throw new NaruError(
        kind,
        `cannot write "${name}": ${blame}`,
        { entry: name },
        { cause: error },
      );
    }
  }
}

const AT_REMOVEDIR = 0x200;
const DEPTH_MAX = 500; // one descriptor each while it is removed

/** Beneath descriptors only: the container may put links anywhere while this goes on. */
function removeTree(parentFd: number, base: string): void {
  const fd = openFolder(parentFd, base);
  if (fd !== undefined) {
    try {
      removeContent(fd, 0);
    } finally {
      close(fd);
    }
  }
  unlinkat(parentFd, kernelName(base), AT_REMOVEDIR);
}

function removeContent(folderFd: number, depth: number): void {
  if (depth > DEPTH_MAX) {
    throw new NaruError("invalid_argument", "the directory in the way is nested too deep");
  }
  for (const base of namesIn(folderFd)) {
    const name = kernelName(base);
    try {
      unlinkat(folderFd, name);
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOENT") continue;
      if (code !== "EISDIR" && code !== "EPERM") throw error;
      const below = openFolder(folderFd, base);
      if (below !== undefined) {
        try {
          removeContent(below, depth + 1);
        } finally {
          close(below);
        }
      }
      unlinkat(folderFd, name, AT_REMOVEDIR);
    }
  }
}

function pathBelow(folderFd: number, base: string): Buffer {
  return Buffer.from(`/proc/self/fd/${folderFd}/${base}`, "latin1");
}

/** What an archive or the container's state can cause, by errno. */
const BLAMES: ReadonlyMap<string, string> = new Map([
  ["ENAMETOOLONG", "the name is too long"],
  ["ENOTDIR", "a folder of this entry is not a directory"],
  ["EEXIST", "something appeared in its place meanwhile"],
  ["ELOOP", "too many symbolic links"],
  ["EINVAL", "a value that the kernel refuses"],
  ["EFBIG", "the file is too large for this file system"],
  ["EOVERFLOW", "a number is too large for this file system"],
  ["ENOENT", "a symbolic link that leads nowhere is in the way"],
  ["EMLINK", "too many hard links to one file"],
  ["E2BIG", "an extended attribute is too large"],
  ["EPERM", "the kernel does not permit it"],
  ["EBUSY", "something is mounted there"],
  ["EXDEV", "a hard link from one mount to another"],
  ["ENOTEMPTY", "the directory in the way is being filled"],
  ["EROFS", "the file system is read-only"],
  ["ETXTBSY", "the program in the way is running"],
]);

/** The path below the target, `..` resolved as text. Throws when it leads out of the target. */
export function cleanName(path: string, entryName: string = path): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw tarFailure(entryName, "the path leaves the target");
  }
  return parts.join("/");
}
