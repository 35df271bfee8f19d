import { workerUrl } from "../base/mod.ts";
import { close, type Pipe, pipe2, writeAll } from "./descriptor.ts";
import { isAlive, pidfdOpen } from "./process.ts";
import { WATCH_ADD, WATCH_DROP, WATCH_STOP, type WatchReport } from "./process-watch-protocol.ts";

/** A process being watched. */
export interface ProcessWatch {
  /** Resolves when the process has ended (a zombie has), and also after `cancel`. */
  readonly ended: Promise<void>;
  /** True once the process itself was seen to end. */
  hasEnded(): boolean;
  cancel(): void;
}

/** Watches processes that are not our children. One Worker for all, started by the first watch. */
export interface ProcessWatcher {
  /** `startTime` as in processStatus. One that is gone already resolves at once. */
  watch(pid: number, startTime: number): ProcessWatch;
  close(): Promise<void>;
}

interface Entry {
  ended: boolean;
  cancelled: boolean;
  readonly resolve: () => void;
}

export function createProcessWatcher(): ProcessWatcher {
  return new PollingWatcher();
}

class PollingWatcher implements ProcessWatcher {
  readonly #entries: Map<number, Entry> = new Map();
  #worker: Worker | undefined;
  #orders: Pipe | undefined;
  readonly #stopped: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  watch(pid: number, startTime: number): ProcessWatch {
    const pidFd = pidfdOpen(pid);
    // Asked after the descriptor exists: it is then known to be this very process.
    if (pidFd === undefined || !isAlive(pid, startTime)) {
      if (pidFd !== undefined) close(pidFd);
      return { ended: Promise.resolve(), hasEnded: () => true, cancel: () => undefined };
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry: Entry = { ended: false, cancelled: false, resolve };
    this.#entries.set(pidFd, entry);
    this.#order(WATCH_ADD, pidFd);
    return {
      ended: promise,
      hasEnded: () => entry.ended,
      cancel: () => {
        if (entry.ended || entry.cancelled) return;
        entry.cancelled = true;
        this.#order(WATCH_DROP, pidFd);
        resolve();
      },
    };
  }

  #order(order: number, pidFd: number): void {
    if (this.#orders === undefined) {
      this.#orders = pipe2();
      this.#worker = new Worker(workerUrl("linux/process-watch.worker.ts"));
      this.#worker.unref();
      this.#worker.addEventListener("message", ({ data }: MessageEvent<WatchReport>) =>
        this.#report(data),
      );
      this.#worker.postMessage({ orderFd: this.#orders.readFd });
    }
    const record = Int32Array.of(order, pidFd);
    writeAll(this.#orders.writeFd, new Uint8Array(record.buffer));
  }

  #report(report: WatchReport): void {
    if (report.kind === "stopped") {
      this.#stopped.resolve();
      return;
    }
    const entry = this.#entries.get(report.pidFd);
    if (entry === undefined) return;
    if (report.kind === "ended") entry.ended = true;
    // An end may cross a drop. Closing now would let the number have a new owner when the answer to
    // the drop comes.
    if (report.kind === "ended" && entry.cancelled) return;
    this.#entries.delete(report.pidFd);
    close(report.pidFd);
    entry.resolve();
  }

  async close(): Promise<void> {
    if (this.#orders === undefined) return;
    this.#order(WATCH_STOP, -1);
    await this.#stopped.promise;
    this.#worker?.terminate();
    close(this.#orders.readFd);
    close(this.#orders.writeFd);
    this.#orders = undefined;
    for (const [pidFd, entry] of this.#entries) {
      close(pidFd);
      entry.resolve();
    }
    this.#entries.clear();
  }
}
