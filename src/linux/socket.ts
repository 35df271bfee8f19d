import {
  close,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  open,
  setNonBlocking,
} from "./descriptor.ts";
import { addressOf, check, lastErrno, libc } from "./libc.ts";
import { errnoOf, SyscallError } from "./syscall-error.ts";

export const AF_UNIX: number = 1;
export const AF_NETLINK: number = 16;
export const SOCK_STREAM: number = 1;
export const SOCK_DGRAM: number = 2;
export const SOCK_RAW: number = 3;
export const SOCK_SEQPACKET: number = 5;
export const SHUT_WR: number = 1;

const SUN_PATH_BYTES = 108; // sockaddr_un.sun_path, with the NUL of a path
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;

/** A close-on-exec socket; `nonBlocking` as wanted. */
export function socket(
  family: number,
  type: number,
  protocol = 0,
  options: { readonly nonBlocking?: boolean } = {},
): number {
  const flags = O_CLOEXEC | (options.nonBlocking === true ? O_NONBLOCK : 0);
  return check("socket", libc().socket(family, type | flags, protocol));
}

/** Two connected close-on-exec sockets; only the first is non-blocking. */
export function socketPair(type: number): readonly [nonBlocking: number, blocking: number] {
  const pair = new Int32Array(2);
  check("socketpair", libc().socketpair(AF_UNIX, type | O_CLOEXEC, 0, addressOf(pair)));
  const [ours, theirs] = pair as unknown as [number, number];
  setNonBlocking(ours, true);
  return [ours, theirs];
}

/**
 * Connects a unix socket to a path of any length: beyond the 107 bytes of an address the folder is
 * opened and named through /proc. A leading `@` means the abstract space, as systemd writes it.
 */
export function connectUnix(fd: number, path: string): void {
  const direct = unixAddress(path);
  if (direct !== undefined) {
    check("connect", libc().connect(fd, addressOf(direct), direct.byteLength), path);
    return;
  }
  const slash = path.lastIndexOf("/");
  const folderFd = open(path.slice(0, slash) || "/", O_PATH | O_DIRECTORY);
  try {
    const short = unixAddress(`/proc/self/fd/${folderFd}/${path.slice(slash + 1)}`);
    if (short === undefined) throw new SyscallError("connect", errnoOf("ENAMETOOLONG"), path);
    check("connect", libc().connect(fd, addressOf(short), short.byteLength), path);
  } finally {
    close(folderFd);
  }
}

/** struct sockaddr_un, or undefined when the path does not fit. */
export function unixAddress(path: string): Uint8Array | undefined {
  const abstract = path.startsWith("@");
  const name = Buffer.from(abstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.byteLength > SUN_PATH_BYTES) return undefined;
  return Uint8Array.from([AF_UNIX, 0, ...name]);
}

/** `how` is SHUT_RD or SHUT_WR. The descriptor stays open. */
export function shutdownSocket(fd: number, how: number): void {
  check("shutdown", libc().shutdown(fd, how), String(fd));
}

/** Sends one message to the connected peer; undefined when that would wait. Never raises SIGPIPE. */
export function trySend(fd: number, bytes: Uint8Array): number | undefined {
  for (;;) {
    const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    const count = Number(libc().sendto(fd, bytes, bytes.byteLength, flags, null, 0));
    if (count !== -1) return count;
    const errno = lastErrno();
    if (errno === errnoOf("EAGAIN")) return undefined;
    if (errno !== errnoOf("EINTR")) throw new SyscallError("send", errno, String(fd));
  }
}

/** Sends one message, waiting for room. Workers only. */
export function send(fd: number, bytes: Uint8Array): number {
  for (;;) {
    const count = Number(libc().sendto(fd, bytes, bytes.byteLength, MSG_NOSIGNAL, null, 0));
    if (count !== -1) return count;
    const errno = lastErrno();
    if (errno !== errnoOf("EINTR")) throw new SyscallError("send", errno, String(fd));
  }
}

/** Receives one message, waiting for it. Workers only. */
export function receive(fd: number, into: Uint8Array): number {
  for (;;) {
    const count = Number(libc().recv(fd, into, into.byteLength, 0));
    if (count !== -1) return count;
    const errno = lastErrno();
    if (errno !== errnoOf("EINTR")) throw new SyscallError("recv", errno, String(fd));
  }
}

const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;

/** Sets a socket's kernel buffers in bytes (the kernel doubles them for its own use). */
export function setSocketBuffers(
  fd: number,
  sizes: { readonly sendBytes?: number; readonly receiveBytes?: number },
): void {
  const pairs = [
    [SO_SNDBUF, sizes.sendBytes],
    [SO_RCVBUF, sizes.receiveBytes],
  ] as const;
  for (const [option, bytes] of pairs) {
    if (bytes === undefined) continue;
    const value = new Int32Array([bytes]);
    check("setsockopt", libc().setsockopt(fd, SOL_SOCKET, option, addressOf(value), 4));
  }
}
