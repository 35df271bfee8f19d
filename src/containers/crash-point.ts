import { crashHere } from "../base/mod.ts";

/**
 * Places where a test may kill the engine, named `operation.place`. The fault test reads this list,
 * so a point that is not here does not compile and one that is not reached fails that test.
 */
export type CrashPoint =
  | "create.before-commit"
  | "create.after-commit"
  | "start.after-intent"
  | "start.after-mount-and-network"
  | "start.after-publish"
  | "start.after-create"
  | "start.after-commit"
  | "start.after-start"
  | "exec.before-start"
  | "exec.after-start"
  | "stop.after-signal"
  | "exit.before-clean-up"
  | "exit.before-commit"
  | "exit.after-commit"
  | "remove.before-commit"
  | "remove.after-commit"
  | "update.after-intent"
  | "update.after-apply"
  | "publish.after-intent"
  | "publish.after-apply"
  | "rename.before-commit"
  | "rename.after-commit"
  | "exec.after-exit"
  | "connect.after-endpoint"
  | "connect.after-commit"
  | "disconnect.after-endpoint";

const POINTS: Readonly<Record<CrashPoint, true>> = {
  "create.before-commit": true,
  "create.after-commit": true,
  "start.after-intent": true,
  "start.after-mount-and-network": true,
  "start.after-publish": true,
  "start.after-create": true,
  "start.after-commit": true,
  "start.after-start": true,
  "exec.before-start": true,
  "exec.after-start": true,
  "stop.after-signal": true,
  "exit.before-clean-up": true,
  "exit.before-commit": true,
  "exit.after-commit": true,
  "remove.before-commit": true,
  "remove.after-commit": true,
  "update.after-intent": true,
  "update.after-apply": true,
  "publish.after-intent": true,
  "publish.after-apply": true,
  "rename.before-commit": true,
  "rename.after-commit": true,
  "exec.after-exit": true,
  "connect.after-endpoint": true,
  "connect.after-commit": true,
  "disconnect.after-endpoint": true,
};

export const CRASH_POINTS: readonly CrashPoint[] = Object.keys(POINTS) as CrashPoint[];

/** Those of a commit, which needs more of an engine than the rooms beneath the API. */
const COMMIT_POINTS = ["commit.after-freeze", "commit.before-thaw"] as const;

type CommitCrashPoint = (typeof COMMIT_POINTS)[number];

export const COMMIT_CRASH_POINTS: readonly CommitCrashPoint[] = COMMIT_POINTS;

/** Kills this process at once, as kill -9 would, when the environment names this point. */
export function crashPoint(name: CrashPoint | CommitCrashPoint): void {
  crashHere(name);
}
