import type { NetworkKernel } from "../linux/mod.ts";

const ASK_AGAIN_MS = 25; // the kernel takes about 40 ms for one namespace or for twenty
const PATIENCE_MS = 3000; // after that something still holds the namespace: take the link by force

/** Waits for links to disappear: one question to the kernel for all that wait. */
export class LinkWatch {
  readonly #kernel: NetworkKernel;
  readonly #waiting: Map<string, PromiseWithResolvers<void> & { askedTimes: number }> = new Map();
  #asking = false;

  constructor(kernel: NetworkKernel) {
    this.#kernel = kernel;
  }

  /** Resolves when no link of that name is there; deletes it when it does not go by itself. */
  gone(name: string): Promise<void> {
    const waiting = this.#waiting.get(name) ?? { ...Promise.withResolvers<void>(), askedTimes: 0 };
    this.#waiting.set(name, waiting);
    if (!this.#asking) void this.#ask();
    return waiting.promise;
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    try {
      while (this.#waiting.size > 0) {
        const present = new Set((await this.#kernel.links()).map(({ name }) => name));
        const stubborn: string[] = [];
        for (const [name, waiting] of this.#waiting) {
          waiting.askedTimes += 1;
          if (!present.has(name)) {
            this.#waiting.delete(name);
            waiting.resolve();
          } else if (waiting.askedTimes * ASK_AGAIN_MS > PATIENCE_MS) stubborn.push(name);
        }
        await this.#kernel.deleteLinks(stubborn);
        if (this.#waiting.size > 0) await Bun.sleep(ASK_AGAIN_MS);
      }
    } catch (error) {
      for (const waiting of this.#waiting.values()) waiting.reject(error);
      this.#waiting.clear();
    } finally {
      this.#asking = false;
    }
  }
}
