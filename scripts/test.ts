/**
 * `npm test [suite...]`: set-up, build and all suites, or those whose names begin as given. The last
 * line is `N passed, N failed`, with `, N skipped` when something could not run.
 */
import { rmSync } from "node:fs";
import { build } from "./build.ts";
import { ENGINE_PACKAGES, OPTIONAL_TEST_PACKAGES, TEST_PACKAGES } from "./packages.ts";
import { describeLacks, say, setUp } from "./set-up.ts";
import { allSuites, type Suite, type Tally } from "./suites.ts";

const RUN_LIMIT_MS = 20 * 60_000; // the promise for the whole run on two cores
const LEAST_MS = 1000; // a suite that begins after the end fails at once

const wanted: readonly string[] = process.argv.slice(2);
const endMs: number = Date.now() + RUN_LIMIT_MS;

async function main(): Promise<number> {
  const all = allSuites();
  const suites = all.filter(
    ({ name }) => wanted.length === 0 || wanted.some((w) => within(name, w)),
  );
  const privileged = suites.some((suite) => suite.privileged);
  const why = privileged ? await prepare() : undefined;
  const total = { passed: 0, failed: 0, skipped: 0 };
  const add = (tally: Tally): void => {
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
  };
  if (why?.failed === true) add({ passed: 0, failed: 1, skipped: 0 });
  for (const suite of suites) {
    if (suite.privileged && why !== undefined) {
      console.log(`SKIPPED ${suite.name}: ${why.reason}`);
      add({ passed: 0, failed: 0, skipped: 1 });
    } else add(await runSuite(suite));
  }
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

/** `integration` means all of its files, `integration/linux` one. */
function within(name: string, prefix: string): boolean {
  return name === prefix || name.startsWith(`${prefix}/`);
}

interface Obstacle {
  readonly reason: string;
  /** Our own fault, and not this host's. */
  readonly failed: boolean;
}

/** Why the suites that need the engine cannot run here, or undefined. */
async function prepare(): Promise<Obstacle | undefined> {
  const lacks = await setUp({
    required: [...ENGINE_PACKAGES, ...TEST_PACKAGES],
    optional: OPTIONAL_TEST_PACKAGES,
  });
  if (lacks.length > 0) {
    say(describeLacks(lacks));
    return { reason: lacks.map((lack) => lack.what).join("; "), failed: false };
  }
  rmSync("/tmp/naru-test-logs", { recursive: true, force: true });
  try {
    if (await build({ force: false })) say("built dist/naru");
    return undefined;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return { reason: "dist/naru could not be built", failed: true };
  }
}

async function runSuite(suite: Suite): Promise<Tally> {
  const startedMs = performance.now();
  const limitMs = Math.max(LEAST_MS, Math.min(suite.limitMs, endMs - Date.now()));
  const tally = await suite.run(limitMs);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const { passed, failed, skipped } = tally;
  console.log(
    `${suite.name}: ${passed} passed, ${failed} failed, ${skipped} skipped (${seconds} s)`,
  );
  return tally;
}

process.exitCode = await main();
