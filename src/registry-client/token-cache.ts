import type { Clock } from "../base/mod.ts";
import { SECOND_MS } from "../base/mod.ts";

const TOKENS_MAX = 1000; // one per repository, action and user; the oldest go first
const LIFE_DEFAULT_S = 60; // distribution's token specification, where expires_in is absent
const LIFE_MAX_S = 24 * 3600; // longer than any token service grants
const MARGIN = 0.1; // of the life: a token must outlast the request that it is sent with

/** Bearer tokens by what they are good for. Keys hold no secrets. */
export class TokenCache {
  readonly #clock: Clock;
  readonly #tokens: Map<string, { readonly token: string; readonly untilMs: number }> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): string | undefined {
    const found = this.#tokens.get(key);
    if (found === undefined) return undefined;
    if (found.untilMs > this.#clock.nowMs()) return found.token;
    this.#tokens.delete(key);
    return undefined;
  }

  /** `lifeSeconds` as the service gave it, from now: its clock may differ from ours. */
  set(key: string, token: string, lifeSeconds: unknown): void {
    const given = typeof lifeSeconds === "number" && lifeSeconds > 0 ? lifeSeconds : LIFE_DEFAULT_S;
    const lifeMs = Math.min(given, LIFE_MAX_S) * SECOND_MS * (1 - MARGIN);
    this.#tokens.delete(key);
    this.#tokens.set(key, { token, untilMs: this.#clock.nowMs() + lifeMs });
    if (this.#tokens.size <= TOKENS_MAX) return;
    for (const oldest of this.#tokens.keys()) {
      this.#tokens.delete(oldest);
      break;
    }
  }

  delete(key: string): void {
    this.#tokens.delete(key);
  }
}
