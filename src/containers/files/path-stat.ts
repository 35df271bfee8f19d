import { posix } from "node:path";
import { errorCode, formatTimestamp, NaruError } from "../../base/mod.ts";
import {
  close,
  type FileStatus,
  O_NOFOLLOW,
  O_PATH,
  openat2,
  readlinkat,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFSOCK,
  statat,
} from "../../linux/mod.ts";
import type { PathStat } from "./protocol.ts";
import { IN_ROOT } from "./root.ts";

const LINKS_MAX = 40; // the kernel's own limit (MAXSYMLINKS)

/** A name in a container: its folder is resolved through links, itself it is not. */
export interface Located {
  readonly folderFd: number;
  /** In the folder; "" when the folder itself is meant. */
  readonly base: string;
  readonly status: FileStatus;
  /** What its entries in an archive are named after. */
  readonly shownName: string;
}

/** The path from the root, with a trailing slash or `/.` kept: they ask for what a link leads to. */
export function absolutePath(path: string): string {
  const clean = posix.join("/", path.replace(/\/+\.?$/, "/"));
  if (/(?:^|\/)\.$/.test(path)) return clean.endsWith("/") ? `${clean}.` : `${clean}/.`;
  return clean;
}

/** Docker's name for a path (Go's filepath.Base): `/a/b/` is `b`, `/a/.` is `.`, `/` is `/`. */
export function shownNameOf(absolute: string): string {
  const trimmed = absolute.replace(/\/+$/, "");
  return trimmed === "" ? "/" : trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

/** Throws not_found (the name alone, for the caller to word), invalid_argument for `file/x`. */
export function locate(rootFd: number, path: string): Located {
  const absolute = absolutePath(path);
  const slash = absolute.lastIndexOf("/");
  const last = absolute.slice(slash + 1);
  const base = last === "." ? "" : last;
  try {
    const folder = absolute.slice(0, slash) || "/";
    const folderFd = openat2(rootFd, folder, { flags: O_PATH, resolve: IN_ROOT });
    try {
      const status = statat(folderFd, base);
      const isFolder = (status.mode & S_IFMT) === S_IFDIR;
      if (base === "" && !isFolder) throw notADirectory(path);
      return { folderFd, base, status, shownName: shownNameOf(absolute) };
    } catch (error) {
      close(folderFd);
      throw error;
    }
  } catch (error) {
    throw pathError(error, path);
  }
}

/** What a failed look at a name means for who asked for it. */
export function pathError(error: unknown, path: string): unknown {
  switch (errorCode(error)) {
    case "ENOENT":
      return new NaruError("not_found", path, { missing: true }, { cause: error });
    case "ENOTDIR":
      return notADirectory(path, error);
    case "ELOOP":
      return new NaruError(
        "invalid_argument",
        `${path}: too many levels of symbolic links`,
        {},
        { cause: error },
      );
    case "ENAMETOOLONG":
      return new NaruError("invalid_argument", "the path is too long", {}, { cause: error });
    default:
      return error;
  }
}

function notADirectory(path: string, cause?: unknown): NaruError {
  return new NaruError("invalid_argument", `lstat ${path}: not a directory`, {}, { cause });
}

export function pathStatOf(rootFd: number, path: string, found: Located): PathStat {
  const { status } = found;
  const isLink = (status.mode & S_IFMT) === S_IFLNK;
  return {
    name: found.shownName,
    size: status.sizeBytes,
    mode: goFileMode(status.mode),
    mtime: formatTimestamp(status.mtimeNs),
    linkTarget: isLink ? resolveLinks(rootFd, absolutePath(path)) : "",
  };
}

const GO_TYPES: ReadonlyMap<number, number> = new Map([
  [S_IFDIR, 2 ** 31],
  [S_IFLNK, 2 ** 27],
  [S_IFBLK, 2 ** 26],
  [S_IFCHR, 2 ** 26 + 2 ** 21],
  [S_IFIFO, 2 ** 25],
  [S_IFSOCK, 2 ** 24],
]);

/** The kernel's mode as Go's os.FileMode. */
export function goFileMode(mode: number): number {
  let result = (mode & 0o777) + (GO_TYPES.get(mode & S_IFMT) ?? 0);
  if ((mode & 0o4000) !== 0) result += 2 ** 23;
  if ((mode & 0o2000) !== 0) result += 2 ** 22;
  if ((mode & 0o1000) !== 0) result += 2 ** 20;
  return result;
}

/** Where a path leads with all links followed; what does not exist stays as it is written. */
function resolveLinks(rootFd: number, absolute: string): string {
  let resolved: string[] = [];
  let rest = absolute.split("/").filter((part) => part !== "" && part !== ".");
  for (let links = 0; rest.length > 0; ) {
    const [part = "", ...after] = rest;
    rest = after;
    if (part === "..") {
      resolved.pop();
      continue;
    }
    const target = linkTextAt(rootFd, [...resolved, part].join("/"));
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > LINKS_MAX) throw pathError({ code: "ELOOP" }, absolute);
    if (target.startsWith("/")) resolved = [];
    rest = [...target.split("/").filter((word) => word !== "" && word !== "."), ...rest];
  }
  return `/${resolved.join("/")}`;
}

function linkTextAt(rootFd: number, path: string): string | undefined {
  let fd: number;
  try {
    fd = openat2(rootFd, path, { flags: O_PATH | O_NOFOLLOW, resolve: IN_ROOT });
  } catch {
    return undefined; // not there
  }
  try {
    if ((statat(fd, "").mode & S_IFMT) !== S_IFLNK) return undefined;
    return readlinkat(fd, "").toString("utf8");
  } finally {
    close(fd);
  }
}
