import { existsSync, readFileSync } from "node:fs";
import type { ContainerPaths } from "./contract.ts";

/**
 * Whether the kernel killed for memory in this run. conmon's `oom` mark says that memory ran out,
 * which on cgroup v2 is not yet a kill: while the cgroup is there, its own counter decides.
 */
export function readOomKilled(paths: ContainerPaths): boolean {
  if (!existsSync(`${paths.persistDir}/oom`)) return false;
  const path = cgroupsPath(`${paths.bundleDir}/config.json`);
  if (path === undefined) return true;
  const files = [
    `/sys/fs/cgroup${path}/memory.events`,
    `/sys/fs/cgroup/memory${path}/memory.oom_control`,
  ];
  for (const file of files) {
    const count = oomKills(file);
    if (count !== undefined) return count > 0;
  }
  return true;
}

/** The `oom_kill N` line, or undefined when the file or the line is not there. */
function oomKills(file: string): number | undefined {
  try {
    const match = /^oom_kill (\d+)$/m.exec(readFileSync(file, "latin1"));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}

function cgroupsPath(configFile: string): string | undefined {
  try {
    const match = /"cgroupsPath":"(\/[^"]*)"/.exec(readFileSync(configFile, "utf8"));
    return match?.[1];
  } catch {
    return undefined;
  }
}
