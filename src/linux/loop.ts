import { close, O_RDWR, open } from "./descriptor.ts";
import { addressOf, check, libc } from "./libc.ts";
import { isSyscallError } from "./syscall-error.ts";

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a; // Linux 5.8
const LO_FLAGS_AUTOCLEAR = 4;
const CONFIG_BYTES = 304; // struct loop_config: fd, block_size, loop_info64 (232 bytes), 64 reserved
const FLAGS_OFFSET = 60; // config.info.lo_flags
const TRIES_MAX = 32; // another process may take the free device between the two calls

/** A block device over a file. It goes by itself when it is neither open nor mounted any more. */
export interface LoopDevice extends Disposable {
  /** `/dev/loop7` */
  readonly path: string;
}

/** Throws SyscallError: ENOENT without the loop driver, EPERM. @see loop(4) */
export function attachLoop(file: string): LoopDevice {
  const fileFd = open(file, O_RDWR);
  try {
    for (let tries = 1; ; tries += 1) {
      const device = attachFree(fileFd);
      if (device !== undefined) return device;
      if (tries === TRIES_MAX) throw new Error(`no loop device could be taken for ${file}`);
    }
  } finally {
    close(fileFd);
  }
}

function attachFree(fileFd: number): LoopDevice | undefined {
  const controlFd = open("/dev/loop-control", O_RDWR);
  let number: number;
  try {
    number = check("ioctl", libc().ioctl(controlFd, LOOP_CTL_GET_FREE, 0), "/dev/loop-control");
  } finally {
    close(controlFd);
  }
  const path = `/dev/loop${number}`;
  const fd = open(path, O_RDWR);
  const config = new DataView(new ArrayBuffer(CONFIG_BYTES));
  config.setUint32(0, fileFd, true);
  config.setUint32(FLAGS_OFFSET, LO_FLAGS_AUTOCLEAR, true);
  try {
    const address = addressOf(new Uint8Array(config.buffer));
    check("ioctl", libc().ioctl(fd, LOOP_CONFIGURE, address), path);
  } catch (error) {
    close(fd);
    if (isSyscallError(error, "EBUSY")) return undefined;
    throw error;
  }
  return { path, [Symbol.dispose]: () => close(fd) };
}
