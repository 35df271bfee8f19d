import { NaruError } from "../base/mod.ts";
import type { DaemonOption } from "./daemon-option.ts";
import { DAEMON_OPTIONS } from "./daemon-options.ts";

/** What the command line said, by option; lists and maps hold every occurrence. */
export type FlagValues = ReadonlyMap<DaemonOption, boolean | number | string | readonly string[]>;

const SEVERAL: ReadonlySet<string> = new Set([
  "list",
  "map",
  "runtimes",
  "ulimits",
  "mirrors",
  "pools",
  "network-options",
  "object",
]);

/**
 * Reads `--flag=value`, `--flag value`, `-f value`, `-fvalue`, `--bool` and `--bool=false`, as
 * dockerd does. Throws invalid_argument naming the flag.
 */
export function parseDaemonFlags(argv: readonly string[]): FlagValues {
  const values = new Map<DaemonOption, boolean | number | string | string[]>();
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    const { option, name, inline } = findOption(word);
    let text = inline;
    if (text === undefined && option.type === "boolean") text = "true";
    if (text === undefined) {
      index += 1;
      text = argv[index];
      if (text === undefined) {
        throw new NaruError("invalid_argument", `flag needs an argument: ${name}`);
      }
    }
    if (SEVERAL.has(option.type)) {
      const before = values.get(option);
      values.set(option, [...(Array.isArray(before) ? before : []), text]);
    } else values.set(option, parseScalar(option, name, text));
  }
  return values;
}

function findOption(word: string): {
  option: DaemonOption;
  name: string;
  inline: string | undefined;
} {
  if (word.startsWith("--") && word.length > 2) {
    const equals = word.indexOf("=");
    const flag = word.slice(2, equals < 0 ? undefined : equals);
    const option = DAEMON_OPTIONS.find((candidate) => candidate.flag === flag);
    if (option === undefined) throw unknown(`--${flag}`);
    return { option, name: `--${flag}`, inline: equals < 0 ? undefined : word.slice(equals + 1) };
  }
  if (word.startsWith("-") && word.length > 1) {
    const short = word.slice(1, 2);
    const option = DAEMON_OPTIONS.find((candidate) => candidate.short === short);
    if (option === undefined) throw unknown(`-${short}`);
    const rest = word.slice(2).replace(/^=/, "");
    return { option, name: `-${short}`, inline: rest === "" ? undefined : rest };
  }
  throw new NaruError("invalid_argument", `the daemon takes no arguments, got "${word}"`);
}

function unknown(flag: string): NaruError {
  return new NaruError("invalid_argument", `unknown flag: ${flag} (see naru daemon --help)`);
}

function parseScalar(option: DaemonOption, name: string, text: string): boolean | number | string {
  if (option.type === "string") return text;
  if (option.type === "boolean") {
    if (/^(1|t|true)$/i.test(text)) return true;
    if (/^(0|f|false)$/i.test(text)) return false;
    throw new NaruError("invalid_argument", `${name}: want true or false, got "${text}"`);
  }
  if (!/^-?\d{1,15}$/.test(text)) {
    throw new NaruError("invalid_argument", `${name}: want a whole number, got "${text}"`);
  }
  return Number(text);
}
