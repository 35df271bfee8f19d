import {
  close,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openat,
  S_IFDIR,
  S_IFMT,
  statat,
  statfs,
} from "../../linux/mod.ts";
import { byteText } from "../../oci/mod.ts";
import type { FileChannel } from "./channel.ts";
import type { Located } from "./path-stat.ts";
import { kernelName, type Skip, TreeArchive, walkTree } from "./tree.ts";

/** What the kernel makes up: has no end, changes while it is read, and is nobody's file. */
const PSEUDO: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x1cd1, // devpts
  0x19800202, // mqueue
  0x73636673, // securityfs
  0x64626720, // debugfs
  0x74726163, // tracefs
  0xcafe4a11, // bpf
]);

/** Writes what was located as an archive: one entry, or a folder with all that is in it. */
export async function writeLocated(
  found: Located,
  out: FileChannel,
  options: { readonly live: boolean; readonly isRoot: boolean },
): Promise<void> {
  const archive = new TreeArchive(out);
  const { folderFd, base, status } = found;
  const shown = byteText(found.shownName);
  const baseName = byteText(base);
  await archive.add(folderFd, baseName, shown, status);
  if ((status.mode & S_IFMT) === S_IFDIR) {
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const name = base === "" ? "." : kernelName(baseName);
    const baseFd = openat(folderFd, name, flags);
    try {
      // The root's entries begin with the slash itself, as Docker writes them.
      const prefix = shown === "/" ? "/" : `${shown}/`;
      await walkTree(
        baseFd,
        (fd, name, path, status) => archive.add(fd, name, prefix + path, status),
        skipFor(baseFd, options),
      );
    } finally {
      close(baseFd);
    }
  }
  await archive.end();
}

/** Everything below the root, named from there (`etc/`, `etc/passwd`). */
export async function writeExport(rootFd: number, out: FileChannel): Promise<void> {
  const archive = new TreeArchive(out);
  const baseFd = openat(rootFd, ".", O_RDONLY | O_DIRECTORY);
  try {
    await walkTree(
      baseFd,
      (fd, name, path, status) => archive.add(fd, name, path, status),
      () => false,
    );
  } finally {
    close(baseFd);
  }
  await archive.end();
}

/** In a running container: the mounts that are no files. They are served when asked for by name. */
function skipFor(
  baseFd: number,
  options: { readonly live: boolean; readonly isRoot: boolean },
): Skip {
  if (!options.live) return () => false;
  const here = statat(baseFd, "");
  return (folderFd, name, path, status) => {
    if (status.deviceMajor === here.deviceMajor && status.deviceMinor === here.deviceMinor) {
      return false;
    }
    if (options.isRoot && path === "dev") return true;
    try {
      const at = Buffer.from(`/proc/self/fd/${folderFd}/${name}`, "latin1");
      return PSEUDO.has(statfs(at).type);
    } catch {
      return true; // gone, or not to be looked at
    }
  };
}
