import { assert, type Clock, errorMessage } from "../../base/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import type { Change, Metadata, WorkItem, WorkQueue } from "../contract.ts";

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

// Background work must not crowd out what people wait for; most of it waits for kernel locks anyway.
const RUNNING_MAX = 4;
const RETRY_FIRST_MS = 200;
const RETRY_LAST_MS = 60_000; // a full disk or a busy mount may last: try once a minute for ever

/** Durable work over the `work` table. */
export function createWorkQueue(metadata: Metadata, options: WorkQueueOptions): WorkQueue {
  return new MetadataWorkQueue(metadata, options);
}

type Handler = (payload: unknown) => Promise<void>;

class MetadataWorkQueue implements WorkQueue {
  readonly #metadata: Metadata;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #handlers: Map<string, Handler> = new Map();
  /** Everything that is not done yet, in order of arrival. */
  readonly #items: Map<string, WorkItem> = new Map();
  readonly #ready: WorkItem[] = [];
  readonly #failures: Map<string, number> = new Map();
  readonly #timers: Map<string, () => void> = new Map();
  #running = 0;
  #serial = 0;
  #state: "new" | "started" | "stopped" = "new";
  #idleWaiters: (() => void)[] = [];
  #stopWaiters: (() => void)[] = [];

  constructor(metadata: Metadata, options: WorkQueueOptions) {
    this.#metadata = metadata;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  handle(kind: string, handler: Handler): void {
    assert(!this.#handlers.has(kind), `work of kind ${kind} has one handler`);
    assert(this.#state === "new", "handlers are known before work starts");
    this.#handlers.set(kind, handler);
  }

  prepare(kind: string, payload: unknown): { item: WorkItem; change: Change } {
    this.#serial += 1;
    // Sorts by age, also across restarts: nanoseconds, then a count for two in the same one.
    const stamp = this.#clock.nowNs().toString().padStart(20, "0");
    const id = `${stamp}-${this.#serial.toString().padStart(8, "0")}`;
    const item: WorkItem = { id, kind, payload };
    return { item, change: { table: "work", key: id, value: { kind, payload } } };
  }

  submit(item: WorkItem): void {
    this.#items.set(item.id, item);
    this.#ready.push(item);
    this.#pump();
  }

  async add(kind: string, payload: unknown): Promise<void> {
    const { item, change } = this.prepare(kind, payload);
    await this.#metadata.commit([change]);
    this.submit(item);
  }

  start(): void {
    assert(this.#state === "new", "a work queue starts once");
    this.#state = "started";
    const left: WorkItem[] = [];
    for (const [id, value] of this.#metadata.rows("work")) {
      const { kind, payload } = value as { kind: string; payload: unknown };
      if (this.#items.has(id)) continue;
      if (this.#handlers.has(kind)) left.push({ id, kind, payload });
      // Written by another version of the engine: it stays for the one that knows it.
      else this.#logger.error("work of an unknown kind is left alone", { kind, id });
    }
    for (const item of left) this.#items.set(item.id, item);
    this.#ready.unshift(...left);
    this.#pump();
  }

  async idle(): Promise<void> {
    while (this.#items.size > 0) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
  }

  pending(): readonly WorkItem[] {
    return [...this.#items.values()];
  }

  async stop(): Promise<void> {
    this.#state = "stopped";
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    while (this.#running > 0) {
      await new Promise<void>((resolve) => this.#stopWaiters.push(resolve));
    }
  }

  #pump(): void {
    while (this.#state === "started" && this.#running < RUNNING_MAX) {
      const item = this.#ready.shift();
      if (item === undefined) return;
      this.#running += 1;
      void this.#perform(item).finally(() => {
        this.#running -= 1;
        if (this.#items.size === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
        if (this.#running === 0) for (const resolve of this.#stopWaiters.splice(0)) resolve();
        this.#pump();
      });
    }
  }

  async #perform(item: WorkItem): Promise<void> {
    try {
      const handler = this.#handlers.get(item.kind);
      assert(handler !== undefined, `work of kind ${item.kind} has a handler`);
      await handler(item.payload);
      await this.#metadata.commit([{ table: "work", key: item.id, value: undefined }]);
      this.#items.delete(item.id);
      this.#failures.delete(item.id);
    } catch (error) {
      this.#retryLater(item, error);
    }
  }

  #retryLater(item: WorkItem, error: unknown): void {
    const failures = (this.#failures.get(item.id) ?? 0) + 1;
    this.#failures.set(item.id, failures);
    const delayMs = Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_LAST_MS);
    const fields = { kind: item.kind, id: item.id, failures, delayMs, error: errorMessage(error) };
    this.#logger.warn("background work failed and will be tried again", fields);
    if (this.#state !== "started") return;
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers.delete(item.id);
      this.#ready.push(item);
      this.#pump();
    });
    this.#timers.set(item.id, cancel);
  }
}
