import { MS_NS } from "./units.ts";

/** Time as something that can be passed in, so that tests need no sleeps. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Nanoseconds since the Unix epoch; never goes back within one process. */
  nowNs(): bigint;
  /** Runs `action` once after `delayMs`; the result cancels it. Does not keep the process alive. */
  after(delayMs: number, action: () => void): () => void;
}

const originNs: bigint = BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n;
let lastNs = 0n;

/** The clock of the machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  nowNs() {
    // performance.now() alone drifts from the wall clock when that is set; stay within 1 s of it.
    const wallNs = BigInt(Date.now()) * MS_NS;
    const fineNs = originNs + BigInt(Math.round(performance.now() * 1e6));
    const drift = fineNs > wallNs ? fineNs - wallNs : wallNs - fineNs;
    const nowNs = drift < 1_000_000_000n ? fineNs : wallNs;
    lastNs = nowNs > lastNs ? nowNs : lastNs + 1n;
    return lastNs;
  },
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
