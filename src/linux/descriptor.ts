import { type Pointer, ptr } from "bun:ffi";
import { constants as fsConstants } from "node:fs";
import { addressOf, check, cText, lastErrno, libc, type PathText } from "./libc.ts";
import { errnoOf, SyscallError } from "./syscall-error.ts";

/** The descriptor of the current directory for the *at calls. @see openat(2) */
export const AT_FDCWD: number = -100;
export const AT_SYMLINK_NOFOLLOW: number = 0x100;
export const AT_REMOVEDIR: number = 0x200;

export const O_RDONLY: number = fsConstants.O_RDONLY;
export const O_WRONLY: number = fsConstants.O_WRONLY;
export const O_RDWR: number = fsConstants.O_RDWR;
export const O_CREAT: number = fsConstants.O_CREAT;
export const O_EXCL: number = fsConstants.O_EXCL;
export const O_NONBLOCK: number = fsConstants.O_NONBLOCK;
export const O_DIRECTORY: number = fsConstants.O_DIRECTORY;
export const O_NOFOLLOW: number = fsConstants.O_NOFOLLOW;
// Not in node:fs; the same on every architecture that uses the generic values, x86 and arm64 among them.
export const O_CLOEXEC: number = 0o2000000;
export const O_PATH: number = 0o10000000;

/** @see openat2(2) */
export const RESOLVE_NO_MAGICLINKS: number = 0x02;
export const RESOLVE_NO_SYMLINKS: number = 0x04;
export const RESOLVE_BENEATH: number = 0x08;
export const RESOLVE_IN_ROOT: number = 0x10;

export const LOCK_EX: number = 2;
export const LOCK_NB: number = 4;

const SYS_OPENAT2 = 437; // numbers from 424 on are the same on every architecture
const F_DUPFD_CLOEXEC = 1030;
const F_GETFL = 3;
const F_SETFL = 4;
const EINTR: number = errnoOf("EINTR");
const EAGAIN: number = errnoOf("EAGAIN");

/** Opens `path` beneath `dirFd`. O_CLOEXEC is always added: descriptors never leak into containers. */
export function openat(dirFd: number, path: PathText, flags: number, mode = 0): number {
  const address = cText(0, path, "openat");
  for (;;) {
    const fd = libc().openat(dirFd, address, flags | O_CLOEXEC, mode);
    if (fd !== -1) return fd;
    const errno = lastErrno();
    if (errno !== EINTR) throw new SyscallError("openat", errno, String(path));
  }
}

/** `openat` from the current directory. */
export function open(path: PathText, flags: number, mode = 0): number {
  return openat(AT_FDCWD, path, flags, mode);
}

export interface OpenHow {
  readonly flags: number;
  readonly mode?: number;
  /** RESOLVE_ flags. */
  readonly resolve: number;
}

const how = new BigUint64Array(3); // struct open_how { u64 flags, mode, resolve }
let howAddress: Pointer | undefined;
const OPENAT2_TRIES_MAX = 32; // EAGAIN: a rename was seen during the walk; the manual says to retry

/**
 * Opens `path` beneath `dirFd` with a rule for how it resolves. With RESOLVE_BENEATH leaving the
 * directory is EXDEV; with RESOLVE_IN_ROOT `dirFd` is the root. O_CLOEXEC is always added.
 */
export function openat2(dirFd: number, path: PathText, options: OpenHow): number {
  howAddress ??= ptr(how);
  how[0] = BigInt(options.flags | O_CLOEXEC);
  how[1] = BigInt(options.mode ?? 0);
  how[2] = BigInt(options.resolve);
  const address = cText(0, path, "openat2");
  for (let tries = 1; ; tries += 1) {
    const fd = Number(libc().syscall(SYS_OPENAT2, dirFd, address, howAddress, 24, 0));
    if (fd !== -1) return fd;
    const errno = lastErrno();
    const again = errno === EINTR || (errno === EAGAIN && tries < OPENAT2_TRIES_MAX);
    if (!again) throw new SyscallError("openat2", errno, String(path));
  }
}

/** Closes a descriptor. Never retried: on Linux it is gone even after EINTR. */
export function close(fd: number): void {
  const result = libc().close(fd);
  if (result === -1) {
    const errno = lastErrno();
    if (errno !== EINTR) throw new SyscallError("close", errno, String(fd));
  }
}

