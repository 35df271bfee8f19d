import { randomInt } from "node:crypto";
import { close, O_DIRECTORY, O_RDONLY, open } from "./descriptor.ts";
import { addressOf, check, libc } from "./libc.ts";
import { isSyscallError } from "./syscall-error.ts";

/*
 * Limits on what a directory holds, by project quotas of xfs and ext4 (mount option prjquota): every
 * file made in the directory belongs to its project, and the project has a limit. All calls block
 * for no longer than a metadata update.
 */

const SYS_QUOTACTL_FD = 443; // Linux 5.14; the same number on every architecture
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_PROJINHERIT = 0x200;
const FSXATTR_BYTES = 28; // struct fsxattr: xflags, extsize, nextents, projid, cowextsize, pad[8]
const PROJECT_OFFSET = 12;

const PRJQUOTA = 2;
const Q_XGETQUOTA = 0x5803;
const Q_XSETQLIM = 0x5804;
const Q_XGETQSTATV = 0x5808;
const QUOTA_BYTES = 112; // struct fs_disk_quota
const STATV_BYTES = 160; // struct fs_quota_statv is smaller
const FS_PROJ_QUOTA = 2;
const FS_DQ_BSOFT = 1 << 2;
const FS_DQ_BHARD = 1 << 3;
const PROJECT_ENFORCED = 1 << 5; // FS_QUOTA_PDQ_ENFD
const QUOTA_BLOCK_BYTES = 512;

const PROJECT_MIN = 0x1000; // small numbers are what people choose for themselves
const PROJECT_MAX = 0x7fffffff;
const TRIES_MAX = 64; // of two thousand million numbers

function quotactl(fd: number, command: number, id: number, into: Uint8Array): void {
  const request = (command << 8) | PRJQUOTA;
  const call = libc().syscall(SYS_QUOTACTL_FD, fd, request, id, addressOf(into), 0);
  check("quotactl_fd", call);
}

/** Does the file system of this directory hold project quotas, and enforce them? */
export function hasProjectQuota(dir: string): boolean {
  const fd = open(dir, O_RDONLY | O_DIRECTORY);
  try {
    const status = new DataView(new ArrayBuffer(STATV_BYTES));
    status.setInt8(0, 1); // FS_QSTATV_VERSION1
    quotactl(fd, Q_XGETQSTATV, 0, new Uint8Array(status.buffer));
    return (status.getUint16(2, true) & PROJECT_ENFORCED) !== 0;
  } catch (error) {
    // ENOSYS: a file system or a kernel without; ESRCH: not switched on.
    if (isSyscallError(error)) return false;
    throw error;
  } finally {
    close(fd);
  }
}

/**
 * Gives an empty directory a project of its own with a limit. Throws SyscallError; the directory is
 * then as it was, or in a project without a limit.
 */
export function limitDirectory(dir: string, limitBytes: number): void {
  const fd = open(dir, O_RDONLY | O_DIRECTORY);
  try {
    const project = freeProject(fd);
    const attributes = readAttributes(fd);
    const flags = attributes.getUint32(0, true) | FS_XFLAG_PROJINHERIT;
    attributes.setUint32(0, flags, true);
    attributes.setUint32(PROJECT_OFFSET, project, true);
    const address = addressOf(new Uint8Array(attributes.buffer));
    check("ioctl", libc().ioctl(fd, FS_IOC_FSSETXATTR, address), dir);
    setLimit(fd, project, limitBytes);
  } finally {
    close(fd);
  }
}

/** What the project of a directory may hold and holds; undefined when it is in none. */
export function directoryLimit(dir: string): { limitBytes: number; usedBytes: number } | undefined {
  const fd = open(dir, O_RDONLY | O_DIRECTORY);
  try {
    const project = readAttributes(fd).getUint32(PROJECT_OFFSET, true);
    if (project === 0) return undefined;
    const quota = readQuota(fd, project);
    return quota ?? { limitBytes: 0, usedBytes: 0 };
  } finally {
    close(fd);
  }
}

/** Takes the limit of a directory's project away, before the directory goes. Idempotent. */
export function freeDirectoryLimit(dir: string): void {
  const fd = open(dir, O_RDONLY | O_DIRECTORY);
  try {
    const project = readAttributes(fd).getUint32(PROJECT_OFFSET, true);
    if (project !== 0) setLimit(fd, project, 0);
  } finally {
    close(fd);
  }
}

/** One that has neither a limit nor files: nobody uses it, whoever else numbers projects here. */
function freeProject(fd: number): number {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const project = randomInt(PROJECT_MIN, PROJECT_MAX);
    const quota = readQuota(fd, project);
    if (quota === undefined || (quota.limitBytes === 0 && quota.usedBytes === 0)) return project;
  }
  throw new Error("no free project number was found");
}

function readQuota(
  fd: number,
  project: number,
): { limitBytes: number; usedBytes: number } | undefined {
  const quota = new DataView(new ArrayBuffer(QUOTA_BYTES));
  try {
    quotactl(fd, Q_XGETQUOTA, project, new Uint8Array(quota.buffer));
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) return undefined; // xfs: never used
    throw error;
  }
  return {
    limitBytes: Number(quota.getBigUint64(8, true)) * QUOTA_BLOCK_BYTES,
    usedBytes: Number(quota.getBigUint64(40, true)) * QUOTA_BLOCK_BYTES,
  };
}

function setLimit(fd: number, project: number, limitBytes: number): void {
  const quota = new DataView(new ArrayBuffer(QUOTA_BYTES));
  const blocks = BigInt(Math.ceil(limitBytes / QUOTA_BLOCK_BYTES));
  quota.setInt8(0, 1); // FS_DQUOT_VERSION
  quota.setInt8(1, FS_PROJ_QUOTA);
  quota.setUint16(2, FS_DQ_BSOFT | FS_DQ_BHARD, true);
  quota.setUint32(4, project, true);
  quota.setBigUint64(8, blocks, true);
  quota.setBigUint64(16, blocks, true);
  quotactl(fd, Q_XSETQLIM, project, new Uint8Array(quota.buffer));
}

function readAttributes(fd: number): DataView {
  const attributes = new DataView(new ArrayBuffer(FSXATTR_BYTES));
  const address = addressOf(new Uint8Array(attributes.buffer));
  check("ioctl", libc().ioctl(fd, FS_IOC_FSGETXATTR, address));
  return attributes;
}
