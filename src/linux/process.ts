import { readFileSync } from "node:fs";
import { check, cText, lastErrno, libc, type PathText } from "./libc.ts";
import { errnoOf, SyscallError } from "./syscall-error.ts";

export const CLONE_FS: number = 0x200;
export const CLONE_NEWNS: number = 0x20000;
export const CLONE_NEWNET: number = 0x40000000;

const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;
const ESRCH: number = errnoOf("ESRCH");
const ENOENT = "ENOENT";

/** The kernel's id of this thread. */
export function gettid(): number {
  return libc().gettid();
}

/** Moves THIS THREAD out of the namespaces it shares. In a Worker the main thread stays. */
export function unshare(flags: number): void {
  check("unshare", libc().unshare(flags));
}

/** Moves THIS THREAD into the namespace of `fd`. `type` (CLONE_NEW...) guards against a mix-up. */
export function setns(fd: number, type: number): void {
  check("setns", libc().setns(fd, type));
}

/** Changes the current directory of this thread and of all that share it: unshare(CLONE_FS) first. */
export function chdir(path: PathText): void {
  check("chdir", libc().chdir(cText(0, path, "chdir")), path);
}

/** Sets the mask for new files of the whole process and gives the former one. */
export function umask(mask: number): number {
  return libc().umask(mask);
}

/** Sends a signal; false when there is no such process. Pids are reused: prefer pidfdSendSignal. */
export function kill(pid: number, signal: number): boolean {
  const result = libc().kill(pid, signal);
  if (result === 0) return true;
  const errno = lastErrno();
  if (errno === ESRCH) return false;
  throw new SyscallError("kill", errno, String(pid));
}

/** A descriptor for a process, readable once it has ended; undefined when there is none. */
export function pidfdOpen(pid: number): number | undefined {
  const fd = Number(libc().syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0));
  if (fd !== -1) return fd;
  const errno = lastErrno();
  // EINVAL: a thread that leads no process, so not the process that was meant.
  if (errno === ESRCH || errno === errnoOf("EINVAL")) return undefined;
  throw new SyscallError("pidfd_open", errno, String(pid));
}

/** Sends a signal to exactly the process of the descriptor; false when it has ended. */
export function pidfdSendSignal(pidFd: number, signal: number): boolean {
  const result = Number(libc().syscall(SYS_PIDFD_SEND_SIGNAL, pidFd, signal, 0, 0, 0));
  if (result === 0) return true;
  const errno = lastErrno();
  if (errno === ESRCH) return false;
  throw new SyscallError("pidfd_send_signal", errno);
}

/** What /proc/PID/stat says. `startTime` is in clock ticks since boot: with the pid it is unique. */
export interface ProcessStatus {
  readonly pid: number;
  readonly parentPid: number;
  /** One letter: R, S, D, T, t, Z, X, I. */
  readonly state: string;
  readonly startTime: number;
}

/** Undefined when there is no such process. A zombie is still there: look at `state`. */
export function processStatus(pid: number): ProcessStatus | undefined {
  try {
    return parseProcessStatus(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === ENOENT || code === "ESRCH") return undefined;
    throw error;
  }
}

/** @see proc_pid_stat(5); the command in brackets may itself hold brackets and blanks. */
export function parseProcessStatus(text: string): ProcessStatus {
  const end = text.lastIndexOf(")");
  const fields = text.slice(end + 2).split(" ");
  return {
    pid: Number.parseInt(text, 10),
    state: fields[0] ?? "",
    parentPid: Number(fields[1]),
    startTime: Number(fields[19]), // field 22, counted from 1
  };
}

/** True while the process that had this pid and start time runs; false for a zombie or another. */
export function isAlive(pid: number, startTime: number): boolean {
  const status = processStatus(pid);
  return status?.startTime === startTime && status.state !== "Z" && status.state !== "X";
}
