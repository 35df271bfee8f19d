import {
  type BigIntStats,
  closeSync,
  createReadStream,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { posix } from "node:path";
import { errorCode } from "../../base/mod.ts";
import { byteText, type TarFileInput, writeTar } from "../../oci/mod.ts";
import { ExitError } from "../exit-error.ts";
import {
  absoluteKept,
  assertsDirectory,
  type CopyInfo,
  type CopyPlan,
  followedPath,
  hasTrailingSlash,
  renameEntry,
  splitEntry,
} from "./copy-path.ts";

/** What is at a local path. The link in the last place is followed only when that is asked for. */
export async function localSource(
  path: string,
  options: { readonly followLink: boolean; readonly folder: string },
): Promise<CopyInfo> {
  const asked = absoluteKept(path, options.folder);
  try {
    const found = await resolveSource(asked, options.followLink);
    const status = await lstat(found.path);
    if (assertsDirectory(asked) && !status.isDirectory()) {
      throw new ExitError(1, `stat ${asked}: not a directory`);
    }
    return { ...found, exists: true, isDirectory: status.isDirectory() };
  } catch (error) {
    if (errorCode(error) !== "ENOENT" && errorCode(error) !== "ENOTDIR") throw error;
    const why = errorCode(error) === "ENOENT" ? "no such file or directory" : "not a directory";
    throw new ExitError(1, `lstat ${asked}: ${why}`, { cause: error });
  }
}

async function resolveSource(
  asked: string,
  followLink: boolean,
): Promise<{ path: string; rebaseName: string }> {
  if (followLink || assertsDirectory(asked)) return followedPath(asked, await realpath(asked));
  const { folder, base } = splitEntry(asked);
  if (base === "/") return { path: "/", rebaseName: "" };
  const path = posix.join(await realpath(folder), base);
  return { path: hasTrailingSlash(asked) ? `${path}/` : path, rebaseName: "" };
}

/** Where a copy to a local path goes; links are followed, and what is missing is made. */
export async function localTarget(path: string, folder: string): Promise<CopyInfo> {
  const asked = absoluteKept(path, folder);
  const absent = { path: asked, exists: false, isDirectory: false, rebaseName: "" };
  try {
    const resolved = await realpath(asked);
    const status = await lstat(resolved);
    if (assertsDirectory(asked) && !status.isDirectory()) {
      throw new ExitError(1, `invalid output path: ${path} is not a directory`);
    }
    return { path: resolved, exists: true, isDirectory: status.isDirectory(), rebaseName: "" };
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  const parent = posix.dirname(posix.resolve(asked));
  if (!(await isDirectory(parent))) {
    throw new ExitError(1, `invalid output path: directory "${parent}" does not exist`);
  }
  return absent;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(await realpath(path))).isDirectory();
  } catch {
    return false;
  }
}

/** The source as a tar, its first name changed as the plan says. */
export function archiveOf(source: CopyInfo, plan: CopyPlan): AsyncIterable<Uint8Array> {
  const { folder, base } = splitEntry(source.path);
  const shown = source.rebaseName === "" ? base : source.rebaseName;
  const local = base === "." ? folder : posix.join(folder, base);
  return writeTar(filesBelow(local, shown, plan));
}

/** Asks the file system synchronously: many small files are copied, and each await costs as much as one. */
function* filesBelow(
  top: string,
  shown: string,
  plan: CopyPlan,
): Generator<TarFileInput, void, undefined> {
  const linked = new Map<string, string>();
  const waiting: { path: string; name: string }[] = [{ path: top, name: shown }];
  for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
    const status = lstatSync(item.path, { bigint: true });
    const name = byteText(renameEntry(item.name, plan.rename));
    const entry = entryOf(item.path, name, status, linked);
    if (entry === undefined) continue; // a socket has no form in an archive
    yield entry;
    if (!status.isDirectory()) continue;
    const names = readdirSync(item.path);
    for (const child of names.sort().reverse()) {
      const prefix = item.name === "/" ? "" : item.name;
      waiting.push({ path: posix.join(item.path, child), name: `${prefix}/${child}` });
    }
  }
}

function entryOf(
  path: string,
  name: string,
  status: BigIntStats,
  linked: Map<string, string>,
): TarFileInput | undefined {
  const common = {
    mode: Number(status.mode) & 0o7777,
    uid: Number(status.uid),
    gid: Number(status.gid),
    mtimeNs: status.mtimeNs,
  };
  if (status.isDirectory()) return { entry: { ...common, name: `${name}/`, type: "directory" } };
  if (status.isSymbolicLink()) {
    const linkName = byteText(readlinkSync(path));
    return { entry: { ...common, name, type: "symlink", linkName } };
  }
  if (status.isFIFO()) return { entry: { ...common, name, type: "fifo" } };
  if (status.isCharacterDevice() || status.isBlockDevice()) {
    const device = Number(status.rdev);
    const type = status.isBlockDevice() ? "block" : "char";
    const deviceMajor = (device >> 8) & 0xfff;
    const deviceMinor = (device & 0xff) | ((device >> 12) & 0xfff00);
    return { entry: { ...common, name, type, deviceMajor, deviceMinor } };
  }
  if (!status.isFile()) return undefined;
  const inode = `${status.dev}:${status.ino}`;
  const first = status.nlink > 1n ? linked.get(inode) : undefined;
  if (first !== undefined) return { entry: { ...common, name, type: "hardlink", linkName: first } };
  if (status.nlink > 1n) linked.set(inode, name);
  const sizeBytes = Number(status.size);
  return { entry: { ...common, name, sizeBytes }, content: contentOf(path, sizeBytes) };
}

const READ_BYTES = 256 * 1024;
const SMALL_BYTES_MAX = READ_BYTES; // read at once; a stream costs as much as ten such reads

function contentOf(
  path: string,
  sizeBytes: number,
): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  return sizeBytes <= SMALL_BYTES_MAX ? smallFile(path, sizeBytes) : exactly(path, sizeBytes);
}

function* smallFile(path: string, sizeBytes: number): Generator<Uint8Array, void, undefined> {
  const bytes = Buffer.alloc(sizeBytes); // zeros: a file that shrinks is filled
  const fd = openSync(path, "r");
  try {
    for (let at = 0; at < sizeBytes; ) {
      const got = readSync(fd, bytes, at, sizeBytes - at, at);
      if (got === 0) break;
      at += got;
    }
  } finally {
    closeSync(fd);
  }
  yield bytes;
}

/** As many bytes as were announced: a file that grows is cut, one that shrinks is filled. */
async function* exactly(path: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let rest = sizeBytes;
  const options = { end: sizeBytes - 1, highWaterMark: READ_BYTES };
  for await (const chunk of createReadStream(path, options) as AsyncIterable<Uint8Array>) {
    yield chunk;
    rest -= chunk.byteLength;
  }
  for (; rest > 0; rest -= READ_BYTES) yield new Uint8Array(Math.min(rest, READ_BYTES));
}
