import type { WaitCondition } from "./contract.ts";

export interface WaitResult {
  readonly exitCode: number;
  readonly error: string | undefined;
}

interface Waiter {
  readonly condition: WaitCondition;
  readonly resolve: (result: WaitResult) => void;
}

/** Who waits for which container to end or to go. */
export class Waiters {
  readonly #byContainer: Map<string, Set<Waiter>> = new Map();

  /** Registered when this returns. Never resolves after an abort: the client is gone. */
  add(id: string, condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    return new Promise((resolve) => {
      const all = this.#byContainer.get(id) ?? new Set<Waiter>();
      const forget = (): void => {
        all.delete(waiter);
        if (all.size === 0 && this.#byContainer.get(id) === all) this.#byContainer.delete(id);
      };
      const waiter: Waiter = {
        condition,
        resolve: (result) => {
          signal.removeEventListener("abort", forget);
          forget();
          resolve(result);
        },
      };
      if (signal.aborted) return;
      signal.addEventListener("abort", forget, { once: true });
      all.add(waiter);
      this.#byContainer.set(id, all);
    });
  }

  /** A run has ended. */
  exited(id: string, result: WaitResult): void {
    this.#settle(id, result, (condition) => condition !== "removed");
  }

  /** A start failed: the container goes on not running; whoever waits for a run's end still does. */
  startFailed(id: string, result: WaitResult): void {
    this.#settle(id, result, (condition) => condition === "not-running");
  }

  /** The container is gone: nobody has anything left to wait for. */
  removed(id: string, result: WaitResult): void {
    this.#settle(id, result, () => true);
  }

  count(id: string): number {
    return this.#byContainer.get(id)?.size ?? 0;
  }

  #settle(id: string, result: WaitResult, hits: (condition: WaitCondition) => boolean): void {
    for (const waiter of [...(this.#byContainer.get(id) ?? [])]) {
      if (hits(waiter.condition)) waiter.resolve(result);
    }
  }
}
