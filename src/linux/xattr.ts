import { check, cText, lastErrno, libc, type PathText } from "./libc.ts";
import { errnoOf, SyscallError } from "./syscall-error.ts";

const VALUE_BYTES_MAX = 64 * 1024; // XATTR_SIZE_MAX and XATTR_LIST_MAX of the kernel
const ERANGE: number = errnoOf("ERANGE");
const ENODATA: number = errnoOf("ENODATA");
let scratch: Uint8Array | undefined;

/** Sets an attribute of the name itself. To work beneath a descriptor use `/proc/self/fd/N/name`. */
export function lsetxattr(path: PathText, name: string, value: Uint8Array, flags = 0): void {
  const address = cText(0, path, "lsetxattr");
  const key = cText(1, name, "lsetxattr");
  const bytes = value.byteLength === 0 ? null : value;
  check("lsetxattr", libc().lsetxattr(address, key, bytes, value.byteLength, flags), path);
}

export function fsetxattr(fd: number, name: string, value: Uint8Array, flags = 0): void {
  const key = cText(0, name, "fsetxattr");
  const bytes = value.byteLength === 0 ? null : value;
  check("fsetxattr", libc().fsetxattr(fd, key, bytes, value.byteLength, flags), String(fd));
}

/** The value, or undefined when the name itself has no such attribute. */
export function lgetxattr(path: PathText, name: string): Buffer | undefined {
  return valueOf("lgetxattr", path, name);
}

/** As lgetxattr, following symbolic links. */
export function getxattr(path: PathText, name: string): Buffer | undefined {
  return valueOf("getxattr", path, name);
}

function valueOf(call: "lgetxattr" | "getxattr", path: PathText, name: string): Buffer | undefined {
  scratch ??= new Uint8Array(VALUE_BYTES_MAX);
  const address = cText(0, path, call);
  const key = cText(1, name, call);
  const count = Number(libc()[call](address, key, scratch, VALUE_BYTES_MAX));
  if (count === -1) {
    const errno = lastErrno();
    if (errno === ENODATA) return undefined;
    throw new SyscallError(call, errno, String(path));
  }
  return Buffer.from(scratch.subarray(0, count)); // copied: the scratch is used again
}

/** The names of all attributes of the name itself. */
export function llistxattr(path: PathText): string[] {
  scratch ??= new Uint8Array(VALUE_BYTES_MAX);
  const address = cText(0, path, "llistxattr");
  const count = Number(libc().llistxattr(address, scratch, VALUE_BYTES_MAX));
  if (count === -1) {
    const errno = lastErrno();
    throw new SyscallError("llistxattr", errno === ERANGE ? errnoOf("E2BIG") : errno, String(path));
  }
  const text = Buffer.from(scratch.buffer, 0, count).toString("utf8");
  return text.split("\0").filter((name) => name !== "");
}

export function lremovexattr(path: PathText, name: string): void {
  const address = cText(0, path, "lremovexattr");
  check("lremovexattr", libc().lremovexattr(address, cText(1, name, "lremovexattr")), path);
}
