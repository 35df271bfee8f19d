import { mkdirSync, readdirSync, rmdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, errorCode, NaruError } from "../base/mod.ts";
import {
  close,
  MS_BIND,
  MS_REC,
  mount,
  mountIdMapped,
  mountOverlay,
  O_DIRECTORY,
  O_PATH,
  open,
  openat2,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  umountDetached,
} from "../linux/mod.ts";
import type { Room } from "./room.ts";
import { bundleDir } from "./room.ts";

/*
 * Mounts of the host that only live while the runtime makes a container: it binds what it finds
 * there, which keeps it alive, and the name goes. So a path inside a volume cannot be exchanged for
 * a link between our look and the runtime's, and an image needs no mount of its own afterwards.
 */

const FOLDER = "staged";
const EMPTY = "empty";

function folderOf(bundle: string): string {
  return join(bundle, FOLDER);
}

/**
 * Binds `subpath` of the directory `root` and returns where. No link leads out of `root`. Throws
 * invalid_argument when there is no such path or it leads out.
 */
export function stageSubpath(
  room: Room,
  id: string,
  from: { readonly root: string; readonly subpath: string; readonly name: string },
): string {
  const fd = openBeneath(from.root, from.subpath);
  try {
    return stage(room, id, { name: from.name, source: `/proc/self/fd/${fd}`, recursive: true });
  } finally {
    close(fd);
  }
}

/**
 * Binds `source` without what is mounted beneath it and returns where: crun 1.8.1 takes that along
 * even when it is told `bind` and not `rbind`.
 */
export function stageAlone(
  room: Room,
  id: string,
  from: { readonly source: string; readonly name: string },
): string {
  return stage(room, id, { ...from, recursive: false });
}

/** Binds `source` with its owner seen as `user` (and the other way round), and returns where. */
export async function stageIdMapped(
  room: Room,
  id: string,
  from: {
    readonly source: string;
    readonly name: string;
    readonly recursive: boolean;
    readonly user: { readonly uid: number; readonly gid: number };
  },
): Promise<string> {
  const { source, user, recursive } = from;
  const owner = statSync(source);
  const target = stagedName(room, id, from);
  try {
    await mountIdMapped(source, target, {
      user: { onDisk: owner.uid, seenAs: user.uid },
      group: { onDisk: owner.gid, seenAs: user.gid },
      recursive,
    });
  } catch (cause) {
    const code = errorCode(cause) ?? "";
    if (!["EINVAL", "ENOSYS", "EOPNOTSUPP"].includes(code)) throw cause;
    const message = `BindOptions.IDMapping: the kernel or the file system of ${source} has no id-mapped mounts (${code})`;
    throw new NaruError("unsupported", message, { field: "BindOptions" }, { cause });
  }
  return target;
}

function stage(
  room: Room,
  id: string,
  from: { readonly source: string; readonly name: string; readonly recursive: boolean },
): string {
  const { source } = from;
  const target = stagedName(room, id, from);
  mount({ source, target, flags: from.recursive ? MS_BIND | MS_REC : MS_BIND });
  return target;
}

/** Makes what `source` is mounted over: a directory, or a file for anything else. */
function stagedName(
  room: Room,
  id: string,
  { source, name }: { readonly source: string; readonly name: string },
): string {
  const folder = folderOf(bundleDir(room, id));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const target = join(folder, name);
  if (statSync(source).isDirectory()) mkdirSync(target);
  else writeFileSync(target, "");
  return target;
}

function openBeneath(root: string, subpath: string): number {
  const rootFd = open(root, O_PATH | O_DIRECTORY);
  try {
    const resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    return openat2(rootFd, subpath, { flags: O_PATH, resolve });
  } catch (cause) {
    const code = errorCode(cause);
    if (code === "EXDEV" || code === "ELOOP") {
      throw invalid(subpath, "it leads out of what is mounted", cause);
    }
    if (code === "ENOENT" || code === "ENOTDIR") throw invalid(subpath, "no such path", cause);
    throw cause;
  } finally {
    close(rootFd);
  }
}

function invalid(subpath: string, why: string, cause: unknown): NaruError {
  const message = `cannot mount the subpath ${JSON.stringify(subpath)}: ${why}`;
  return new NaruError("invalid_argument", message, { field: "Subpath" }, { cause });
}

/** Mounts the layers of an image read-only and returns where. */
export async function stageImage(
  room: Room,
  id: string,
  image: { readonly chainId: Digest | null; readonly name: string },
): Promise<string> {
  const folder = folderOf(bundleDir(room, id));
  const empty = join(folder, EMPTY);
  mkdirSync(empty, { recursive: true, mode: 0o700 });
  if (image.chainId === null) return empty;
  const layers = room.options.layers.lowerDirs(image.chainId);
  const target = join(folder, image.name);
  mkdirSync(target);
  // Without a writable layer overlay wants two.
  await mountOverlay({ lower: layers.length === 1 ? [...layers, empty] : layers, target });
  return target;
}

/** Takes the names away, whoever left them. Idempotent. */
export function unstage(bundle: string): void {
  const folder = folderOf(bundle);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  for (const name of names) {
    const path = join(folder, name);
    while (umountDetached(path)) {
      // Mounted twice by whatever went wrong: until nothing is left.
    }
    // Never recursive: a mount that would not go must not be emptied.
    if (statSync(path).isDirectory()) rmdirSync(path);
    else unlinkSync(path);
  }
  rmdirSync(folder);
}
