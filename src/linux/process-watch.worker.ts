import { pollReadable, read } from "./descriptor.ts";
import { WATCH_ADD, WATCH_RECORD_INTS, WATCH_STOP } from "./process-watch-protocol.ts";

/*
 * Waits in poll(2) for the end of processes and for orders on a pipe; the main thread would have to
 * ask again and again. Orders come by the pipe, since a Worker that waits in a call sees no messages.
 */
interface WorkerScope {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent<{ readonly orderFd: number }>) => void) | null;
}
declare const self: WorkerScope;

self.onmessage = ({ data }) => {
  watch(data.orderFd);
  self.postMessage({ kind: "stopped" });
};

function watch(orderFd: number): void {
  const pidFds = new Set<number>();
  const record = new Int32Array(WATCH_RECORD_INTS);
  const recordBytes = new Uint8Array(record.buffer);
  for (;;) {
    const fds = [orderFd, ...pidFds];
    for (const index of pollReadable(fds, -1)) {
      const fd = fds[index] as number;
      if (fd !== orderFd) {
        pidFds.delete(fd);
        self.postMessage({ kind: "ended", pidFd: fd });
        continue;
      }
      // Records are smaller than PIPE_BUF: each is read whole.
      if (read(orderFd, recordBytes) !== recordBytes.byteLength) return;
      const [order, pidFd] = record as unknown as [number, number];
      if (order === WATCH_STOP) return;
      if (order === WATCH_ADD) pidFds.add(pidFd);
      else {
        pidFds.delete(pidFd);
        self.postMessage({ kind: "dropped", pidFd });
      }
    }
  }
}
