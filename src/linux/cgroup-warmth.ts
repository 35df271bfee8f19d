import { readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type CgroupHost, detectCgroups } from "./cgroup.ts";

/**
 * Makes moves of processes between cgroups quick for the next few milliseconds. The kernel's lock
 * for them (cgroup_threadgroup_rwsem) waits for an RCU grace period when it was not taken lately:
 * 7 to 15 ms, once for each container and each exec. Taking it when a request arrives lets that wait
 * pass beside the rest of the work: moving this process to where it is already has no other effect.
 */
export interface CgroupWarmth {
  /** Returns at once; the wait is another thread's. Does nothing while a former call waits. */
  warm(): void;
  close(): Promise<void>;
}

export function createCgroupWarmth(): CgroupWarmth {
  let file: Promise<FileHandle | undefined> | undefined;
  let waiting = false;
  const move = async (): Promise<void> => {
    file ??= openOwnGroup();
    // 0 is the writing process itself, cgroups(7).
    await (await file)?.write("0");
  };
  return {
    warm() {
      if (waiting) return;
      waiting = true;
      move()
        .catch(() => undefined) // a host that forbids it loses the few milliseconds, nothing else
        .finally(() => {
          waiting = false;
        });
    },
    async close() {
      await (await file)?.close();
    },
  };
}

/** The list of processes of the cgroup that this process is in, or undefined where it is hidden. */
async function openOwnGroup(): Promise<FileHandle | undefined> {
  try {
    const path = ownGroupDir(detectCgroups(), readFileSync("/proc/self/cgroup", "latin1"));
    return path === undefined ? undefined : await open(`${path}/cgroup.procs`, "r+");
  } catch {
    return undefined;
  }
}

/** Any hierarchy will do, since the lock is one for all. @see cgroups(7), /proc/pid/cgroup */
export function ownGroupDir(host: CgroupHost, memberships: string): string | undefined {
  for (const line of memberships.trim().split("\n")) {
    const [, controllers = "", ...path] = line.split(":");
    const top = controllers === "" ? host.unified : host.v1.get(controllers.split(",")[0] ?? "");
    if (top !== undefined) return `${top}${path.join(":")}`.replace(/\/$/, "");
  }
  return undefined;
}
