import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cruise, type ICruiseOptions, type IForbiddenRuleType } from "dependency-cruiser";
import { IMPORT_TABLE, OWNED_MODULES } from "./import-table.ts";

/** What is wrong with the imports below `root`, one line each; empty when all is well. */
export async function importProblems(root: string): Promise<readonly string[]> {
  const problems = foldersWithoutRow(root);
  const folders = ["src", "test", "bench", "scripts"].filter((name) =>
    existsSync(join(root, name)),
  );
  const options: ICruiseOptions = {
    baseDir: root,
    ruleSet: { forbidden: rules() },
    validate: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^test/canary/" },
    tsPreCompilationDeps: true, // type imports count
    builtInModules: { override: [], add: ["bun", "bun:ffi", "bun:sqlite", "bun:test", "bun:jsc"] },
  };
  const resolving = { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] };
  const outcome = (await cruise(folders, options, resolving)).output;
  if (typeof outcome === "string") throw new Error("dependency-cruiser answered with text");
  for (const violation of outcome.summary.violations) {
    const via = violation.cycle?.map((step) => step.name).join(" -> ") ?? violation.to;
    problems.push(`${violation.from}: ${violation.rule.name}: ${via}`);
  }
  // Without a TypeScript that it understands dependency-cruiser sees nothing and is content.
  const files = countSources(root, folders);
  const seen = outcome.modules.filter((module) =>
    /^(src|test|bench|scripts)\//.test(module.source),
  );
  if (seen.length < files) {
    problems.push(
      `dependency-cruiser read ${seen.length} of ${files} modules: is typescript 6 there?`,
    );
  }
  return problems;
}

function rules(): IForbiddenRuleType[] {
  const rows = Object.entries(IMPORT_TABLE).map(
    ([folder, allowed]): IForbiddenRuleType => ({
      name: `${folder} may import only: ${allowed.join(", ") || "nothing"}`,
      severity: "error",
      from: { path: `^src/${folder}/` },
      to: { path: "^src/", pathNot: `^src/(${[folder, ...allowed].join("|")})/` },
    }),
  );
  const owned = Object.entries(OWNED_MODULES).map(
    ([module, owner]): IForbiddenRuleType => ({
      name: `only src/${owner} imports ${module}`,
      severity: "error",
      from: { path: "^src/", pathNot: `^src/${owner}/` },
      to: { path: `^${module}$` },
    }),
  );
  return [...rows, ...owned, ...doorRules(), ...generalRules()];
}

function doorRules(): IForbiddenRuleType[] {
  return [
    {
      name: "across folders import only mod.ts",
      severity: "error",
      from: { path: "^src/([^/]+)/" },
      to: { path: "^src/[^/]+/", pathNot: ["^src/$1/", "^src/[^/]+/mod[.]ts$"] },
    },
    {
      name: "from outside import a folder of src only by its mod.ts",
      severity: "error",
      from: { path: "^(src/[^/]+[.]ts$|test/|bench/|scripts/)" },
      to: { path: "^src/[^/]+/", pathNot: "^src/[^/]+/mod[.]ts$" },
    },
    {
      name: "main.ts imports only lazily",
      severity: "error",
      from: { path: "^src/main[.]ts$" },
      to: { path: "^src/", pathNot: "^src/base/", dynamic: false },
    },
    {
      name: "src imports nothing outside src",
      severity: "error",
      from: { path: "^src/", pathNot: "[.]test[.]ts$" },
      to: { path: "^(test|bench|scripts)/" },
    },
  ];
}

function generalRules(): IForbiddenRuleType[] {
  return [
    { name: "no cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no missing modules",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, path: "^[.]" },
    },
    {
      name: "the product needs only dependencies",
      severity: "error",
      from: { path: "^src/", pathNot: "[.](test|suite)[.]ts$" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], pathNot: "^bun" },
    },
    {
      name: "base imports no package",
      severity: "error",
      from: { path: "^src/base/", pathNot: "[.]test[.]ts$" },
      to: { dependencyTypes: ["npm"] },
    },
  ];
}

function foldersWithoutRow(root: string): string[] {
  return readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !Object.hasOwn(IMPORT_TABLE, entry.name))
    .map((entry) => `src/${entry.name}: has no row in scripts/import-table.ts`);
}

function countSources(root: string, folders: readonly string[]): number {
  return folders
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }))
    .filter((path) => path.endsWith(".ts") && !path.startsWith("canary/")).length;
}

if (import.meta.main) {
  const problems = await importProblems(process.argv[2] ?? ".");
  for (const problem of problems) console.log(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
