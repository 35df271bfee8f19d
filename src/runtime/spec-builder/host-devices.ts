import { lstatSync, readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { errorCode, NaruError } from "../../base/mod.ts";
import type { DeviceNumber, SpecDevice } from "./input.ts";

/** Beneath /dev and not a device of the host: the container has its own. @see moby, runc devices */
const NOT_FOR_CONTAINERS = [
  "pts",
  "shm",
  "fd",
  "mqueue",
  "console",
  ".lxc",
  ".lxd-mounts",
  ".udev",
];
const DEPTH_MAX = 8; // /dev has three or four levels; a guard against loops

/**
 * The devices behind `--device pathOnHost:pathInContainer:access`: one, or all of a directory.
 * Throws invalid_argument in Docker's words when there is none.
 */
export function hostDevices(
  pathOnHost: string,
  pathInContainer: string,
  access: string,
): SpecDevice[] {
  if (!/^[rwm]{1,3}$/.test(access)) {
    throw new NaruError("invalid_argument", `invalid device mode: ${access}`);
  }
  let status: Stats;
  let real: string;
  try {
    real = realpathSync(pathOnHost);
    status = statSync(real);
  } catch (cause) {
    throw gathering(pathOnHost, "no such file or directory", cause);
  }
  if (!status.isDirectory()) {
    const device = specDevice(pathInContainer, status, access);
    if (device === undefined) throw gathering(pathOnHost, "not a device node");
    return [device];
  }
  const found = walk(real, pathInContainer, access, 0);
  if (found.length === 0) throw gathering(pathOnHost, "not a device node");
  return found;
}

/** Every device of the host, for privileged containers. */
export function allHostDevices(): SpecDevice[] {
  return walk("/dev", "/dev", "rwm", 0);
}

/** The number of a block device given by path, for the blkio limits. */
export function blockDeviceNumber(path: string): DeviceNumber {
  try {
    const status = statSync(path);
    if (status.isBlockDevice()) return deviceNumber(status.rdev);
  } catch (cause) {
    throw new NaruError("invalid_argument", `${path}: no such device`, { path }, { cause });
  }
  throw new NaruError("invalid_argument", `${path}: not a block device`, { path });
}

function walk(folder: string, target: string, access: string, depth: number): SpecDevice[] {
  if (depth > DEPTH_MAX) return [];
  const found: SpecDevice[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (NOT_FOR_CONTAINERS.includes(name)) continue;
    try {
      const status = lstatSync(`${folder}/${name}`);
      if (status.isDirectory()) {
        found.push(...walk(`${folder}/${name}`, `${target}/${name}`, access, depth + 1));
        continue;
      }
      const device = specDevice(`${target}/${name}`, status, access);
      if (device !== undefined) found.push(device);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error; // unplugged since readdir
    }
  }
  return found;
}

function specDevice(path: string, status: Stats, access: string): SpecDevice | undefined {
  if (!status.isCharacterDevice() && !status.isBlockDevice()) return undefined;
  return {
    type: status.isBlockDevice() ? "b" : "c",
    path,
    ...deviceNumber(status.rdev),
    fileMode: status.mode & 0o777,
    uid: status.uid,
    gid: status.gid,
    access,
  };
}

/** The C library's 64-bit layout. @see makedev(3) */
function deviceNumber(rdev: number): DeviceNumber {
  const number = BigInt(rdev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

function gathering(path: string, why: string, cause?: unknown): NaruError {
  return new NaruError(
    "invalid_argument",
    `error gathering device information while adding custom device "${path}": ${why}`,
    { path },
    { cause },
  );
}
