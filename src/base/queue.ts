/**
 * One task at a time per key, in the order of arrival; keys do not wait for each other. This is
 * how a container has exactly one writer.
 */
export class KeyedQueue<K> {
  readonly #tails: Map<K, Promise<unknown>> = new Map();

  /** Runs `task` after all earlier tasks of `key` have ended, well or badly. */
  run<T>(key: K, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(task, task);
    const tail = result.then(
      () => undefined,
      () => undefined,
    );
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return result;
  }

  /** Resolves when nothing is queued or running. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values());
  }
}

/** At most `limit` holders at a time; others wait in order. A limit that changes counts from the next end on. */
export class Semaphore {
  #held = 0;
  readonly #limit: () => number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number | (() => number)) {
    this.#limit = typeof limit === "number" ? () => limit : limit;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#held < this.#limit()) this.#held += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      this.#held -= 1;
      this.#admit();
    }
  }

  #admit(): void {
    while (this.#held < this.#limit()) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#held += 1;
      next();
    }
  }
}
