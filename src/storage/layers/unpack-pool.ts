import { type Clock, type Digest, NaruError, Semaphore, workerUrl } from "../../base/mod.ts";
import type { ByteStream } from "../contract.ts";
import { FileStream } from "../file-stream.ts";
import { errorFromRecord } from "../metadata/database-error.ts";
import type { UnpackAnswer, UnpackRequest, UnpackResult, UnpackSource } from "./protocol.ts";

const WORKERS_MAX = 2; // unpacking is bound by one core each and by the disk
const IDLE_MS = 5000; // an image's layers follow each other; afterwards the memory is given back
const CHUNKS_AHEAD = 4; // in flight to a Worker, so that it does not wait for the main thread

export interface UnpackJob {
  readonly root: string;
  readonly source: ByteStream;
  readonly onProgress: ((bytes: number) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Workers that unpack, made when needed and ended when idle. */
export class UnpackPool {
  readonly #clock: Clock;
  readonly #slots: Semaphore = new Semaphore(WORKERS_MAX);
  readonly #idle: Set<{ worker: Worker; cancel: () => void }> = new Set();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws what the archive deserves, cancelled, or what `source` threw. */
  unpack(job: UnpackJob): Promise<UnpackResult> {
    return this.#slots.run(async () => {
      if (job.signal?.aborted === true) throw cancelled();
      const worker = this.#take();
      try {
        const result = await runJob(worker, job);
        this.#giveBack(worker);
        return result;
      } catch (error) {
        worker.terminate(); // its state is not worth knowing
        throw error;
      }
    });
  }

  #take(): Worker {
    for (const entry of this.#idle) {
      this.#idle.delete(entry);
      entry.cancel();
      return entry.worker;
    }
    return new Worker(workerUrl("storage/layers/layer.worker.ts"));
  }

  #giveBack(worker: Worker): void {
    const entry = {
      worker,
      cancel: this.#clock.after(IDLE_MS, () => {
        this.#idle.delete(entry);
        worker.terminate();
      }),
    };
    this.#idle.add(entry);
  }

  /** Ends idle Workers. */
  close(): void {
    for (const { worker, cancel } of this.#idle) {
      cancel();
      worker.terminate();
    }
    this.#idle.clear();
  }
}

async function runJob(worker: Worker, job: UnpackJob): Promise<UnpackResult> {
  const { promise, resolve, reject } = Promise.withResolvers<UnpackResult>();
  const feeder = job.source instanceof FileStream ? undefined : new Feeder(worker, job.source);
  worker.onmessage = ({ data }: MessageEvent<UnpackAnswer>) => {
    switch (data.kind) {
      case "want":
        feeder?.wanted();
        return;
      case "progress":
        job.onProgress?.(data.bytes);
        return;
      case "done":
        resolve(data.result);
        return;
      case "failed":
        reject(feeder?.failure ?? errorFromRecord(data.error));
    }
  };
  worker.onerror = (event: ErrorEvent) => {
    reject(new NaruError("internal", `the unpacking thread ended: ${event.message}`));
  };
  const abort = (): void => worker.postMessage({ kind: "abort" } satisfies UnpackRequest);
  job.signal?.addEventListener("abort", abort, { once: true });
  try {
    const source = sourceOf(job.source);
    const request: UnpackRequest = { kind: "unpack", root: job.root, source };
    worker.postMessage(request);
    const fed = feeder?.feed();
    const result = await promise;
    await fed;
    return result;
  } finally {
    job.signal?.removeEventListener("abort", abort);
    await feeder?.stop();
    worker.onmessage = null;
    worker.onerror = null;
  }
}

function sourceOf(source: ByteStream): UnpackSource {
  if (!(source instanceof FileStream) || !source.whole) return { kind: "chunks" };
  const digest: Digest | undefined = source.options.digest;
  return { kind: "file", path: source.path, digest };
}

function cancelled(): NaruError {
  return new NaruError("cancelled", "unpacking was cancelled");
}

/** Sends a stream to a Worker, a few chunks ahead of what it has consumed. */
class Feeder {
  readonly #worker: Worker;
  readonly #input: AsyncIterator<Uint8Array>;
  #credit = CHUNKS_AHEAD;
  #wake: (() => void) | undefined;
  #stopped = false;
  failure: Error | undefined;

  constructor(worker: Worker, source: ByteStream) {
    this.#worker = worker;
    this.#input = source[Symbol.asyncIterator]();
  }

  wanted(): void {
    this.#credit += 1;
    this.#wake?.();
  }

  async feed(): Promise<void> {
    try {
      while (!this.#stopped) {
        if (this.#credit === 0) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          continue;
        }
        const next = await this.#input.next();
        if (next.done === true) break;
        this.#credit -= 1;
        // A copy of its own: the source may be a decompressor's buffer, which must not be detached
        // (and a Buffer's slice() is no copy).
        const bytes = new Uint8Array(next.value);
        const request: UnpackRequest = { kind: "chunk", bytes };
        this.#worker.postMessage(request, [bytes.buffer]);
      }
      this.#worker.postMessage({ kind: "end" } satisfies UnpackRequest);
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error));
      this.#worker.postMessage({ kind: "abort" } satisfies UnpackRequest);
    }
  }

  /** Ends the source. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#input.return?.();
  }
}
