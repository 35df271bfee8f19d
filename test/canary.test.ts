/**
 * Gates that see nothing would let everything pass: each must reject its fixtures in test/canary,
 * for the right reason, and accept the clean one. A fixture lies over the clean tree.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { GATES } from "../scripts/gates.ts";
import { judge, readReport } from "../scripts/suites.ts";
import { subjectProblems } from "./tidy-rules.ts";

const ROOT: string = join(import.meta.dir, "..");
const CANARIES: string = join(import.meta.dir, "canary");
const CONFIGS = ["tsconfig.json", "biome.json", "knip.json", ".gitignore"];
const TIDY = ["test/tidy.test.ts", "test/tidy-rules.ts"];
const LIMIT_MS = 60_000; // a gate on ten files takes under a second; two busy cores

/** Fixture to what the gate named before the dash must say about it. */
const REASONS: Readonly<Record<string, RegExp>> = {
  types: /src\/base\/name\.ts.*TS2322/,
  "types-index": /src\/base\/name\.ts.*TS2322/,
  format: /src\/base\/name\.ts format/,
  "format-import-order": /organizeImports/,
  "oxlint-floating": /no-floating-promises/,
  "oxlint-misused": /no-misused-promises/,
  "oxlint-switch": /switch-exhaustiveness-check/,
  "oxlint-any": /no-explicit-any/,
  "oxlint-type-cycle": /no-cycle/,
  "oxlint-long-function": /max-lines-per-function/,
  "oxlint-long-file": /max-lines\)/,
  "imports-layer": /name\.ts: base may import only: nothing: src\/cli\/mod\.ts/,
  "imports-layer-type": /name\.ts: base may import only: nothing: src\/linux\/mod\.ts/,
  "imports-door": /across folders import only mod\.ts: src\/base\/name\.ts/,
  "imports-door-test": /from outside import a folder of src only by its mod\.ts/,
  "imports-ffi": /only src\/linux imports bun:ffi/,
  "imports-sqlite": /only src\/storage imports bun:sqlite/,
  "imports-cycle": /no cycles/,
  "imports-eager-main": /main\.ts imports only lazily/,
  "imports-dev": /the product needs only dependencies/,
  "imports-no-row": /src\/utils: has no row/,
  "knip-file": /Unused files[^]*dead\.ts/,
  "knip-export": /Unused exports[^]*nobodyCallsThis/,
  "tidy-clock": /Date\.now\( is banned/,
  "tidy-console": /console\.log\( is banned/,
  "tidy-unfinished": /unfinished work/,
  "tidy-machine-path": /a path of one machine/,
  "tidy-changelog": /unexpected heading/,
  "tidy-worker": /new Worker\( is banned/,
  "tidy-readme": /src\/config: has no README/,
};

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function treeOf(fixture: string): string {
  const tree = mkdtempSync("/tmp/naru-canary-");
  folders.push(tree);
  for (const config of [...CONFIGS, ...TIDY]) cpSync(join(ROOT, config), join(tree, config));
  cpSync(join(CANARIES, "clean"), tree, { recursive: true });
  cpSync(join(CANARIES, fixture), tree, { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
  for (const folder of ["bench", "scripts"]) {
    if (!existsSync(join(tree, folder)))
      cpSync(join(tree, "src/base"), join(tree, folder), { recursive: true });
  }
  const git = (...args: readonly string[]): Buffer => execFileSync("git", args, { cwd: tree });
  git("init", "-q");
  git("-c", "user.name=n", "-c", "user.email=n@n", "commit", "-q", "--allow-empty", "-m", "Begin");
  return tree;
}

describe("canaries", () => {
  test("every fixture has its reason and every gate its fixture", () => {
    const fixtures = readdirSync(CANARIES).filter((name) => name !== "clean");
    expect(fixtures.toSorted()).toEqual(Object.keys(REASONS).toSorted());
    for (const gate of GATES) expect(fixtures).toContainEqual(expect.stringMatching(gate.name));
  });

  for (const [fixture, reason] of Object.entries(REASONS)) {
    const gate = GATES.find(({ name }) => fixture.split("-")[0] === name);
    test(
      `${gate?.name} rejects ${fixture}`,
      async () => {
        const result = await gate?.run(treeOf(fixture));
        expect(result?.output).toMatch(reason);
        expect(result?.exitCode).not.toBe(0);
      },
      LIMIT_MS,
    );
  }

  for (const gate of GATES) {
    test(
      `${gate.name} accepts the clean tree`,
      async () => {
        const result = await gate.run(treeOf("clean"));
        expect({ output: result.output, exitCode: result.exitCode }).toMatchObject({ exitCode: 0 });
      },
      LIMIT_MS,
    );
  }

  test("a long commit subject is rejected", () => {
    expect(subjectProblems(["x".repeat(72)])).toEqual([]);
    expect(subjectProblems(["x".repeat(73), "Ends."])).toHaveLength(2);
  });
});

describe("the count of the suites", () => {
  const head = '<testsuites name="bun test" tests="7" assertions="9" failures="1" skipped="2">';

  test("reads a report and refuses a torn one", () => {
    expect(readReport(`${head}</testsuites>`)).toEqual({ passed: 4, failed: 1, skipped: 2 });
    expect(readReport(head)).toBeUndefined();
  });

  test("counts a crash, a time-out and an empty run as failures", () => {
    const fine = { passed: 3, failed: 0, skipped: 0 };
    expect(judge(fine, 0, false)).toEqual(fine);
    expect(judge(undefined, 139, false).failed).toBe(1);
    expect(judge(fine, 1, false).failed).toBe(1);
    expect(judge(fine, 0, true).failed).toBe(1);
    expect(judge({ passed: 0, failed: 0, skipped: 0 }, 0, false).failed).toBe(1);
    expect(judge({ passed: 1, failed: 2, skipped: 0 }, 1, false).failed).toBe(2);
  });
});
