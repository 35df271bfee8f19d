import { existsSync } from "node:fs";
import { join } from "node:path";

/** The top of the repository. */
export const ROOT: string = join(import.meta.dir, "../..");

/** What the containers of the suites run on: `NARU_TEST_RUNTIME`, or the engine's own default. */
export const TEST_RUNTIME: "crun" | "runc" =
  process.env["NARU_TEST_RUNTIME"] === "runc" ? "runc" : "crun";

/**
 * The command line of naru: the built file, or the sources when NARU_TEST_SOURCE=1 (no build
 * needed, slower to start). NARU_TEST_PROGRAM names another built file, one that nobody rebuilds.
 */
export function naruCommand(): readonly [string, ...string[]] {
  if (process.env["NARU_TEST_SOURCE"] === "1") return [process.execPath, join(ROOT, "src/main.ts")];
  const built = process.env["NARU_TEST_PROGRAM"] ?? join(ROOT, "dist/naru");
  if (!existsSync(built)) throw new Error(`${built} is missing: npm run build`);
  return [built];
}
