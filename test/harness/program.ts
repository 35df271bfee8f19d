import { existsSync } from "node:fs";
import { join } from "node:path";

/** The top of the repository. */
export const ROOT: string = join(import.meta.dir, "../..");

/**
 * The command line of naru: the built file, or the sources when NARU_TEST_SOURCE=1 (no build
 * needed, slower to start).
 */
export function naruCommand(): readonly [string, ...string[]] {
  if (process.env["NARU_TEST_SOURCE"] === "1") return [process.execPath, join(ROOT, "src/main.ts")];
  const built = join(ROOT, "dist/naru");
  if (!existsSync(built)) throw new Error("dist/naru is missing: npm run build");
  return [built];
}
