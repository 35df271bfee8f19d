import { type Clock, isNaruError, NaruError, SECOND_MS } from "../base/mod.ts";
import { isLasting } from "./failure.ts";

const FIRST_MS = 250;
const LONGEST_MS = 15 * SECOND_MS;
// Docker Hub's limits are over after hours: nobody waits so long, and is told instead.
const RETRY_AFTER_MAX_MS = 60 * SECOND_MS;

export interface Backoff {
  readonly clock: Clock;
  /** 0 to 1; many clients that failed together must not come back together. */
  readonly random: () => number;
}

/** How long to wait after failure `count` (from 1), or undefined: it is no use to wait. */
export function backoffMs(count: number, error: unknown, random: number): number | undefined {
  if (isLasting(error) || !isNaruError(error)) return undefined;
  const wished = error.details["retryAfterMs"];
  if (typeof wished === "number") {
    return wished > RETRY_AFTER_MAX_MS ? undefined : wished + random * FIRST_MS;
  }
  const fullMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (count - 1));
  return fullMs * (0.5 + random / 2);
}

/** Throws cancelled when `signal` aborts. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      cancel();
      reject(new NaruError("cancelled", "the request was cancelled"));
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener("abort", aborted);
      resolve();
    });
    if (signal.aborted) aborted();
    else signal.addEventListener("abort", aborted, { once: true });
  });
}

/** Runs `attempt` up to `attemptsMax` times while it throws what may pass. */
export async function retrying<T>(
  attempt: () => Promise<T>,
  options: Backoff & { attemptsMax: number; signal: AbortSignal },
): Promise<T> {
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      const delayMs = backoffMs(count, error, options.random());
      if (delayMs === undefined || count >= options.attemptsMax) throw error;
      await pause(options.clock, delayMs, options.signal);
    }
  }
}
