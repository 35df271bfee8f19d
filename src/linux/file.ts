import { type Pointer, ptr } from "bun:ffi";
import { AT_SYMLINK_NOFOLLOW } from "./descriptor.ts";
import { addressOf, check, cText, libc, type PathText } from "./libc.ts";

/*
 * Names relative to a directory descriptor. All are synchronous and allocate nothing on the way
 * that succeeds; a symbolic link in the last place is never followed.
 */

export const S_IFMT: number = 0o170000;
export const S_IFSOCK: number = 0o140000;
export const S_IFLNK: number = 0o120000;
export const S_IFREG: number = 0o100000;
export const S_IFBLK: number = 0o060000;
export const S_IFDIR: number = 0o040000;
export const S_IFCHR: number = 0o020000;
export const S_IFIFO: number = 0o010000;

/** A flag of renameat2. */
export const RENAME_NOREPLACE: number = 1;
/** Another: the two names change places. */
export const RENAME_EXCHANGE: number = 2;

const AT_EMPTY_PATH = 0x1000;

export function mkdirat(dirFd: number, path: PathText, mode: number): void {
  check("mkdirat", libc().mkdirat(dirFd, cText(0, path, "mkdirat"), mode), path);
}

/** `mode` has the type (S_IFCHR, ...) and the permissions, which the umask cuts. */
export function mknodat(
  dirFd: number,
  path: PathText,
  mode: number,
  device: { readonly major: number; readonly minor: number },
): void {
  const number = makeDevice(device.major, device.minor);
  check("mknodat", libc().mknodat(dirFd, cText(0, path, "mknodat"), mode, number), path);
}

/** Device number as the C library packs it (glibc gnu_dev_makedev). */
export function makeDevice(major: number, minor: number): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return (b & 0xffn) | ((a & 0xfffn) << 8n) | ((b & ~0xffn) << 12n) | ((a & ~0xfffn) << 32n);
}

/** Changes the owner of the name itself, never of what a symbolic link points to. */
export function fchownat(dirFd: number, path: PathText, uid: number, gid: number): void {
  const address = cText(0, path, "fchownat");
  check("fchownat", libc().fchownat(dirFd, address, uid, gid, AT_SYMLINK_NOFOLLOW), path);
}

export function fchown(fd: number, uid: number, gid: number): void {
  check("fchown", libc().fchown(fd, uid, gid), String(fd));
}

/** Follows a symbolic link in the last place: Linux has no link modes. */
export function fchmodat(dirFd: number, path: PathText, mode: number): void {
  check("fchmodat", libc().fchmodat(dirFd, cText(0, path, "fchmodat"), mode, 0), path);
}

export function fchmod(fd: number, mode: number): void {
  check("fchmod", libc().fchmod(fd, mode), String(fd));
}

const times = new BigInt64Array(4); // two struct timespec { i64 seconds; i64 nanoseconds }
let timesAddress: Pointer | undefined;
const NS_PER_S = 1_000_000_000n;

/** Sets both times of the name itself, in nanoseconds since the epoch (negative: before it). */
export function utimensat(dirFd: number, path: PathText, atimeNs: bigint, mtimeNs: bigint): void {
  const address = cText(0, path, "utimensat");
  const stamps = fillTimes(atimeNs, mtimeNs);
  check("utimensat", libc().utimensat(dirFd, address, stamps, AT_SYMLINK_NOFOLLOW), path);
}

export function futimens(fd: number, atimeNs: bigint, mtimeNs: bigint): void {
  check("futimens", libc().futimens(fd, fillTimes(atimeNs, mtimeNs)), String(fd));
}

function fillTimes(atimeNs: bigint, mtimeNs: bigint): Pointer {
  timesAddress ??= ptr(times);
  for (const [slot, timeNs] of [atimeNs, mtimeNs].entries()) {
    const rest = timeNs % NS_PER_S;
    const fraction = rest < 0n ? rest + NS_PER_S : rest; // the nanoseconds count forwards always
    times[slot * 2] = (timeNs - fraction) / NS_PER_S;
    times[slot * 2 + 1] = fraction;
  }
  return timesAddress;
}

/** A hard link; a symbolic link at `from` is linked itself. */
export function linkat(fromDirFd: number, from: PathText, toDirFd: number, to: PathText): void {
  const source = cText(0, from, "linkat");
  const target = cText(1, to, "linkat");
  check("linkat", libc().linkat(fromDirFd, source, toDirFd, target, 0), to);
}

/** A symbolic link named `path` with the text `target`. */
export function symlinkat(target: PathText, dirFd: number, path: PathText): void {
  const text = cText(0, target, "symlinkat");
  check("symlinkat", libc().symlinkat(text, dirFd, cText(1, path, "symlinkat")), path);
}

/** Removes a name; with AT_REMOVEDIR an empty directory. */
export function unlinkat(dirFd: number, path: PathText, flags = 0): void {
  check("unlinkat", libc().unlinkat(dirFd, cText(0, path, "unlinkat"), flags), path);
}

export function renameat2(
  fromDirFd: number,
  from: PathText,
  toDirFd: number,
  to: PathText,
  flags = 0,
): void {
  const source = cText(0, from, "renameat2");
  const target = cText(1, to, "renameat2");
  check("renameat2", libc().renameat2(fromDirFd, source, toDirFd, target, flags), to);
}

const LINK_BYTES_MAX = 4096; // PATH_MAX: no file system stores more

/** The raw bytes of a symbolic link; with an empty path that of the O_PATH descriptor itself. */
export function readlinkat(dirFd: number, path: PathText): Buffer {
  const into = Buffer.alloc(LINK_BYTES_MAX);
  const address = cText(0, path, "readlinkat");
  const count = check("readlinkat", libc().readlinkat(dirFd, address, into, LINK_BYTES_MAX), path);
  return into.subarray(0, count);
}

/** What the kernel says of a name. Sizes in bytes, times in nanoseconds since the epoch. */
export interface FileStatus {
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly blocks512: number;
  readonly atimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Of a device node. */
  readonly nodeMajor: number;
  readonly nodeMinor: number;
}

const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
const status = new DataView(new ArrayBuffer(STATX_BYTES));
const statusBytes = new Uint8Array(status.buffer);

/** Status of `path` beneath `dirFd` itself (no link followed); an empty path means `dirFd`. */
export function statat(dirFd: number, path: PathText): FileStatus {
  const address = cText(0, path, "statx");
  const flags = AT_SYMLINK_NOFOLLOW | (path.length === 0 ? AT_EMPTY_PATH : 0);
  const into = addressOf(statusBytes);
  check("statx", libc().statx(dirFd, address, flags, STATX_BASIC_STATS, into), path);
  return {
    links: status.getUint32(0x10, true),
    uid: status.getUint32(0x14, true),
    gid: status.getUint32(0x18, true),
    mode: status.getUint16(0x1c, true),
    inode: status.getBigUint64(0x20, true),
    sizeBytes: Number(status.getBigUint64(0x28, true)),
    blocks512: Number(status.getBigUint64(0x30, true)),
    atimeNs: timeAt(0x40),
    ctimeNs: timeAt(0x60),
    mtimeNs: timeAt(0x70),
    nodeMajor: status.getUint32(0x80, true),
    nodeMinor: status.getUint32(0x84, true),
    deviceMajor: status.getUint32(0x88, true),
    deviceMinor: status.getUint32(0x8c, true),
  };
}

function timeAt(offset: number): bigint {
  return status.getBigInt64(offset, true) * NS_PER_S + BigInt(status.getUint32(offset + 8, true));
}
