import { dlopen, FFIType, type Library, type Pointer, ptr, read } from "bun:ffi";
import { errnoOf, SyscallError } from "./syscall-error.ts";

/*
 * The one door to the C library. Every call blocks its thread: what can wait (fsync, recv, flock,
 * unlinking a link) belongs in a Worker. The library is opened at the first call, so that a process
 * that makes none pays nothing (opening costs 1.3 ms).
 */
const SYMBOLS = {
  __errno_location: { args: [], returns: "ptr" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  chdir: { args: ["ptr"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  fchmod: { args: ["i32", "u32"], returns: "i32" },
  fchmodat: { args: ["i32", "ptr", "u32", "i32"], returns: "i32" },
  fchown: { args: ["i32", "u32", "u32"], returns: "i32" },
  fchownat: { args: ["i32", "ptr", "u32", "u32", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i64"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  fsetxattr: { args: ["i32", "ptr", "ptr", "u64", "i32"], returns: "i32" },
  ftruncate: { args: ["i32", "i64"], returns: "i32" },
  futimens: { args: ["i32", "ptr"], returns: "i32" },
  gettid: { args: [], returns: "i32" },
  getxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
  ioctl: { args: ["i32", "u64", "i64"], returns: "i32" },
  kill: { args: ["i32", "i32"], returns: "i32" },
  lgetxattr: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i64" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  linkat: { args: ["i32", "ptr", "i32", "ptr", "i32"], returns: "i32" },
  llistxattr: { args: ["ptr", "ptr", "u64"], returns: "i64" },
  lremovexattr: { args: ["ptr", "ptr"], returns: "i32" },
  lsetxattr: { args: ["ptr", "ptr", "ptr", "u64", "i32"], returns: "i32" },
  mkdirat: { args: ["i32", "ptr", "u32"], returns: "i32" },
  mknodat: { args: ["i32", "ptr", "u32", "u64"], returns: "i32" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  openat: { args: ["i32", "ptr", "i32", "u32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  pread: { args: ["i32", "ptr", "u64", "i64"], returns: "i64" },
  prlimit: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
  pwrite: { args: ["i32", "ptr", "u64", "i64"], returns: "i64" },
  read: { args: ["i32", "ptr", "u64"], returns: "i64" },
  readlinkat: { args: ["i32", "ptr", "ptr", "u64"], returns: "i64" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  renameat2: { args: ["i32", "ptr", "i32", "ptr", "u32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
  setns: { args: ["i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  shutdown: { args: ["i32", "i32"], returns: "i32" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  statfs: { args: ["ptr", "ptr"], returns: "i32" },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  symlinkat: { args: ["ptr", "i32", "ptr"], returns: "i32" },
  syncfs: { args: ["i32"], returns: "i32" },
  syscall: {
    args: ["i64", "i64", "i64", "i64", "i64", "i64"],
    returns: "i64",
  },
  umask: { args: ["u32"], returns: "u32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
  uname: { args: ["ptr"], returns: "i32" },
  unlinkat: { args: ["i32", "ptr", "i32"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
  utimensat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
} as const;

type Symbols = Library<typeof SYMBOLS>["symbols"];

let loaded: Symbols | undefined;

/** The C library of this process, opened at the first call. */
export function libc(): Symbols {
  loaded ??= dlopen("libc.so.6", withFastIntegers() as typeof SYMBOLS).symbols;
  return loaded;
}

/**
 * The table with 64-bit integers passed as plain numbers where they fit, BigInt only beyond 2^53.
 * The declared types keep saying bigint for results: they all go through Number() or check().
 */
function withFastIntegers(): object {
  const fast = (type: string): FFIType | string =>
    type === "i64" ? FFIType.i64_fast : type === "u64" ? FFIType.u64_fast : type;
  return Object.fromEntries(
    Object.entries(SYMBOLS).map(([name, { args, returns }]) => [
      name,
      { args: args.map(fast), returns: fast(returns) },
    ]),
  );
}

/** errno of this thread. Only right in the statement after the call that failed. */
export function lastErrno(): number {
  const location = libc().__errno_location();
  return location === null ? 0 : read.i32(location, 0);
}

/** Passes a result through; throws SyscallError for -1. Must be the first thing done with it. */
export function check(call: string, result: number | bigint, subject: PathText = ""): number {
  if (result === -1 || result === -1n) throw new SyscallError(call, lastErrno(), display(subject));
  return Number(result);
}

/** A path or name: text, or raw bytes without NUL where a file system has names outside UTF-8. */
export type PathText = string | Uint8Array;

const SLOT_BYTES = 16 * 1024; // PATH_MAX is 4096, mount options take a page of 4096 to 16384
const SLOT_COUNT = 5; // mount(2) and fsconfig(2) take the most texts: 4
const encoder = new TextEncoder();
let slots: { bytes: Uint8Array; address: Pointer }[] | undefined;

/**
 * Writes `text` and a NUL into scratch slot `slot` and gives its address, good until the slot is
 * used again. Nothing is allocated: unpacking calls this tens of thousands of times a second.
 */
export function cText(slot: number, text: PathText, call: string): Pointer {
  slots ??= Array.from({ length: SLOT_COUNT }, () => {
    const bytes = new Uint8Array(SLOT_BYTES);
    return { bytes, address: ptr(bytes) };
  });
  const { bytes, address } = slots[slot] as { bytes: Uint8Array; address: Pointer };
  let length: number;
  if (typeof text === "string") {
    const { read: consumed, written } = encoder.encodeInto(text, bytes);
    if (consumed !== text.length) throw tooLong(call, text);
    length = written;
  } else {
    if (text.byteLength >= SLOT_BYTES) throw tooLong(call, text);
    bytes.set(text);
    length = text.byteLength;
  }
  if (length >= SLOT_BYTES) throw tooLong(call, text);
  // A NUL inside would make the kernel see another, shorter name than the one that was checked.
  const nul = bytes.indexOf(0);
  if (nul !== -1 && nul < length) throw new SyscallError(call, errnoOf("EINVAL"), display(text));
  bytes[length] = 0;
  return address;
}

/** The address of `bytes`; the caller keeps `bytes` referenced until its call has returned. */
export function addressOf(bytes: NodeJS.TypedArray): Pointer {
  return ptr(bytes);
}

function tooLong(call: string, text: PathText): SyscallError {
  return new SyscallError(call, errnoOf("ENAMETOOLONG"), display(text).slice(0, 100));
}

function display(text: PathText): string {
  return typeof text === "string" ? text : Buffer.from(text).toString("utf8");
}
