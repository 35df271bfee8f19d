import { addressOf, check, cText, libc, type PathText } from "./libc.ts";

/** What a file system says of itself. @see statfs(2) */
export interface FileSystemStatus {
  /** The magic number as `0xef53`. */
  readonly type: number;
  readonly blockBytes: number;
  readonly totalBytes: number;
  /** Free to root. */
  readonly freeBytes: number;
  /** Free to everybody else. */
  readonly availableBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
  readonly nameBytesMax: number;
  /** The mount that the path is on, whatever the file system itself allows. */
  readonly readOnly: boolean;
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [0xef53, "extfs"],
  [0x9123683e, "btrfs"],
  [0x58465342, "xfs"],
  [0x01021994, "tmpfs"],
  [0x794c7630, "overlayfs"],
  [0x2fc12fc1, "zfs"],
  [0x6969, "nfs"],
  [0x65735546, "fuse"],
  [0xf2f52010, "f2fs"],
  [0x6e736673, "nsfs"],
  [0x63677270, "cgroup2"],
  [0x27e0eb, "cgroup"],
]);

/** The name that `docker info` prints as Backing Filesystem; `0x...` for one it does not know. */
export function fileSystemName(type: number): string {
  return TYPE_NAMES.get(type) ?? `0x${type.toString(16)}`;
}

const ST_RDONLY = 1;

export const NSFS_MAGIC: number = 0x6e736673;

export function statfs(path: PathText): FileSystemStatus {
  // struct statfs on 64 bits: i64 type, bsize, blocks, bfree, bavail, files, ffree; i32 fsid[2]; i64 namelen, frsize, flags
  const fields = new BigInt64Array(15);
  check("statfs", libc().statfs(cText(0, path, "statfs"), addressOf(fields)), path);
  const at = (index: number): number => Number(fields[index]);
  return {
    type: at(0),
    blockBytes: at(1),
    totalBytes: at(2) * at(1),
    freeBytes: at(3) * at(1),
    availableBytes: at(4) * at(1),
    inodes: at(5),
    freeInodes: at(6),
    nameBytesMax: at(8),
    readOnly: (at(10) & ST_RDONLY) !== 0,
  };
}
