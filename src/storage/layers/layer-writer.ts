import { rmSync } from "node:fs";
import { errorCode, isNaruError, NaruError } from "../../base/mod.ts";
import {
  close,
  fchmod,
  fchmodat,
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
  O_RDONLY,
  O_WRONLY,
  openat,
  type PathText,
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
import { type TarEntry, type TarHandler, tarFailure } from "../../oci/mod.ts";
import { diskError } from "../disk-error.ts";
import { DirectoryCache, kernelPath } from "./directory-cache.ts";
import { whiteoutOf } from "./whiteout.ts";

const WHITEOUT_DEVICE = { major: 0, minor: 0 };
const OPAQUE = "trusted.overlay.opaque";
// Attributes of another overlay's state, not of files: taken over they would redirect this one.
const OVERLAY_XATTR = /^(?:trusted|user)\.overlay\./;
// Not every file system takes every attribute (user.* on tmpfs); Docker goes on without them too.
const XATTR_IGNORED: ReadonlySet<string> = new Set(["ENOTSUP", "EOPNOTSUPP"]);

/**
 * Writes the entries of a layer beneath one directory, in overlay's form. Later entries win. The
 * process must be root with umask 0. Directories get their owner, mode and times in `finish`, so
 * that filling them does not change them and a set-group-id bit is not inherited.
 */
export class LayerWriter implements TarHandler {
  readonly #rootFd: number;
  readonly #directories: DirectoryCache;
  readonly #attributes: Map<string, TarEntry> = new Map();
  readonly #whiteouts: Set<string> = new Set();
  readonly #opaque: Set<string> = new Set();
  #fileFd = -1;
  #file: TarEntry | undefined;
  #sizeBytes = 0;
  #skippedXattrs = 0;

  constructor(rootFd: number) {
    this.#rootFd = rootFd;
    this.#directories = new DirectoryCache(rootFd, (path) => this.#clearWhiteout(path));
  }

  /** Bytes of regular files so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Attributes that this file system does not take. */
  get skippedXattrs(): number {
    return this.#skippedXattrs;
  }

  entry(entry: TarEntry): void {
    try {
      this.#write(entry);
    } catch (error) {
      throw this.#explain(error, entry.name);
    }
  }

  data(bytes: Uint8Array, offset: number): void {
    if (this.#fileFd === -1) return; // content of a reserved aufs name
    let rest = bytes;
    let at = offset;
    try {
      while (rest.byteLength > 0) {
        const written = pwrite(this.#fileFd, rest, at);
        at += written;
        rest = rest.subarray(written);
      }
    } catch (error) {
      throw this.#explain(error, this.#file?.name ?? "");
    }
  }

  entryEnd(): void {
    const entry = this.#file;
    if (entry === undefined) return;
    try {
      if (entry.sparse) ftruncate(this.#fileFd, entry.sizeBytes);
      this.#finishFile(this.#fileFd, entry);
    } catch (error) {
      throw this.#explain(error, entry.name);
    } finally {
      this.#closeFile();
    }
  }

  /** Gives the directories what is theirs. */
  finish(): void {
    for (const [path, entry] of this.#attributes) {
      try {
        this.#finishDirectory(path, entry);
      } catch (error) {
        throw this.#explain(error, entry.name);
      }
    }
  }

  /** Frees descriptors; after `finish` or instead of it. */
  close(): void {
    this.#closeFile();
    this.#directories.forget();
  }

  #closeFile(): void {
    if (this.#fileFd !== -1) close(this.#fileFd);
    this.#fileFd = -1;
    this.#file = undefined;
  }

  #write(entry: TarEntry): void {
    const path = cleanPath(entry.name);
    if (path === "") {
      if (entry.type !== "directory") throw tarFailure(entry.name, "the root is not a directory");
      this.#attributes.set("", entry);
      return;
    }
    const slash = path.lastIndexOf("/");
    const folder = slash === -1 ? "" : path.slice(0, slash);
    const base = path.slice(slash + 1);
    const whiteout = whiteoutOf(base);
    if (whiteout?.kind === "reserved") return;
    const folderFd = this.#directories.get(folder);
    if (whiteout?.kind === "opaque") {
      this.#setOpaque(folder, folderFd);
    } else if (whiteout?.kind === "remove") {
      this.#whiteOut(folder, folderFd, whiteout.name, entry.name);
    } else {
      this.#make(entry, path, folder, base);
    }
  }

  #make(entry: TarEntry, path: string, folder: string, base: string): void {
    const name = kernelPath(base);
    const folderFd = this.#directories.get(folder);
    try {
      this.#create(entry, path, folderFd, name);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
      if (!this.#replace(entry, path, folderFd, base)) return;
      // Asked for again: making room may have closed the descriptor.
      this.#create(entry, path, this.#directories.get(folder), name);
    }
  }

  #create(entry: TarEntry, path: string, folderFd: number, name: PathText): void {
    switch (entry.type) {
      case "file":
        this.#fileFd = openat(
          folderFd,
          name,
          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
          entry.mode & 0o777,
        );
        this.#file = entry;
        this.#sizeBytes += entry.sizeBytes;
        return;
      case "directory":
        mkdirat(folderFd, name, 0o700);
        this.#attributes.set(path, entry);
        return;
      case "hardlink":
        this.#link(entry, path, folderFd, name);
        return;
      case "symlink":
        symlinkat(kernelPath(entry.linkName), folderFd, name);
        break;
      case "char":
      case "block": {
        const device = { major: entry.deviceMajor, minor: entry.deviceMinor };
        const type = entry.type === "char" ? S_IFCHR : S_IFBLK;
        mknodat(folderFd, name, type | (entry.mode & 0o777), device);
        break;
      }
      case "fifo":
        mknodat(folderFd, name, S_IFIFO | (entry.mode & 0o777), WHITEOUT_DEVICE);
        break;
    }
    this.#finishNode(entry, folderFd, name);
  }

  #link(entry: TarEntry, path: string, folderFd: number, name: PathText): void {
    const target = cleanPath(entry.linkName, entry.name);
    if (target === path) throw tarFailure(entry.name, "a hard link to itself");
    const slash = target.lastIndexOf("/");
    const targetFd = this.#directories.existing(slash === -1 ? "" : target.slice(0, slash));
    const missing = (): NaruError =>
      tarFailure(entry.name, "a hard link to something that is not in this layer before it");
    if (targetFd === undefined || this.#whiteouts.has(target)) throw missing();
    try {
      linkat(targetFd, kernelPath(target.slice(slash + 1)), folderFd, name);
    } catch (error) {
      if (errorCode(error) === "ENOENT") throw missing();
      if (errorCode(error) === "EPERM") throw tarFailure(entry.name, "a hard link to a directory");
      throw error;
    }
  }

  /** Makes room for `entry` where something is. False: what is there stays and is enough. */
  #replace(entry: TarEntry, path: string, folderFd: number, base: string): boolean {
    const name = kernelPath(base);
    if (this.#whiteouts.delete(path)) {
      unlinkat(folderFd, name);
      if (entry.type !== "directory") return true;
      // What is below was removed and a new directory made: nothing of the old one shows through.
      mkdirat(folderFd, name, 0o700);
      this.#setOpaqueAt(folderFd, name);
      this.#attributes.set(path, entry);
      return false;
    }
    const isDirectory = (statat(folderFd, name).mode & S_IFMT) === S_IFDIR;
    if (isDirectory && entry.type === "directory") {
      this.#attributes.set(path, entry);
      return false;
    }
    if (entry.type === "hardlink" && cleanPath(entry.linkName, entry.name) === path) return false;
    if (isDirectory) this.#removeTree(path, folderFd, base);
    else unlinkat(folderFd, name);
    this.#directories.forget(); // a folder or a link on the way may have changed
    return true;
  }

  #removeTree(path: string, folderFd: number, base: string): void {
    // Only this process writes here, and rm follows no link: it stays inside.
    const name = Buffer.concat([
      Buffer.from(`/proc/self/fd/${folderFd}/`),
      Buffer.from(base, "latin1"),
    ]);
    rmSync(name, { recursive: true, force: true });
    const below = `${path}/`;
    for (const set of [this.#attributes, this.#whiteouts, this.#opaque]) {
      for (const known of set.keys())
        if (known === path || known.startsWith(below)) set.delete(known);
    }
  }

  #whiteOut(folder: string, folderFd: number, base: string, entryName: string): void {
    if (base === "" || base === "." || base === "..") {
      throw tarFailure(entryName, "a whiteout of nothing");
    }
    const path = folder === "" ? base : `${folder}/${base}`;
    const name = kernelPath(base);
    try {
      mknodat(folderFd, name, S_IFCHR, WHITEOUT_DEVICE);
      this.#whiteouts.add(path);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
      // The layer has something of this name itself: it hides the old file; an old directory
      // would be merged with it, unless it is opaque.
      if ((statat(folderFd, name).mode & S_IFMT) === S_IFDIR) this.#setOpaqueAt(folderFd, name);
    }
  }

  /** True when a whiteout was in the way of directory `path` and an opaque directory replaced it. */
  #clearWhiteout(path: string): boolean {
    if (!this.#whiteouts.delete(path)) return false;
    const slash = path.lastIndexOf("/");
    const folderFd = this.#directories.get(slash === -1 ? "" : path.slice(0, slash));
    const name = kernelPath(path.slice(slash + 1));
    unlinkat(folderFd, name);
    mkdirat(folderFd, name, 0o755);
    this.#setOpaqueAt(folderFd, name);
    return true;
  }

  #setOpaque(folder: string, folderFd: number): void {
    if (this.#opaque.has(folder)) return;
    this.#opaque.add(folder);
    lsetxattr(`/proc/self/fd/${folderFd}/.`, OPAQUE, Buffer.from("y"));
  }

  #setOpaqueAt(folderFd: number, name: PathText): void {
    const fd = openat(folderFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      fsetxattr(fd, OPAQUE, Buffer.from("y"));
    } finally {
      close(fd);
    }
  }

  #finishFile(fd: number, entry: TarEntry): void {
    if (entry.uid !== 0 || entry.gid !== 0) fchown(fd, entry.uid, entry.gid);
    // After chown, which takes these bits away.
    if ((entry.mode & 0o7000) !== 0) fchmod(fd, entry.mode);
    for (const [name, value] of entry.xattrs) {
      this.#setXattr(name, () => fsetxattr(fd, name, Buffer.from(value, "latin1")));
    }
    futimens(fd, entry.mtimeNs, entry.mtimeNs);
  }

  #finishNode(entry: TarEntry, folderFd: number, name: PathText): void {
    if (entry.uid !== 0 || entry.gid !== 0) fchownat(folderFd, name, entry.uid, entry.gid);
    if (entry.type !== "symlink" && (entry.mode & 0o7000) !== 0) {
      fchmodat(folderFd, name, entry.mode);
    }
    if (entry.xattrs.size > 0) {
      const text = typeof name === "string" ? Buffer.from(name) : name;
      const path = Buffer.concat([Buffer.from(`/proc/self/fd/${folderFd}/`), text]);
      for (const [key, value] of entry.xattrs) {
        this.#setXattr(key, () => lsetxattr(path, key, Buffer.from(value, "latin1")));
      }
    }
    utimensat(folderFd, name, entry.mtimeNs, entry.mtimeNs);
  }

  #finishDirectory(path: string, entry: TarEntry): void {
    const slash = path.lastIndexOf("/");
    const folderFd = this.#directories.get(slash === -1 ? "" : path.slice(0, slash));
    const name = path === "" ? "." : kernelPath(path.slice(slash + 1));
    const fd = openat(
      path === "" ? this.#rootFd : folderFd,
      name,
      O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
    );
    try {
      fchown(fd, entry.uid, entry.gid);
      fchmod(fd, entry.mode);
      for (const [key, value] of entry.xattrs) {
        this.#setXattr(key, () => fsetxattr(fd, key, Buffer.from(value, "latin1")));
      }
      futimens(fd, entry.mtimeNs, entry.mtimeNs);
    } finally {
      close(fd);
    }
  }

  #setXattr(name: string, set: () => void): void {
    if (OVERLAY_XATTR.test(name)) return;
    try {
      set();
    } catch (error) {
      if (!XATTR_IGNORED.has(errorCode(error) ?? "")) throw error;
      this.#skippedXattrs += 1;
    }
  }

  /** A failed call as what it means for the archive's sender. */
  #explain(error: unknown, name: string): unknown {
    if (isNaruError(error)) return error;
    const code = errorCode(error);
    if (code === undefined) return error;
    const blame = BLAMES.get(code);
    if (blame !== undefined) return tarFailure(name, blame);
    const full = diskError(error, "unpacking a layer");
    if (full !== error) return full;
    const message = `unpacking entry "${name}" failed: ${code}`;
    return new NaruError("internal", message, { code }, { cause: error });
  }
}

