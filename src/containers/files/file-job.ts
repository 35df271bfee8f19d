import { NaruError, Semaphore, workerUrl } from "../../base/mod.ts";
import {
  errorOf,
  type FileAnswer,
  type FileJob,
  type FileRequest,
  type PathStat,
} from "./protocol.ts";

const JOBS_MAX = 16; // threads at once; each is a client that copies, and 2 MB
const CHUNKS_AHEAD = 4; // sent to the thread before it asks for more
const slots = new Semaphore(JOBS_MAX);

/** Fills volumes from the root of their container, which is at this path of the host. */
export type Fill = (rootPath: string) => Promise<void>;

/** A job that is under way. It must be ended by `close`, whatever happens. */
export class RunningJob {
  readonly #worker: Worker;
  readonly #free: () => void;
  readonly #fill: Fill;
  readonly #chunks: Uint8Array[] = [];
  readonly #ready = Promise.withResolvers<PathStat | null>();
  readonly #over = Promise.withResolvers<void>();
  #fillFailure: Error | undefined;
  #failure: Error | undefined;
  #ended = false;
  #credit = CHUNKS_AHEAD;
  #wake: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(worker: Worker, free: () => void, fill: Fill) {
    this.#worker = worker;
    this.#free = free;
    this.#fill = fill;
    this.#ready.promise.catch(() => undefined);
    worker.onmessage = ({ data }: MessageEvent<FileAnswer>) => this.#received(data);
    worker.onerror = (event: ErrorEvent) => {
      this.#end(new NaruError("internal", `the thread of a file job ended: ${event.message}`));
    };
  }

  /** Starts a thread for `job`; when too many run, after one of them. */
  static async start(job: FileJob, fill: Fill = () => Promise.resolve()): Promise<RunningJob> {
    const free = await takeSlot();
    const worker = new Worker(workerUrl("containers/files/files.worker.ts"));
    const running = new RunningJob(worker, free, fill);
    running.#post({ kind: "job", job });
    return running;
  }

  #post(request: FileRequest, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer);
  }

  #received(answer: FileAnswer): void {
    switch (answer.kind) {
      case "mounted":
        void this.#fillVolumes(answer.rootFd);
        return;
      case "ready":
        this.#ready.resolve(answer.stat);
        return;
      case "chunk":
        this.#chunks.push(answer.bytes);
        break;
      case "want":
        this.#credit += 1;
        break;
      case "done":
        this.#end(undefined);
        return;
      case "failed":
        this.#end(this.#fillFailure ?? errorOf(answer.error));
        return;
    }
    this.#wake?.();
  }

  async #fillVolumes(rootFd: number): Promise<void> {
    try {
      await this.#fill(`/proc/self/fd/${rootFd}`);
      this.#post({ kind: "filled" });
    } catch (error) {
      this.#fillFailure = error instanceof Error ? error : new Error(String(error));
      this.#post({ kind: "abort" });
    }
  }

  #end(failure: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    if (failure !== undefined) this.#ready.reject(failure);
    this.#over.resolve();
    this.#wake?.();
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /** What could be checked beforehand is right. Throws what was found. */
  ready(): Promise<PathStat | null> {
    return this.#ready.promise;
  }

  /** Content, at the reader's pace. Throws what the job throws, also after some content. */
  async *output(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        yield chunk;
        if (!this.#ended) this.#post({ kind: "credit" });
      } else if (this.#ended) {
        if (this.#failure !== undefined) throw this.#failure;
        return;
      } else {
        await this.#change();
      }
    }
  }

  /** Sends `source` and waits for the end of the job. Throws what either throws. */
  async input(source: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of source) {
      while (this.#credit === 0 && !this.#ended) await this.#change();
      if (this.#ended) break;
      this.#credit -= 1;
      // A copy of its own: the source may be a decompressor's buffer, which must not be detached.
      const bytes = new Uint8Array(chunk);
      this.#post({ kind: "chunk", bytes }, [bytes.buffer]);
    }
    if (!this.#ended) this.#post({ kind: "end" });
    await this.#over.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends the job, with it its thread and that one's mounts. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Not terminated under way: descriptors belong to the process and would stay open.
    if (!this.#ended) this.#post({ kind: "abort" });
    await this.#over.promise;
    this.#worker.onmessage = null;
    this.#worker.onerror = null;
    this.#worker.terminate();
    this.#free();
  }
}

async function takeSlot(): Promise<() => void> {
  const taken = Promise.withResolvers<void>();
  const freed = Promise.withResolvers<void>();
  void slots.run(() => {
    taken.resolve();
    return freed.promise;
  });
  await taken.promise;
  return () => freed.resolve();
}
