import { basename, dirname } from "node:path";
import { O_DIRECTORY, O_PATH, open } from "../../linux/mod.ts";

const SUN_PATH_BYTES_MAX = 107; // sockaddr_un.sun_path without its NUL

const folders: Map<string, number> = new Map();

/** A name for a unix socket that fits an address, however long the path: through an open folder. */
export function socketPath(path: string): string {
  if (Buffer.byteLength(path) <= SUN_PATH_BYTES_MAX) return path;
  const folder = dirname(path);
  const fd = folders.get(folder) ?? open(folder, O_PATH | O_DIRECTORY);
  folders.set(folder, fd); // the name is used for as long as the process lives
  return `/proc/self/fd/${fd}/${basename(path)}`;
}
