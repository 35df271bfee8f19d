import type { Stats } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "../base/mod.ts";

/**
 * Bytes of regular files beneath `dir`, each inode once; other file systems that are mounted there
 * are not entered. What vanishes meanwhile does not count, a directory that is not there is 0.
 */
export async function treeSizeBytes(dir: string): Promise<number> {
  const top = await statOf(dir);
  if (top === undefined) return 0;
  let total = 0;
  const linked = new Set<number>();
  const folders = [dir];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const name of namesIn(folder)) {
      const path = join(folder, name);
      const stat = await statOf(path);
      if (stat === undefined || stat.dev !== top.dev) continue;
      if (stat.isDirectory()) folders.push(path);
      else if (stat.isFile() && !linked.has(stat.ino)) {
        if (stat.nlink > 1) linked.add(stat.ino);
        total += stat.size;
      }
    }
  }
  return total;
}

async function* namesIn(folder: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(folder)) yield entry.name;
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR";
}
