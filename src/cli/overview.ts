import { GLOBAL_FLAGS } from "./context.ts";
import { flagLines } from "./flags/help.ts";
import { GROUPS, TOP_LEVEL } from "./registry.ts";

const COMMON = [
  "run",
  "exec",
  "ps",
  "images",
  "logs",
  "inspect",
  "load",
  "import",
  "pull",
  "info",
  "version",
];

/** The page of `naru --help`. */
export function overview(program: string, columns: number): string {
  const line = ([name, { summary }]: [string, { summary: string }]): string =>
    `  ${name.padEnd(12)}${summary}`;
  const entries = Object.entries(TOP_LEVEL);
  const common = COMMON.flatMap((name) => entries.filter(([other]) => other === name));
  const others = entries.filter(([name]) => !COMMON.includes(name));
  const engine = program === "naru" ? [`  ${"daemon".padEnd(12)}Run the engine`] : [];
  const check =
    program === "naru"
      ? [`  ${"system check".padEnd(12)}  Compare the kernel with the engine's records`]
      : [];
  return `${[
    `Usage:  ${program} [OPTIONS] COMMAND`,
    "",
    "Run and manage containers, with docker's command line",
    "",
    "Common commands:",
    ...common.map(line),
    "",
    "Groups:",
    ...Object.entries(GROUPS).map(line),
    ...engine,
    ...check,
    "",
    "Commands:",
    ...others.sort(([a], [b]) => (a < b ? -1 : 1)).map(line),
    "",
    "Global options:",
    ...flagLines(GLOBAL_FLAGS, columns),
    "",
    "Examples:",
    `  ${program} run --rm -it busybox sh      a shell in a new container`,
    `  ${program} run -d --name web -p 8080:80 nginx`,
    `  ${program} logs -f web`,
    "",
    `Run '${program} COMMAND --help' for more information on a command.`,
  ].join("\n")}\n`;
}

/** The page of `naru GROUP --help`. */
export function groupOverview(program: string, group: string): string {
  const { summary, entries } = GROUPS[group] ?? { summary: "", entries: {} };
  const names = Object.keys(entries).filter((name) => !["list", "ps", "remove"].includes(name));
  return `${[
    `Usage:  ${program} ${group} COMMAND`,
    "",
    summary,
    "",
    "Commands:",
    ...names.sort().map((name) => `  ${name.padEnd(12)}${entries[name]?.summary ?? ""}`),
    "",
    `Run '${program} ${group} COMMAND --help' for more information on a command.`,
  ].join("\n")}\n`;
}
