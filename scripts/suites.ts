import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sweepEngines } from "../test/harness/leaks.ts";
import { GATES } from "./gates.ts";
import { runProgram } from "./program.ts";

/** What a suite came to. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Suite {
  readonly name: string;
  /** Needs root, the kernel and the built engine. */
  readonly privileged: boolean;
  readonly run: (limitMs: number) => Promise<Tally>;
  readonly limitMs: number;
}

const ROOT: string = join(import.meta.dir, "..");

/** Machine-readable results, one JUnit file for each process of tests. */
export const RESULTS: string = join(ROOT, "dist/test-results");

const GATES_LIMIT_MS = 180_000; // 5 s on an idle machine; a busy one of two cores takes ten times that
const UNIT_LIMIT_MS = 240_000; // no sleeps, no disk: a minute means that one hangs
/** What `npm run stress` adds: such a run takes as long as it was told to. */
const STRESS_MS: number = Number(process.env["NARU_STRESS_SECONDS"] ?? "0") * 1000;
/** What `npm run fuzz` adds for every time that it does what `npm test` does. */
const FUZZ_MS: number = Number(process.env["NARU_FUZZ_FACTOR"] ?? "0") * 30_000;
// One file with real containers: none is meant to take over a minute of its own accord.
const FILE_LIMIT_MS: number = 300_000 + STRESS_MS + FUZZ_MS;

/** Folders of `test` whose tests need no rights. */
const UNPRIVILEGED: ReadonlySet<string> = new Set(["harness", "golden"]);

/**
 * The suites that differ most by runtime, in a second run on runc; `npm run test:runc` runs all on
 * it.
 */
const ON_RUNC_TOO: readonly string[] =
  process.env["NARU_TEST_RUNTIME"] === "runc"
    ? []
    : [
        "integration/containers",
        "e2e/smoke",
        "e2e/container-config",
        "e2e/fields",
        "e2e/fields-limits",
      ];

/** All suites of the repository, found by their place, so that none is forgotten. */
export function allSuites(): readonly Suite[] {
  const files = [...new Bun.Glob("test/*/**/*.test.ts").scanSync({ cwd: ROOT })].toSorted();
  const inTest = files.filter((path) => !path.startsWith("test/canary/"));
  const folders = [...new Set(inTest.map((path) => path.split("/")[1] ?? ""))];
  const free = folders.filter((folder) => UNPRIVILEGED.has(folder));
  const unitPaths = [
    "./src",
    "./bench",
    "./scripts",
    "./test/canary.test.ts",
    ...free.map((folder) => `./test/${folder}`),
  ];
  return [
    { name: "gates", privileged: false, run: runGates, limitMs: GATES_LIMIT_MS },
    {
      name: "unit",
      privileged: false,
      run: (limitMs) => runTests("unit", unitPaths, limitMs),
      limitMs: UNIT_LIMIT_MS,
    },
    // One process for each file: a crash of one takes no other with it.
    ...inTest
      .filter((path) => !UNPRIVILEGED.has(path.split("/")[1] ?? ""))
      .map((path): Suite => {
        const name = path.slice("test/".length, -".test.ts".length);
        const run = (limitMs: number): Promise<Tally> => runTests(name, [`./${path}`], limitMs);
        return { name, privileged: true, run, limitMs: FILE_LIMIT_MS };
      }),
    ...ON_RUNC_TOO.map((name): Suite => {
      const path = `./test/${name}.test.ts`;
      const again = `runc/${name}`;
      const run = (limitMs: number): Promise<Tally> =>
        runTests(again, [path], limitMs, { NARU_TEST_RUNTIME: "runc" });
      return { name: again, privileged: true, run, limitMs: FILE_LIMIT_MS };
    }),
  ];
}

/** Each gate counts as one test. */
async function runGates(): Promise<Tally> {
  let failed = 0;
  for (const gate of GATES) {
    const result = await gate.run(ROOT);
    if (result.exitCode === 0) continue;
    failed += 1;
    process.stdout.write(`${result.output}\ngate ${gate.name}: FAILED\n`);
  }
  return { passed: GATES.length - failed, failed, skipped: 0 };
}

async function runTests(
  name: string,
  paths: readonly string[],
  limitMs: number,
  env: Readonly<Record<string, string>> = {},
): Promise<Tally> {
  const report = join(RESULTS, `${name.replaceAll("/", "-")}.xml`);
  mkdirSync(RESULTS, { recursive: true });
  const engines = `${report}.engines`;
  for (const path of [report, engines]) rmSync(path, { force: true });
  const reporter = ["--reporter=junit", `--reporter-outfile=${report}`, "--only-failures"];
  const result = await runProgram([process.execPath, "test", ...reporter, ...paths], {
    cwd: ROOT,
    limitMs,
    env: { ...env, NARU_TEST_ENGINES: engines },
  });
  const abandoned = await sweepEngines(engines);
  const counted = existsSync(report) ? readReport(readFileSync(report, "utf8")) : undefined;
  const exitCode = result.exitCode === 0 && abandoned.length > 0 ? 1 : result.exitCode;
  const tally = judge(counted, exitCode, result.timedOut);
  for (const line of abandoned) console.log(`${name}: left behind: ${line}`);
  if (tally.failed > 0) process.stdout.write(result.output);
  if (result.timedOut) console.log(`${name}: STOPPED after its limit of ${limitMs / 1000} s`);
  else if (counted === undefined) console.log(`${name}: CRASHED (exit code ${result.exitCode})`);
  return tally;
}

/** The totals of Bun's JUnit report, or undefined when it is torn. */
export function readReport(xml: string): Tally | undefined {
  const head = /<testsuites [^>]*>/.exec(xml)?.[0];
  if (head === undefined || !xml.includes("</testsuites>")) return undefined;
  const count = (key: string): number => Number(new RegExp(` ${key}="(\\d+)"`).exec(head)?.[1]);
  const [tests, failed, skipped] = [count("tests"), count("failures"), count("skipped")];
  if ([tests, failed, skipped].some(Number.isNaN)) return undefined;
  return { passed: tests - failed - skipped, failed, skipped };
}

/** A crash, a time-out or an error outside any test is a failure whatever the report says. */
export function judge(counted: Tally | undefined, exitCode: number, timedOut: boolean): Tally {
  if (counted === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const unnamed = (exitCode !== 0 || timedOut) && counted.failed === 0;
  const empty = counted.passed + counted.failed + counted.skipped === 0 && !unnamed;
  return { ...counted, failed: counted.failed + (unnamed || empty ? 1 : 0) };
}
