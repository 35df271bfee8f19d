import { close } from "./descriptor.ts";
import { AF_UNIX, connectUnix, SOCK_DGRAM, socket, trySend } from "./socket.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Tells the service manager: `READY=1`, `RELOADING=1\nMONOTONIC_USEC=...`, `STOPPING=1`,
 * `STATUS=...`, `MAINPID=...`. False when there is none or its socket is full. @see sd_notify(3)
 */
export function notifyServiceManager(state: string, environment: Environment): boolean {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || !/^[/@]/.test(path)) return false;
  const fd = socket(AF_UNIX, SOCK_DGRAM);
  try {
    connectUnix(fd, path);
    return trySend(fd, Buffer.from(state)) !== undefined;
  } finally {
    close(fd);
  }
}

/** A socket that the service manager opened for us. */
export interface PassedSocket {
  readonly fd: number;
  /** FileDescriptorName= of the socket unit, or "". */
  readonly name: string;
}

const FIRST_FD = 3; // SD_LISTEN_FDS_START
const COUNT_MAX = 1024; // more than any unit passes; guards against a mad number

/** Sockets meant for process `pid`; none when the variables are another's. @see sd_listen_fds(3) */
export function passedSockets(environment: Environment, pid: number): PassedSocket[] {
  if (environment["LISTEN_PID"] !== String(pid)) return [];
  const count = Number(environment["LISTEN_FDS"] ?? "0");
  if (!Number.isInteger(count) || count < 0 || count > COUNT_MAX) return [];
  const names = (environment["LISTEN_FDNAMES"] ?? "").split(":");
  return Array.from({ length: count }, (_, index) => ({
    fd: FIRST_FD + index,
    name: names[index] ?? "",
  }));
}
