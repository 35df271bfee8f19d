import type { Digest } from "../base/mod.ts";
import type { KeptDigests } from "./kept-digests.ts";

/** What must stay although no image refers to it yet. Counted: leases overlap. */
export class Leases {
  readonly #counts: Map<Digest, number> = new Map();
  readonly #kept: KeptDigests;

  constructor(kept: KeptDigests) {
    this.#kept = kept;
  }

  has(digest: Digest): boolean {
    return this.#counts.has(digest) || this.#kept.has(digest);
  }

  /** Why it must stay, for people; none when it need not. */
  reasons(digest: Digest): readonly string[] {
    const running = this.#counts.has(digest) ? ["in use by a pull, load or start right now"] : [];
    return [...running, ...this.#kept.keysOf(digest).map((key) => `unfinished ${key}`)];
  }

  /** A group of leases that end together. */
  open(): LeaseGroup {
    return new LeaseGroup(this.#counts);
  }
}

export class LeaseGroup implements Disposable {
  readonly #counts: Map<Digest, number>;
  readonly #held: Set<Digest> = new Set();

  constructor(counts: Map<Digest, number>) {
    this.#counts = counts;
  }

  add(digest: Digest): void {
    if (this.#held.has(digest)) return;
    this.#held.add(digest);
    this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
  }

  held(): readonly Digest[] {
    return [...this.#held];
  }

  [Symbol.dispose](): void {
    for (const digest of this.#held) {
      const count = (this.#counts.get(digest) ?? 0) - 1;
      if (count > 0) this.#counts.set(digest, count);
      else this.#counts.delete(digest);
    }
    this.#held.clear();
  }
}
