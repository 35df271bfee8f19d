import { join } from "node:path";
import { importProblems } from "./gate-imports.ts";
import { type ProgramResult, runProgram } from "./program.ts";

/** A rule of the repository that a program can judge. */
export interface Gate {
  readonly name: string;
  /** Judges the tree below `root`; a result with exit code 0 lets it pass. */
  readonly run: (root: string) => Promise<ProgramResult>;
}

const GATE_LIMIT_MS: number = 120_000; // the slowest takes 5 s on two busy cores
const HOME: string = join(import.meta.dir, "..");
const SOURCES: readonly string[] = ["src", "test", "bench", "scripts"];

/** Runs a JavaScript tool of the repository on Bun: Debian's Node is too old for several of them. */
function tool(root: string, file: string, ...args: readonly string[]): Promise<ProgramResult> {
  const path = join(HOME, "node_modules", file);
  return runProgram([process.execPath, "--bun", path, ...args], {
    cwd: root,
    limitMs: GATE_LIMIT_MS,
  });
}

/** All of them. Each has a fixture in `test/canary` that it must reject. */
export const GATES: readonly Gate[] = [
  {
    name: "types",
    run: (root) => tool(root, "typescript7/bin/tsc", "-p", "."),
  },
  {
    name: "format",
    run: (root) => tool(root, "@biomejs/biome/bin/biome", "check", "--error-on-warnings", "."),
  },
  {
    name: "oxlint",
    run: (root) => {
      const config = join(HOME, ".oxlintrc.json");
      const flags = ["--type-aware", "--deny-warnings", "--disable-nested-config", "-f", "unix"];
      const ignored = ["--ignore-pattern", "test/canary/**"];
      return tool(root, "oxlint/bin/oxlint", "-c", config, ...flags, ...ignored, ...SOURCES);
    },
  },
  {
    name: "imports",
    run: async (root) => {
      const startedMs = performance.now();
      const problems = await importProblems(root);
      return {
        exitCode: problems.length > 0 ? 1 : 0,
        output: problems.map((problem) => `${problem}\n`).join(""),
        timedOut: false,
        durationMs: performance.now() - startedMs,
      };
    },
  },
  {
    name: "knip",
    run: (root) => tool(root, "knip/bin/knip-bun.js", "--no-progress"),
  },
  {
    name: "tidy",
    run: (root) =>
      runProgram([process.execPath, "test", "./test/tidy.test.ts"], {
        cwd: root,
        limitMs: GATE_LIMIT_MS,
      }),
  },
];
