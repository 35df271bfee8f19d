import { accessSync, constants } from "node:fs";
import { errorCode, NaruError } from "../../base/mod.ts";
import { close, O_DIRECTORY, O_PATH, openat2, statat } from "../../linux/mod.ts";
import { TarParser, tarFailure } from "../../oci/mod.ts";
import { readInRoot } from "../rootfs.ts";
import { resolveUser } from "../user.ts";
import { FileChannel } from "./channel.ts";
import { TreeWriter } from "./extract.ts";
import { absolutePath, locate, pathError, pathStatOf } from "./path-stat.ts";
import type { FileAnswer, FileJob, FileRequest } from "./protocol.ts";
import { recordOf } from "./protocol.ts";
import { writeExport, writeLocated } from "./read-job.ts";
import { IN_ROOT, openLower, openRoot } from "./root.ts";
import { writeChanges, writeLayer } from "./upper.ts";

/*
 * One job on the files of a container, in a thread of its own: reading and writing block, and the
 * mounts that the job needs live in this thread's mount namespace and end with it.
 */
declare const self: Worker;

const post = (answer: FileAnswer, transfer?: ArrayBuffer[]): void => {
  if (transfer === undefined) self.postMessage(answer);
  else self.postMessage(answer, transfer);
};
const channel = new FileChannel(post);

self.onmessage = ({ data }: MessageEvent<FileRequest>) => {
  if (data.kind === "job") void run(data.job);
  else channel.received(data);
};

async function run(job: FileJob): Promise<void> {
  try {
    await perform(job);
    post({ kind: "done" });
  } catch (error) {
    post({ kind: "failed", error: recordOf(error) });
  }
}

/** The main thread copies what the image has where an empty volume is going to be. */
async function fill(rootFd: number): Promise<void> {
  post({ kind: "mounted", rootFd });
  await channel.filled();
}

async function perform(job: FileJob): Promise<void> {
  if (job.kind === "changes" || job.kind === "layer") {
    const lowerFd = await openLower(job.source);
    try {
      post({ kind: "ready", stat: null });
      const write = job.kind === "changes" ? writeChanges : writeLayer;
      await write(job.source.dirs.upper, lowerFd, channel);
    } finally {
      close(lowerFd);
    }
    return;
  }
  const rootFd = await openRoot(job.root, fill);
  try {
    if (job.kind === "write") await write(job, rootFd);
    else await read(job, rootFd);
  } finally {
    close(rootFd);
  }
}

async function read(
  job: FileJob & { kind: "stat" | "read" | "export" },
  rootFd: number,
): Promise<void> {
  if (job.kind === "export") {
    post({ kind: "ready", stat: null });
    return writeExport(rootFd, channel);
  }
  const found = locate(rootFd, job.path);
  try {
    post({ kind: "ready", stat: pathStatOf(rootFd, job.path, found) });
    if (job.kind === "stat") return;
    const live = job.root.kind === "process";
    const isRoot = /^\/\.?$/.test(absolutePath(job.path));
    await writeLocated(found, channel, { live, isRoot });
  } finally {
    close(found.folderFd);
  }
}

async function write(job: FileJob & { kind: "write" }, rootFd: number): Promise<void> {
  const target = absolutePath(job.path);
  checkTarget(rootFd, target, job.path);
  post({ kind: "ready", stat: null });
  const { noOverwriteDirNonDir, user, withRoot = false } = job.options;
  const owner = user === "" ? undefined : accountOf(rootFd, user);
  const writer = new TreeWriter(rootFd, target, { noOverwriteDirNonDir, owner, withRoot });
  const parser = new TarParser(writer);
  try {
    for await (const chunk of channel.chunks()) parser.push(chunk);
    parser.end();
    // A whole tree comes as a whole archive: one that was cut between two entries has no end.
    if (withRoot && !parser.sawTrailer) throw tarFailure("", "the archive ends too early");
    writer.finish();
  } finally {
    writer.close();
  }
}

/** By the container's own account files. */
function accountOf(rootFd: number, user: string): { uid: number; gid: number } {
  const root = `/proc/self/fd/${rootFd}`;
  const files = {
    passwd: readInRoot(root, "/etc/passwd"),
    group: readInRoot(root, "/etc/group"),
  };
  return resolveUser(user, [], files);
}

/** Throws not_found, invalid_argument for what is no directory, forbidden where nothing can be written. */
function checkTarget(rootFd: number, target: string, path: string): void {
  let fd: number;
  try {
    fd = openat2(rootFd, target, { flags: O_PATH, resolve: IN_ROOT });
    close(fd);
    fd = openat2(rootFd, target, { flags: O_PATH | O_DIRECTORY, resolve: IN_ROOT });
  } catch (error) {
    if (errorCode(error) !== "ENOTDIR") throw pathError(error, path);
    throw new NaruError("invalid_argument", "extraction point is not a directory");
  }
  try {
    accessSync(`/proc/self/fd/${fd}`, constants.W_OK);
  } catch (error) {
    if (errorCode(error) !== "EROFS") throw error;
    const root = statat(rootFd, "");
    const here = statat(fd, "");
    const isRoot = root.deviceMajor === here.deviceMajor && root.deviceMinor === here.deviceMinor;
    const what = isRoot ? "container rootfs" : "mounted volume";
    throw new NaruError("forbidden", `${what} is marked read-only`);
  } finally {
    close(fd);
  }
}
