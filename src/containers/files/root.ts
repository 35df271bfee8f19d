import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { errorCode, NaruError } from "../../base/mod.ts";
import {
  CLONE_FS,
  CLONE_NEWNS,
  chdir,
  close,
  isAlive,
  MS_BIND,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  MS_SLAVE,
  mkdirat,
  mknodat,
  mount,
  mountOverlay,
  mountsBelow,
  O_DIRECTORY,
  O_PATH,
  type OverlayRequest,
  open,
  openat2,
  overlayHasLowerdirPlus,
  parseMountinfo,
  plainOverlayOptions,
  planOverlay,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  statat,
  umask,
  umountDetached,
  unshare,
} from "../../linux/mod.ts";
import type { RootSource, UpperSource, ViewBind } from "./protocol.ts";

/*
 * How the files of a container come into sight. What has to be mounted for that is mounted in a
 * mount namespace of this thread alone: it is gone with the thread, whether the job ends, the
 * engine is killed or the machine stops, and nobody else ever sees it.
 */

/** How names from the container are resolved: its root is `/`, and /proc leads nowhere else. */
export const IN_ROOT: number = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/** A descriptor of the root of a container. Throws conflict when the run has ended meanwhile. */
export async function openRoot(
  source: RootSource,
  fill: (rootFd: number) => Promise<void>,
): Promise<number> {
  switch (source.kind) {
    case "process":
      unshare(CLONE_FS);
      umask(0);
      return openProcessRoot(source);
    case "directory":
      unshare(CLONE_FS);
      umask(0);
      return open(source.path, O_PATH | O_DIRECTORY);
    case "overlay":
      return openOverlay(source, fill);
  }
}

function openProcessRoot(source: RootSource & { kind: "process" }): number {
  const gone = new NaruError("conflict", "the container stopped while its files were looked at");
  let fd: number;
  try {
    fd = open(`/proc/${source.pid}/root`, O_PATH | O_DIRECTORY);
  } catch (error) {
    throw errorCode(error) === "ENOENT" || errorCode(error) === "ESRCH" ? gone : error;
  }
  // Still alive after it was opened: it was the container's and not that of a number used again.
  if (isAlive(source.pid, source.startTime)) return fd;
  close(fd);
  throw gone;
}

function enterNamespace(bundlesDir: string): void {
  unshare(CLONE_NEWNS);
  umask(0);
  // What is unmounted outside goes here too, and nothing that is mounted here is seen outside.
  mount({ source: "none", target: "/", flags: MS_REC | MS_SLAVE });
  const mounts = parseMountinfo(readFileSync("/proc/thread-self/mountinfo", "utf8"));
  for (const { target } of mountsBelow(bundlesDir, mounts)) umountDetached(target);
}

async function openOverlay(
  source: RootSource & { kind: "overlay" },
  fill: (rootFd: number) => Promise<void>,
): Promise<number> {
  const { dirs, mountPoint: target } = source;
  enterNamespace(source.bundlesDir);
  const writable = { upper: dirs.upper, work: dirs.work };
  const options = plainOverlayOptions();
  await mountHere({ lower: dirs.lower, writable, target, options });
  const rootFd = open(target, O_PATH | O_DIRECTORY);
  try {
    if (source.fillFirst) await fill(rootFd);
    for (const bind of source.binds) await showBind(rootFd, bind, target);
  } catch (error) {
    close(rootFd);
    throw error;
  }
  if (source.readOnly) {
    mount({ source: "none", target, flags: MS_REMOUNT | MS_BIND | MS_RDONLY });
  }
  return rootFd;
}

/** As mountOverlay, but with the current directory of this thread, which is its own. */
async function mountHere(request: OverlayRequest): Promise<void> {
  const plan = planOverlay(request, { lowerdirPlus: overlayHasLowerdirPlus() });
  if (plan.kind !== "relative") return mountOverlay(request);
  chdir(plan.folder);
  mount({
    source: "overlay",
    target: request.target,
    type: "overlay",
    options: plan.options,
  });
  chdir("/");
}

