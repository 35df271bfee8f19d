import { readdirSync, rmdirSync } from "node:fs";
import { errorCode } from "../../src/base/mod.ts";

const CGROUP_ROOT = "/sys/fs/cgroup";

/** Removes the groups called `name`, below the root of every hierarchy, with all within them. */
export function removeCgroups(name: string): void {
  removeTree(`${CGROUP_ROOT}/${name}`); // version 2 alone
  for (const hierarchy of foldersIn(CGROUP_ROOT)) removeTree(`${hierarchy}/${name}`);
}

function removeTree(folder: string): void {
  for (const inner of foldersIn(folder)) removeTree(inner);
  try {
    rmdirSync(folder);
  } catch (error) {
    // Busy: a process of a test that failed is in it, which is what that test reports.
    if (!["ENOENT", "EBUSY"].includes(errorCode(error) ?? "")) throw error;
  }
}

/** Links, as `cpu` is one to `cpu,cpuacct`, are left out. */
function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => `${folder}/${name}`);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
