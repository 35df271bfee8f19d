import { NaruError, workerUrl } from "../base/mod.ts";
import type { ForgetAnswer, ForgetQuestion } from "./conntrack-protocol.ts";
import type { TrackedPort } from "./netlink/connection.ts";
import { syscallErrorFrom } from "./syscall-error.ts";

export type { TrackedPort } from "./netlink/connection.ts";

/**
 * The kernel's memory of connections: packets of one that it knows go where its first one went,
 * whatever the rules say now. The Worker is made at the first use.
 */
export class ConnectionTracking {
  readonly #waiting: Map<number, PromiseWithResolvers<number>> = new Map();
  #worker: Worker | undefined;
  #lastId = 0;

  /** Forgets what belongs to the ports; says how many there were. Throws NaruError internal. */
  forget(ports: readonly TrackedPort[]): Promise<number> {
    if (ports.length === 0) return Promise.resolve(0);
    this.#worker ??= this.#start();
    this.#lastId += 1;
    const question: ForgetQuestion = { id: this.#lastId, ports };
    const waiting = Promise.withResolvers<number>();
    this.#waiting.set(question.id, waiting);
    this.#worker.postMessage(question);
    return waiting.promise;
  }

  #start(): Worker {
    const worker = new Worker(workerUrl("linux/conntrack.worker.ts"));
    worker.unref();
    worker.addEventListener("message", ({ data }: MessageEvent<ForgetAnswer>) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.kind === "done") waiting?.resolve(data.forgotten);
      else waiting?.reject(failureOf(data));
    });
    worker.addEventListener("error", ({ message }) => {
      this.#worker = undefined;
      for (const waiting of this.#waiting.values()) waiting.reject(broken(message));
      this.#waiting.clear();
    });
    return worker;
  }

  close(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const waiting of this.#waiting.values()) waiting.reject(broken("closed"));
    this.#waiting.clear();
  }
}

function failureOf(answer: Exclude<ForgetAnswer, { kind: "done" }>): NaruError {
  if (answer.kind === "broken") return broken(answer.message);
  const cause = syscallErrorFrom(answer.failure);
  return new NaruError("internal", `connection tracking: ${cause.message}`, {}, { cause });
}

function broken(message: string): NaruError {
  return new NaruError("internal", `the connection tracking worker failed: ${message}`);
}
