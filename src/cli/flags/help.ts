import type { Command } from "../command.ts";
import type { Flag } from "./flag.ts";
import { usageLine } from "./usage-line.ts";

const WIDTH_DEFAULT = 100;
const HELP_COLUMN_MAX = 40; // a longer flag gets its help on the next line

/** The page of `--help`. */
export function commandHelp(program: string, command: Command, columns?: number): string {
  const width = columns ?? WIDTH_DEFAULT;
  const flags = command.flags.filter((flag) => flag.hidden !== true);
  const parts = [usageLine(program, command), "", command.summary];
  for (const group of new Set(flags.map((flag) => flag.group ?? "Options"))) {
    const members = flags.filter((flag) => (flag.group ?? "Options") === group);
    members.sort((a, b) => (a.name < b.name ? -1 : 1));
    parts.push("", `${group}:`, ...flagLines(members, width));
  }
  if (command.examples !== undefined && command.examples.length > 0) {
    parts.push("", "Examples:", ...command.examples.map((line) => `  ${program} ${line}`));
  }
  return `${parts.join("\n")}\n`;
}

/** Aligned lines of flags, folded to `width`. */
export function flagLines(flags: readonly Flag[], width: number): string[] {
  const heads = flags.map((flag) => {
    const short = flag.short === undefined ? "    " : `-${flag.short}, `;
    return `  ${short}--${flag.name}${valueWord(flag)}`;
  });
  const column = Math.min(HELP_COLUMN_MAX, Math.max(0, ...heads.map((head) => head.length)) + 3);
  return flags.flatMap((flag, index) => {
    const head = heads[index] ?? "";
    const preset = presetText(flag);
    const lines = fold(`${flag.help}${preset}`, Math.max(20, width - column));
    const first =
      head.length + 2 <= column ? [head.padEnd(column) + (lines.shift() ?? "")] : [head];
    return [...first, ...lines.map((line) => " ".repeat(column) + line)];
  });
}

function valueWord(flag: Flag): string {
  if (flag.kind === "bool") return "";
  return ` ${flag.value ?? (flag.kind === "string" ? "string" : flag.kind)}`;
}

function presetText(flag: Flag): string {
  if (flag.preset === undefined || flag.preset === false || flag.preset === "") return "";
  return ` (default ${flag.kind === "string" ? JSON.stringify(flag.preset) : String(flag.preset)})`;
}

function fold(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