/** The lower directories of a container as one, in a mount namespace of this thread. */
export async function openLower(source: UpperSource): Promise<number> {
  enterNamespace(source.bundlesDir);
  const [only, ...more] = source.dirs.lower;
  if (only !== undefined && more.length === 0) return open(only, O_PATH | O_DIRECTORY);
  await mountHere({ lower: source.dirs.lower, target: source.mountPoint });
  return open(source.mountPoint, O_PATH | O_DIRECTORY);
}

/** A source that is not there any more is left out: there is nothing to show. */
async function showBind(rootFd: number, bind: ViewBind, mountPoint: string): Promise<void> {
  const layers = typeof bind.source === "string" ? [] : bind.source;
  const stacked = layers.length > 1;
  // Over the root for a moment, which is reached by its descriptor.
  if (stacked) await mountHere({ lower: layers, target: mountPoint });
  try {
    bindSource(rootFd, bind, stacked ? mountPoint : undefined);
  } finally {
    if (stacked) umountDetached(mountPoint);
  }
}

function bindSource(rootFd: number, bind: ViewBind, mounted: string | undefined): void {
  let sourceFd: number;
  try {
    sourceFd = openSource(bind, mounted);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  try {
    const isDirectory = (statat(sourceFd, "").mode & S_IFMT) === S_IFDIR;
    const target = openMountPoint(rootFd, bind.destination, isDirectory);
    if (target === undefined) return;
    try {
      const flags = MS_BIND | MS_REC;
      mount({ source: `/proc/self/fd/${sourceFd}`, target: `/proc/self/fd/${target}`, flags });
    } finally {
      close(target);
    }
    if (bind.readOnly) makeReadOnly(rootFd, bind.destination);
  } finally {
    close(sourceFd);
  }
}

/** A part of a volume is resolved inside it: the links on the way are a container's. */
function openSource({ source, subpath }: ViewBind, mounted: string | undefined): number {
  const single = typeof source === "string" ? source : (source[0] ?? "");
  const fd = open(mounted ?? single, O_PATH);
  if (subpath === "") return fd;
  try {
    return openat2(fd, subpath, { flags: O_PATH, resolve: IN_ROOT });
  } finally {
    close(fd);
  }
}

function makeReadOnly(rootFd: number, destination: string): void {
  const fd = openat2(rootFd, destination, { flags: O_PATH, resolve: IN_ROOT });
  try {
    const flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
    mount({ source: "none", target: `/proc/self/fd/${fd}`, flags });
  } finally {
    close(fd);
  }
}

/** Made when missing, as a start would. Undefined when something else is in the way. */
function openMountPoint(
  rootFd: number,
  destination: string,
  isDirectory: boolean,
): number | undefined {
  const parts = posix.resolve("/", destination).split("/").slice(1);
  for (let depth = 1; depth <= parts.length; depth += 1) {
    const name = parts.slice(0, depth).join("/");
    const isLast = depth === parts.length;
    const found = tryOpen(rootFd, name);
    if (found !== undefined) {
      const fits = ((statat(found, "").mode & S_IFMT) === S_IFDIR) === (isDirectory || !isLast);
      if (isLast && fits) return found;
      close(found);
      if (!fits) return undefined;
      continue;
    }
    const parent = tryOpen(rootFd, parts.slice(0, depth - 1).join("/") || ".");
    if (parent === undefined) return undefined;
    try {
      const base = parts[depth - 1] as string;
      if (isDirectory || !isLast) mkdirat(parent, base, 0o755);
      else mknodat(parent, base, S_IFREG | 0o644, { major: 0, minor: 0 });
    } catch (error) {
      if (errorCode(error) === "EEXIST") return undefined; // a link that leads nowhere
      throw error;
    } finally {
      close(parent);
    }
  }
  return tryOpen(rootFd, destination);
}

function tryOpen(rootFd: number, name: string): number | undefined {
  try {
    return openat2(rootFd, name, { flags: O_PATH, resolve: IN_ROOT });
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
    throw error;
  }
}
