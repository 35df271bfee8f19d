import { crashHere } from "../base/mod.ts";

/** Places where a test may kill the engine, named `operation.place`. */
const POINTS = [
  "volume-create.before-commit",
  "volume-create.after-commit",
  "volume-mount.after-mount",
  "volume-unmount.before-unmount",
  "copy-up.after-mark",
  "copy-up.after-copy",
  "volume-remove.before-commit",
  "volume-remove.after-commit",
  "volume-remove.after-move",
  "snapshot.before-rename",
  "snapshot.after-rename",
  "restore.before-exchange",
  "restore.after-exchange",
] as const;

type VolumeCrashPoint = (typeof POINTS)[number];

export const VOLUME_CRASH_POINTS: readonly VolumeCrashPoint[] = POINTS;

export function crashPoint(name: VolumeCrashPoint): void {
  crashHere(name);
}
