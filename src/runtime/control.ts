import { errorCode, NaruError } from "../base/mod.ts";
import { close, O_NONBLOCK, O_WRONLY, open, write } from "../linux/mod.ts";

/** The size of a container's or an exec's terminal. Throws conflict when its conmon is gone. */
export function resizeTerminal(
  bundleDir: string,
  size: { readonly rows: number; readonly columns: number },
): void {
  sendControl(bundleDir, `1 ${size.rows} ${size.columns}\n`);
}

/** conmon opens a new, empty log file in place of the one at the log's path, whatever that is. */
export function reopenLog(bundleDir: string): void {
  sendControl(bundleDir, "2 0 0\n");
}

/** One line into conmon's `ctl` fifo: shorter than PIPE_BUF, so whole. @see conmon src/ctrl.c */
function sendControl(bundleDir: string, line: string): void {
  let fd: number;
  try {
    fd = open(`${bundleDir}/ctl`, O_WRONLY | O_NONBLOCK);
  } catch (cause) {
    // ENXIO: nobody has the other end open, so conmon is dead.
    if (errorCode(cause) !== "ENXIO" && errorCode(cause) !== "ENOENT") throw cause;
    throw new NaruError(
      "conflict",
      "the container's monitor is not there",
      { bundleDir },
      { cause },
    );
  }
  try {
    write(fd, Buffer.from(line));
  } finally {
    close(fd);
  }
}
