import { crashHere } from "../base/mod.ts";

/** Places where a test may kill the engine, named `operation.place`. */
const POINTS = [
  "install.before-layers",
  "install.after-layers",
  "install.before-commit",
  "install.after-commit",
  "untag.after-commit",
] as const;

type ImageCrashPoint = (typeof POINTS)[number];

export const IMAGE_CRASH_POINTS: readonly ImageCrashPoint[] = POINTS;

export function crashPoint(name: ImageCrashPoint): void {
  crashHere(name);
}
