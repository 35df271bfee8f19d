import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorCode, NaruError } from "../base/mod.ts";
import {
  close,
  flock,
  LOCK_EX,
  LOCK_NB,
  O_CLOEXEC,
  O_RDWR,
  open,
  processStatus,
} from "../linux/mod.ts";

/** The directories of one engine; both roots may be moved by flag. */
export interface Roots {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** Gives the data root up for another engine. */
  release(): void;
}

// Others may pass through (bind-mounted volumes, sockets) but not list what there is, as with Docker.
const ROOT_MODE = 0o711;

/**
 * Makes both roots and takes the data root for this process. The lock is the kernel's (flock), so
 * it ends with the process however that dies. Throws conflict when another engine has it.
 */
export function takeRoots(dataRoot: string, execRoot: string): Roots {
  for (const root of [dataRoot, execRoot]) {
    mkdirSync(root, { recursive: true });
    chmodSync(root, ROOT_MODE);
  }
  const lockPath = join(dataRoot, "engine.lock");
  writeFileSync(lockPath, "", { flag: "a", mode: 0o600 });
  const fd = open(lockPath, O_RDWR | O_CLOEXEC);
  if (!takeLock(fd, lockPath)) {
    const holder = readPid(lockPath);
    close(fd);
    throw new NaruError(
      "conflict",
      `the data root ${dataRoot} is in use by another engine (process ${holder ?? "unknown"}); stop it or choose another --data-root`,
    );
  }
  writeFileSync(lockPath, `${process.pid}\n`);
  return { dataRoot, execRoot, release: () => close(fd) };
}

const LOCK_WAIT_MS = 5000; // on a busy machine; the wait seen was below 100 ms
const LOCK_POLL_MS = 10;

/**
 * An engine that is killed while it starts a program leaves its lock to the new process, which has
 * it from fork until exec. So a lock whose engine is dead is waited for.
 */
function takeLock(fd: number, lockPath: string): boolean {
  for (let waitedMs = 0; !flock(fd, LOCK_EX | LOCK_NB); waitedMs += LOCK_POLL_MS) {
    const holder = readPid(lockPath);
    if (waitedMs >= LOCK_WAIT_MS || (holder !== undefined && isEngine(holder))) return false;
    Bun.sleepSync(LOCK_POLL_MS);
  }
  return true;
}

/**
 * Writes the process id, and takes it away again. Throws conflict when the file names a process
 * that lives: tools that read the file must not be told of two engines.
 */
export function writePidFile(path: string): Disposable {
  const holder = readPid(path);
  if (holder !== undefined && holder !== process.pid && isEngine(holder)) {
    throw new NaruError(
      "conflict",
      `the pid file ${path} names process ${holder}, which is alive; stop that engine or choose another --pidfile`,
    );
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${process.pid}`, { mode: 0o644 });
  return {
    [Symbol.dispose]() {
      if (readPid(path) === process.pid) rmSync(path, { force: true });
    },
  };
}

function readPid(path: string): number | undefined {
  try {
    const text = readFileSync(path, "utf8").trim();
    return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** A pid file outlives a crash, and pids are given again: only a live engine of that number counts. */
function isEngine(pid: number): boolean {
  const status = processStatus(pid);
  if (status === undefined || status.state === "Z") return false;
  try {
    return /naru|dockerd|daemon/.test(readFileSync(`/proc/${pid}/cmdline`, "latin1"));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}
