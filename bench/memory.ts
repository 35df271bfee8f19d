/** Resident memory of an engine: its daemon, helpers, and one monitor per container. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Memory {
  readonly processes: number;
  /** Sum of what is resident: pages shared between processes count in each. */
  readonly rssMb: number;
  /** Shared pages are divided among those who share them. */
  readonly pssMb: number;
}

/**
 * Processes that belong to the engine whose folder is `root`: its path is in their command line, or
 * a parent's is. What runs in another pid namespace is a container's own and does not count.
 */
function processesOf(root: string): string[] {
  const here = readlinkSync("/proc/self/ns/pid");
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const known = new Map(pids.map((pid) => [pid, facts(pid)]));
  const mine = (pid: string): boolean => {
    for (let at = pid; known.has(at); at = known.get(at)?.parent ?? "") {
      const one = known.get(at);
      if (one?.pidNamespace !== here) return false;
      if (one.command.includes(root) && !one.command.includes("bench/main")) return true;
    }
    return false;
  };
  return pids.filter((pid) => pid !== String(process.pid) && mine(pid));
}

export function memoryOf(root: string): Memory {
  let rssKb = 0;
  let pssKb = 0;
  const owned = processesOf(root);
  for (const pid of owned) {
    const text = read(`/proc/${pid}/smaps_rollup`);
    rssKb += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    pssKb += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  }
  return { processes: owned.length, rssMb: rssKb / 1024, pssMb: pssKb / 1024 };
}

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** CPU seconds that the engine's processes have spent so far; `except` is a client of the bench. */
export function cpuSecondsOf(root: string, { except }: { readonly except: number }): number {
  const owned = processesOf(root).filter((pid) => pid !== String(except));
  const ticks = owned.map((pid) => {
    // The name may hold spaces; what follows its bracket does not. @see proc(5), stat
    const fields = read(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
    return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  });
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND;
}

function facts(pid: string): { command: string; parent: string; pidNamespace: string } {
  const status = read(`/proc/${pid}/status`);
  return {
    command: read(`/proc/${pid}/cmdline`).replaceAll("\0", " "),
    parent: /^PPid:\s+(\d+)/m.exec(status)?.[1] ?? "",
    pidNamespace: link(`/proc/${pid}/ns/pid`),
  };
}

/** Empty when the process has gone. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
