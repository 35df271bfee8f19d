import { type Clock, type Digest, SECOND_MS } from "../base/mod.ts";
import type { Endpoint } from "./endpoint.ts";

const FIRST_MS = 10 * SECOND_MS;
const LONGEST_MS = 300 * SECOND_MS; // a mirror that came back is used again within five minutes
const REMEMBERED_MAX = 1000;

/** Remembers which endpoints failed, so that not every request waits for a dead mirror. */
export class EndpointHealth {
  readonly #clock: Clock;
  readonly #failures: Map<string, { readonly count: number; readonly untilMs: number }> = new Map();
  /** Who served bytes of a digest lately, and who served wrong ones. */
  readonly #served: Map<Digest, Set<string>> = new Map();
  readonly #liars: Map<Digest, Set<string>> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  failed(endpoint: Endpoint): void {
    const count = (this.#failures.get(endpoint.origin)?.count ?? 0) + 1;
    const pauseMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (count - 1));
    remember(this.#failures, endpoint.origin, { count, untilMs: this.#clock.nowMs() + pauseMs });
  }

  worked(endpoint: Endpoint): void {
    this.#failures.delete(endpoint.origin);
  }

  served(endpoint: Endpoint, digest: Digest): void {
    const origins = this.#served.get(digest) ?? new Set();
    origins.add(endpoint.origin);
    remember(this.#served, digest, origins);
  }

  /** Whoever served this digest comes last for it. */
  damaged(digest: Digest): void {
    const origins = this.#served.get(digest) ?? new Set();
    remember(this.#liars, digest, new Set([...(this.#liars.get(digest) ?? []), ...origins]));
    this.#served.delete(digest);
  }

  /** The same endpoints, those that failed lately after the others. */
  order(endpoints: readonly Endpoint[], digest?: Digest): readonly Endpoint[] {
    const nowMs = this.#clock.nowMs();
    const liars = digest === undefined ? undefined : this.#liars.get(digest);
    const rank = ({ origin }: Endpoint): number => {
      if (liars?.has(origin) === true) return 2;
      return (this.#failures.get(origin)?.untilMs ?? 0) > nowMs ? 1 : 0;
    };
    return endpoints.toSorted((one, other) => rank(one) - rank(other));
  }
}

function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= REMEMBERED_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
