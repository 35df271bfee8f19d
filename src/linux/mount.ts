import { check, cText, libc, type PathText } from "./libc.ts";
import { isSyscallError } from "./syscall-error.ts";

/** Flags of mount(2). */
export const MS_RDONLY: number = 0x1;
export const MS_NOSUID: number = 0x2;
export const MS_NODEV: number = 0x4;
export const MS_NOEXEC: number = 0x8;
export const MS_SYNCHRONOUS: number = 0x10;
export const MS_REMOUNT: number = 0x20;
export const MS_MANDLOCK: number = 0x40;
export const MS_DIRSYNC: number = 0x80;
export const MS_NOATIME: number = 0x400;
export const MS_NODIRATIME: number = 0x800;
export const MS_BIND: number = 0x1000;
export const MS_REC: number = 0x4000;
export const MS_UNBINDABLE: number = 0x20000;
export const MS_PRIVATE: number = 0x40000;
export const MS_SLAVE: number = 0x80000;
export const MS_SHARED: number = 0x100000;
export const MS_RELATIME: number = 0x200000;
export const MS_STRICTATIME: number = 0x1000000;

/** Flags of umount2(2). */
export const MNT_DETACH: number = 2;
export const UMOUNT_NOFOLLOW: number = 8;

export interface MountRequest {
  readonly source: PathText;
  readonly target: PathText;
  /** `overlay`, `tmpfs`, ...; left out for bind mounts and changes of propagation. */
  readonly type?: string;
  readonly flags?: number;
  /** At most a page less one byte (4095); longer is cut by the kernel, so it is refused here. */
  readonly options?: string;
}

const OPTIONS_BYTES_MAX = 4095; // one page with its NUL, whatever the architecture

export function mountOptionsFit(options: string): boolean {
  return Buffer.byteLength(options) <= OPTIONS_BYTES_MAX;
}

export function mount(request: MountRequest): void {
  const source = cText(0, request.source, "mount");
  const target = cText(1, request.target, "mount");
  const type = request.type === undefined ? null : cText(2, request.type, "mount");
  const options = request.options === undefined ? null : cText(3, request.options, "mount");
  check("mount", libc().mount(source, target, type, request.flags ?? 0, options), request.target);
}

export function umount(target: PathText, flags = 0): void {
  check("umount2", libc().umount2(cText(0, target, "umount2"), flags), target);
}

/** Takes the mount out of sight at once, busy or not. False when nothing was mounted there. */
export function umountDetached(target: PathText): boolean {
  try {
    umount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
    return true;
  } catch (error) {
    // EINVAL: not a mount point.
    if (isSyscallError(error, "EINVAL") || isSyscallError(error, "ENOENT")) return false;
    throw error;
  }
}

// The new mount API: numbers from 424 on are the same on every architecture.
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_SET_FD = 5;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

/** A file system context to be configured; close it like any descriptor. @see fsopen(2) */
export function fsopen(type: string): number {
  const name = cText(0, type, "fsopen");
  return check("fsopen", libc().syscall(SYS_FSOPEN, name, FSOPEN_CLOEXEC, 0, 0, 0), type);
}

/** Sets a value of at most 255 bytes (the kernel's limit for one text). */
export function fsconfigText(contextFd: number, key: string, value: string): void {
  const name = cText(0, key, "fsconfig");
  const text = cText(1, value, "fsconfig");
  const call = libc().syscall(SYS_FSCONFIG, contextFd, FSCONFIG_SET_STRING, name, text, 0);
  check("fsconfig", call, key);
}

export function fsconfigFlag(contextFd: number, key: string): void {
  const name = cText(0, key, "fsconfig");
  const call = libc().syscall(SYS_FSCONFIG, contextFd, FSCONFIG_SET_FLAG, name, 0, 0);
  check("fsconfig", call, key);
}

export function fsconfigDescriptor(contextFd: number, key: string, valueFd: number): void {
  const name = cText(0, key, "fsconfig");
  const call = libc().syscall(SYS_FSCONFIG, contextFd, FSCONFIG_SET_FD, name, 0, valueFd);
  check("fsconfig", call, key);
}

/** Makes the file system that was described. */
export function fsconfigCreate(contextFd: number): void {
  const call = libc().syscall(SYS_FSCONFIG, contextFd, FSCONFIG_CMD_CREATE, 0, 0, 0);
  check("fsconfig", call, "create");
}

/** A mount that is attached nowhere yet; closing it undoes it. */
export function fsmount(contextFd: number, attributes = 0): number {
  const call = libc().syscall(SYS_FSMOUNT, contextFd, FSMOUNT_CLOEXEC, attributes, 0, 0);
  return check("fsmount", call);
}

/** Attaches a mount made by fsmount at `target`. */
export function moveMount(mountFd: number, target: PathText): void {
  const empty = cText(0, "", "move_mount");
  const path = cText(1, target, "move_mount");
  const call = libc().syscall(SYS_MOVE_MOUNT, mountFd, empty, -100, path, MOVE_MOUNT_F_EMPTY_PATH);
  check("move_mount", call, target);
}
