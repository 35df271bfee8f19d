import type { Flag } from "./flag.ts";
import { FlagValues } from "./flag-values.ts";
import { UsageError } from "./usage-error.ts";

export interface ParsedLine {
  readonly values: FlagValues;
  readonly args: readonly string[];
  /** `--help` or `-h` where `-h` is no flag of the command. */
  readonly help: boolean;
}

/**
 * Takes flags and arguments apart as Go's pflag does: `--name value`, `--name=value`, `-n value`,
 * `-nvalue`, `-n=value`, combined `-it`, and `--` which ends flags. With `stopAtArgument` the first
 * argument ends flags too: what follows an image's name belongs to the container.
 */
export function parseFlags(
  argv: readonly string[],
  flags: readonly Flag[],
  options: { stopAtArgument: boolean },
): ParsedLine {
  const parser = new LineParser(argv, flags);
  return parser.parse(options.stopAtArgument);
}

class LineParser {
  readonly #argv: readonly string[];
  readonly #long: Map<string, Flag> = new Map();
  readonly #short: Map<string, Flag> = new Map();
  readonly #values: FlagValues;
  readonly #args: string[] = [];
  #at = 0;
  #help = false;

  constructor(argv: readonly string[], flags: readonly Flag[]) {
    this.#argv = argv;
    this.#values = new FlagValues(flags);
    for (const flag of flags) {
      for (const name of [flag.name, ...(flag.aliases ?? [])]) this.#long.set(name, flag);
      if (flag.short !== undefined) this.#short.set(flag.short, flag);
    }
  }

  parse(stopAtArgument: boolean): ParsedLine {
    while (this.#at < this.#argv.length && !this.#help) {
      const word = this.#argv[this.#at++] ?? "";
      if (word === "--") {
        this.#args.push(...this.#argv.slice(this.#at));
        break;
      }
      if (word.startsWith("--")) this.#takeLong(word);
      else if (word.startsWith("-") && word.length > 1) this.#takeShort(word);
      else {
        this.#args.push(word);
        if (!stopAtArgument) continue;
        this.#args.push(...this.#argv.slice(this.#at));
        break;
      }
    }
    return { values: this.#values, args: this.#args, help: this.#help };
  }

  #takeLong(word: string): void {
    const equals = word.indexOf("=");
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const flag = this.#long.get(name);
    if (flag === undefined) {
      if (name === "help") {
        this.#help = true;
        return;
      }
      const near = nearest(name, [...this.#long.keys()]);
      const hint = near === undefined ? "" : `\ndid you mean --${near}?`;
      throw new UsageError(`unknown flag: --${name}${hint}`);
    }
    const spelling = this.#spelling(flag);
    if (equals >= 0) this.#values.add(flag, word.slice(equals + 1), spelling);
    else if (flag.kind === "bool") this.#values.add(flag, "true", spelling);
    else this.#values.add(flag, this.#next(`flag needs an argument: --${name}`), spelling);
  }

  #takeShort(word: string): void {
    let rest = word.slice(1);
    while (rest !== "") {
      const letter = rest.charAt(0);
      rest = rest.slice(1);
      const flag = this.#short.get(letter);
      if (flag === undefined) {
        if (letter === "h") {
          this.#help = true;
          return;
        }
        throw new UsageError(`unknown shorthand flag: '${letter}' in ${word}`);
      }
      const spelling = this.#spelling(flag);
      if (flag.kind === "bool" && !rest.startsWith("=")) {
        this.#values.add(flag, "true", spelling);
        continue;
      }
      const value =
        rest === ""
          ? this.#next(`flag needs an argument: '${letter}' in ${word}`)
          : rest.replace(/^=/, "");
      this.#values.add(flag, value, spelling);
      return;
    }
  }

  #next(complaint: string): string {
    const value = this.#argv[this.#at++];
    if (value === undefined) throw new UsageError(complaint);
    return value;
  }

  #spelling(flag: Flag): string {
    return flag.short === undefined ? `--${flag.name}` : `-${flag.short}, --${flag.name}`;
  }
}

/** The candidate that is one or two slips of the finger away, if there is one. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.ceil(word.length / 2) + 1);
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, removals and replacements that make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? a.length;
}
