import { readFileSync, writeFileSync } from "node:fs";
import { AT_FDCWD, close, O_RDONLY, open } from "./descriptor.ts";
import { addressOf, check, cText, libc } from "./libc.ts";
import { moveMount } from "./mount.ts";

const SYS_OPEN_TREE = 428;
const SYS_MOUNT_SETATTR = 442; // Linux 5.12
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const MOUNT_ATTR_IDMAP = 0x100000;

/** An owner on the disk, and who it is seen as; both ways. */
export interface IdSwap {
  readonly onDisk: number;
  readonly seenAs: number;
}

/**
 * Binds `source` at `target` with the two owners exchanged, everybody else as they are. Throws
 * SyscallError (EINVAL: the file system does not know id-mapped mounts).
 */
export async function mountIdMapped(
  source: string,
  target: string,
  ids: { readonly user: IdSwap; readonly group: IdSwap; readonly recursive: boolean },
): Promise<void> {
  const namespace = await userNamespace(idMapOf(ids.user), idMapOf(ids.group));
  try {
    const recursive = ids.recursive ? AT_RECURSIVE : 0;
    const path = cText(0, source, "open_tree");
    const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
    const opened = libc().syscall(SYS_OPEN_TREE, AT_FDCWD, path, flags, 0, 0);
    const tree = check("open_tree", opened, source);
    try {
      // struct mount_attr: attr_set, attr_clr, propagation, userns_fd
      const attributes = new BigUint64Array([BigInt(MOUNT_ATTR_IDMAP), 0n, 0n, BigInt(namespace)]);
      const empty = cText(0, "", "mount_setattr");
      const address = addressOf(attributes);
      const how = AT_EMPTY_PATH | recursive;
      const set = libc().syscall(SYS_MOUNT_SETATTR, tree, empty, how, address, 32);
      check("mount_setattr", set, source);
      moveMount(tree, target);
    } finally {
      close(tree);
    }
  } finally {
    close(namespace);
  }
}

const ID_COUNT = 0xffffffff; // (uid_t)-1 is nobody's

/** Lines of a uid_map: all ids as they are, but for two that change places. */
export function idMapOf({ onDisk, seenAs }: IdSwap): string {
  if (onDisk === seenAs) return `0 0 ${ID_COUNT}\n`;
  const [low, high] = onDisk < seenAs ? [onDisk, seenAs] : [seenAs, onDisk];
  const lines = [
    [0, 0, low],
    [low, high, 1],
    [low + 1, low + 1, high - low - 1],
    [high, low, 1],
    [high + 1, high + 1, ID_COUNT - high - 1],
  ];
  return lines
    .filter(([, , count]) => (count ?? 0) > 0)
    .map((line) => `${line.join(" ")}\n`)
    .join("");
}

/**
 * A user namespace with these maps. A thread of ours cannot make one (the process has others), so a
 * program that does nothing else makes it and ends; the descriptor keeps it.
 */
async function userNamespace(uidMap: string, gidMap: string): Promise<number> {
  const child = Bun.spawn(["unshare", "--user", "cat"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  });
  try {
    // What cat says back comes from inside the new namespace.
    await child.stdin.write("\n");
    await child.stdin.flush();
    for await (const _ of child.stdout) break;
    const process = `/proc/${child.pid}`;
    writeFileSync(`${process}/uid_map`, uidMap);
    writeFileSync(`${process}/gid_map`, gidMap);
    if (readFileSync(`${process}/uid_map`, "utf8") === "") throw new Error("no id map was taken");
    return open(`${process}/ns/user`, O_RDONLY);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}
