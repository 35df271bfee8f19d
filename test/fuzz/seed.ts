import { randomInt } from "node:crypto";

/** How many times what `npm test` does: `npm run fuzz` asks for more. */
export const FUZZ_FACTOR: number = Number(process.env["NARU_FUZZ_FACTOR"] ?? 1);

/** Many times what one run takes on an idle machine. */
export const FUZZ_LIMIT_MS: number = 120_000 * FUZZ_FACTOR;

/** Says the seed of a file, by which its run can be repeated. */
export function fuzzSeed(file: string): number {
  const seed = Number(process.env["NARU_FUZZ_SEED"] ?? randomInt(2 ** 31));
  console.log(`${file} seed ${seed}; repeat with NARU_FUZZ_SEED=${seed}`);
  return seed;
}