/** Bytes read into `into`, 0 at the end. Throws EAGAIN on an empty non-blocking descriptor. */
export function read(fd: number, into: Uint8Array): number {
  for (;;) {
    const count = Number(libc().read(fd, into, into.byteLength));
    if (count !== -1) return count;
    const errno = lastErrno();
    if (errno !== EINTR) throw new SyscallError("read", errno, String(fd));
  }
}

/** Bytes written, which may be fewer than given. */
export function write(fd: number, bytes: Uint8Array): number {
  if (bytes.byteLength === 0) return 0;
  for (;;) {
    const count = Number(libc().write(fd, bytes, bytes.byteLength));
    if (count !== -1) return count;
    const errno = lastErrno();
    if (errno !== EINTR) throw new SyscallError("write", errno, String(fd));
  }
}

/** Writes all of `bytes` to a blocking descriptor. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  let rest = bytes;
  while (rest.byteLength > 0) rest = rest.subarray(write(fd, rest));
}

/** Bytes read from `offset`, 0 at the end. */
export function pread(fd: number, into: Uint8Array, offset: number): number {
  return check("pread", libc().pread(fd, into, into.byteLength, offset), String(fd));
}

/** Bytes written at `offset`. */
export function pwrite(fd: number, bytes: Uint8Array, offset: number): number {
  if (bytes.byteLength === 0) return 0;
  return check("pwrite", libc().pwrite(fd, bytes, bytes.byteLength, offset), String(fd));
}

export function ftruncate(fd: number, sizeBytes: number): void {
  check("ftruncate", libc().ftruncate(fd, sizeBytes), String(fd));
}

/** A pair of close-on-exec descriptors. `flags` may add O_NONBLOCK (to both ends). */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

export function pipe2(flags = 0): Pipe {
  const pair = new Int32Array(2);
  check("pipe2", libc().pipe2(addressOf(pair), flags | O_CLOEXEC));
  return { readFd: pair[0] as number, writeFd: pair[1] as number };
}

/** A copy of `fd`, close-on-exec, numbered `from` or above. */
export function duplicate(fd: number, from = 3): number {
  return check("fcntl", libc().fcntl(fd, F_DUPFD_CLOEXEC, from), String(fd));
}

export function setNonBlocking(fd: number, on: boolean): void {
  const flags = check("fcntl", libc().fcntl(fd, F_GETFL, 0), String(fd));
  const wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  check("fcntl", libc().fcntl(fd, F_SETFL, wanted), String(fd));
}

/** True when the lock was taken (or given back); false when LOCK_NB found it held elsewhere. */
export function flock(fd: number, operation: number): boolean {
  for (;;) {
    if (libc().flock(fd, operation) !== -1) return true;
    const errno = lastErrno();
    if (errno === EAGAIN) return false;
    if (errno !== EINTR) throw new SyscallError("flock", errno, String(fd));
  }
}

/** Writes back the whole file system that `fd` is on. Waits for the disk: Workers only. */
export function syncfs(fd: number): void {
  check("syncfs", libc().syncfs(fd), String(fd));
}

export const POLLIN: number = 1;

/**
 * Waits until one of `fds` is readable or has ended, `timeoutMs` at most (-1: for ever; Workers
 * only). The result says which: indexes into `fds`.
 */
export function pollReadable(fds: readonly number[], timeoutMs: number): readonly number[] {
  const table = new Int32Array(fds.length * 2); // struct pollfd { i32 fd; i16 events; i16 revents }
  for (const [index, fd] of fds.entries()) {
    table[index * 2] = fd;
    table[index * 2 + 1] = POLLIN;
  }
  const count = libc().poll(table.length === 0 ? null : addressOf(table), fds.length, timeoutMs);
  if (count === -1) {
    const errno = lastErrno();
    if (errno === EINTR) return [];
    throw new SyscallError("poll", errno);
  }
  const ready: number[] = [];
  for (let index = 0; index < fds.length; index += 1) {
    if ((table[index * 2 + 1] as number) >>> 16 !== 0) ready.push(index);
  }
  return ready;
}