/** What an archive can cause by what it holds, by errno. */
const BLAMES: ReadonlyMap<string, string> = new Map([
  ["ENAMETOOLONG", "the name is too long"],
  ["ENOTDIR", "a folder of this entry is not a directory in the archive"],
  ["ELOOP", "too many symbolic links"],
  ["EXDEV", "the path leaves the layer"],
  ["EINVAL", "a value that the kernel refuses"],
  ["EFBIG", "the file is too large for this file system"],
  ["EOVERFLOW", "a number is too large for this file system"],
  ["ENOENT", "a symbolic link without a target, or a folder that is a dangling link"],
  ["EMLINK", "too many hard links to one file"],
  ["E2BIG", "an extended attribute is too large"],
  ["ERANGE", "an extended attribute is too large"],
  ["EISDIR", "a directory is in the way"],
]);

/** The path without empty and `.` parts and without a slash at its ends. Throws on `..`. */
export function cleanPath(path: string, entryName: string = path): string {
  // The usual form needs no work: `a/b/c` or `a/b/`.
  const trimmed = path.endsWith("/") ? path.slice(0, -1) : path;
  if (!/(?:^|\/)\.{0,2}(?:\/|$)/.test(trimmed)) return trimmed;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw tarFailure(entryName, 'a path with ".." leaves the layer');
  return parts.join("/");
}
