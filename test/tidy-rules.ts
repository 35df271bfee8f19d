import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** A call that has a better replacement here. */
interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
  /** Where the call is in order all the same. */
  readonly allowed: RegExp;
}

const TESTS = /^(test|bench|scripts)\/|[.](test|suite)[.]ts$/;

const BANS: readonly Ban[] = [
  {
    pattern: /\bDate\.now\(|\bnew Date\(\)/,
    instead: "take a Clock (src/base/clock.ts)",
    allowed: new RegExp(`^src/base/clock[.]ts$|${TESTS.source}`),
  },
  {
    pattern: /\bconsole\.(log|info|warn|error|debug)\(/,
    instead: "take a Logger (src/observe), or write to the command's own streams",
    allowed: new RegExp(`^src/(cli|check)/|${TESTS.source}`),
  },
  {
    pattern: /\bMath\.random\(/,
    instead: "newId() or randomBytes(); in tests a printed seed",
    allowed: /^$/,
  },
  {
    pattern: /new Worker\((?!workerUrl\()/,
    instead: "new Worker(workerUrl(...)): other addresses are wrong in the built file",
    allowed: TESTS,
  },
  {
    pattern: /\bexecSync\(|\bspawnSync\(|\bBun\.spawnSync\(/,
    instead: "an asynchronous spawn: the engine serves others meanwhile",
    allowed: TESTS,
  },
  {
    pattern: /\bprocess\.exit\(/,
    instead: "return the code to main.ts, which sets process.exitCode",
    allowed: new RegExp(`^src/(cli|daemon)/|[.]worker[.]ts$|${TESTS.source}`),
  },
  {
    pattern: /@ts-ignore|@ts-nocheck|oxlint-disable|biome-ignore/,
    instead: "mend the code: there are no exemptions",
    allowed: /^test\/tidy-rules[.]ts$/,
  },
];

const UNFINISHED = new RegExp(["TO", "DO|FIX", "ME|XX", "X"].join(""));
const LINES_MAX = 500; // a file is one noun; longer ones hold two
const DATA_FILES = /[.]json$|^test\/golden\//; // recorded data is not read line by line

/** What is wrong in one source file, one line each. `path` is relative to the repository. */
export function fileProblems(path: string, text: string): readonly string[] {
  const problems: string[] = [];
  const lines = text.split("\n");
  if (lines.length - 1 > LINES_MAX && /[.](ts|sh)$/.test(path) && !DATA_FILES.test(path)) {
    problems.push(`${path}: ${lines.length - 1} lines, at most ${LINES_MAX}`);
  }
  const isSource = path.endsWith(".ts");
  for (const [index, line] of lines.entries()) {
    const at = `${path}:${index + 1}`;
    if (UNFINISHED.test(line) && !DATA_FILES.test(path)) problems.push(`${at}: unfinished work`);
    if (/\/work\/(main|shared|\.library)\b/.test(line))
      problems.push(`${at}: a path of one machine`);
    if (!isSource) continue;
    for (const ban of BANS) {
      if (!ban.pattern.test(line) || ban.allowed.test(path) || /^\s*(\*|\/\/)/.test(line)) continue;
      problems.push(`${at}: ${ban.pattern.exec(line)?.[0]} is banned: ${ban.instead}`);
    }
  }
  return problems;
}

/** Each folder of `src` says in a README.md what it is for. */
export function readmeProblems(root: string): readonly string[] {
  return readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .filter((entry) => readdirSync(join(root, "src", entry.name)).length > 0)
    .filter((entry) => !existsSync(join(root, "src", entry.name, "README.md")))
    .map((entry) => `src/${entry.name}: has no README.md`);
}

const SUBJECT_COLUMNS_MAX = 72; // what git log and mail show without wrapping

/** Written before the gate; history is not rewritten. Nothing is ever added. */
const OLD_SUBJECTS: ReadonlySet<string> = new Set([
  "Write the life of containers: create, start, exit, stop, remove, exec, recovery",
]);

/** Commit subjects: short, capitalised, no full stop. */
export function subjectProblems(subjects: readonly string[]): readonly string[] {
  return subjects.flatMap((subject) => {
    if (OLD_SUBJECTS.has(subject)) return [];
    if (subject.length > SUBJECT_COLUMNS_MAX) return [`commit subject too long: ${subject}`];
    return subject.endsWith(".") ? [`commit subject ends with a full stop: ${subject}`] : [];
  });
}

const CHANGE_KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/** CHANGELOG.md keeps the headings of Keep a Changelog 1.1. */
export function changelogProblems(text: string): readonly string[] {
  const problems: string[] = [];
  const headings = text.split("\n").filter((line) => line.startsWith("#"));
  if (headings[0] !== "# Changelog") problems.push("CHANGELOG.md: must begin with # Changelog");
  if (!headings.includes("## [Unreleased]")) problems.push("CHANGELOG.md: no ## [Unreleased]");
  for (const heading of headings.slice(1)) {
    const version = /^## \[(Unreleased|\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$)/.test(heading);
    const kind = heading.startsWith("### ") && CHANGE_KINDS.includes(heading.slice(4));
    if (!version && !kind) problems.push(`CHANGELOG.md: unexpected heading "${heading}"`);
  }
  return problems;
}
