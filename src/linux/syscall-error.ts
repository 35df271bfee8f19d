import { constants } from "node:os";

const ERRNO_NAMES: ReadonlyMap<number, string> = errnoNames();

/** A failed system call; the cause of the NaruError that a caller makes of it. */
export class SyscallError extends Error {
  override readonly name: string = "SyscallError";
  /** The call as section 2 of the manual names it: `mount`. */
  readonly call: string;
  readonly errno: number;
  /** `ENOENT`, the same field that Node's own errors have; `E999` for a number without a name. */
  readonly code: string;
  /** The object of the call (a path, a link name), or an empty text. */
  readonly subject: string;

  constructor(call: string, errno: number, subject = "") {
    const code = ERRNO_NAMES.get(errno) ?? `E${errno}`;
    super(`${call}${subject === "" ? "" : ` ${subject}`}: ${code}`);
    this.call = call;
    this.errno = errno;
    this.code = code;
    this.subject = subject;
  }
}

/** A SyscallError as it crosses a Worker boundary, where classes do not survive. */
export interface SyscallErrorRecord {
  readonly call: string;
  readonly errno: number;
  readonly subject: string;
}

export function syscallErrorRecord(error: SyscallError): SyscallErrorRecord {
  return { call: error.call, errno: error.errno, subject: error.subject };
}

export function syscallErrorFrom(record: SyscallErrorRecord): SyscallError {
  return new SyscallError(record.call, record.errno, record.subject);
}

/** True when `error` is a SyscallError, with the errno name `code` if one is given. */
export function isSyscallError(error: unknown, code?: string): error is SyscallError {
  return error instanceof SyscallError && (code === undefined || error.code === code);
}

/** The number of an errno name on this architecture: `errnoOf("ENOENT")` is 2. */
export function errnoOf(name: keyof typeof constants.errno): number {
  return constants.errno[name];
}

function errnoNames(): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, errno] of Object.entries(constants.errno)) {
    // EAGAIN and EWOULDBLOCK, ENOTSUP and EOPNOTSUPP share numbers: the first name stays.
    if (!names.has(errno)) names.set(errno, name);
  }
  names.set(133, "EHWPOISON"); // the one that node:os leaves out
  return names;
}
