import { NaruError } from "../base/mod.ts";
import type { RestartPolicy } from "../spec/mod.ts";

const DELAY_MS_MIN = 100; // Docker's back-off: doubles from here up to a minute
const DELAY_MS_MAX = 60_000;
const STEADY_MS = 10_000; // a run this long starts the back-off anew

const NAMES = new Set(["", "no", "always", "unless-stopped", "on-failure"]);

/** Throws invalid_argument in Docker's words. */
export function checkRestartPolicy(policy: RestartPolicy, autoRemove: boolean): void {
  const fail = (message: string): NaruError =>
    new NaruError("invalid_argument", message, { field: "RestartPolicy" });
  if (!NAMES.has(policy.Name)) {
    throw fail(`invalid restart policy: unknown policy '${policy.Name}'`);
  }
  if (policy.MaximumRetryCount < 0) {
    throw fail("invalid restart policy: maximum retry count cannot be negative");
  }
  if (policy.Name !== "on-failure" && policy.MaximumRetryCount > 0) {
    throw fail("invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  if (autoRemove && policy.Name !== "" && policy.Name !== "no") {
    throw fail("can't create 'AutoRemove' container with restart policy");
  }
}

export interface EndedRun {
  readonly exitCode: number;
  readonly ranMs: number;
  readonly stoppedByUser: boolean;
  /** Restarts by the policy so far. */
  readonly restartCount: number;
  readonly lastDelayMs: number;
}

/** Milliseconds to wait before the next start, or undefined: it stays stopped. */
export function restartDelayMs(policy: RestartPolicy, run: EndedRun): number | undefined {
  if (run.stoppedByUser || !wantsRestart(policy, run.exitCode, run.restartCount)) return undefined;
  if (run.ranMs >= STEADY_MS || run.lastDelayMs === 0) return DELAY_MS_MIN;
  return Math.min(run.lastDelayMs * 2, DELAY_MS_MAX);
}

function wantsRestart(policy: RestartPolicy, exitCode: number, restartCount: number): boolean {
  switch (policy.Name) {
    case "always":
    case "unless-stopped":
      return true;
    case "on-failure":
      if (exitCode === 0) return false;
      return policy.MaximumRetryCount === 0 || restartCount < policy.MaximumRetryCount;
    default:
      return false;
  }
}

/** After an engine start: should a container that is not running be started? */
export function startsWithEngine(
  policy: RestartPolicy,
  last: {
    readonly exitCode: number;
    readonly stoppedByUser: boolean;
    readonly restartCount: number;
  },
): boolean {
  if (policy.Name === "always") return true;
  if (last.stoppedByUser) return false;
  return wantsRestart(policy, last.exitCode, last.restartCount);
}
