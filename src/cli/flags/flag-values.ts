import type { Flag } from "./flag.ts";
import { UsageError } from "./usage-error.ts";

/** What was given for each flag. Reading an unknown name is a bug and throws. */
export class FlagValues {
  readonly #flags: ReadonlyMap<string, Flag>;
  readonly #values: Map<string, string[]> = new Map();

  constructor(flags: readonly Flag[]) {
    this.#flags = new Map(flags.map((flag) => [flag.name, flag]));
  }

  /** Checks and keeps one occurrence. Throws UsageError in docker's words. */
  add(flag: Flag, value: string, spelling: string): void {
    const fail = (why: string): never => {
      throw new UsageError(`invalid argument "${value}" for "${spelling}" flag: ${why}`);
    };
    if (flag.kind === "bool" && parseBool(value) === undefined) {
      fail(`strconv.ParseBool: parsing "${value}": invalid syntax`);
    }
    if (flag.kind === "int" && !/^[+-]?\d{1,19}$/.test(value)) {
      fail(`strconv.ParseInt: parsing "${value}": invalid syntax`);
    }
    const earlier = flag.kind === "list" ? (this.#values.get(flag.name) ?? []) : [];
    this.#values.set(flag.name, [...earlier, value]);
  }

  /** Was it given on the command line? */
  has(name: string): boolean {
    this.#flag(name);
    return this.#values.has(name);
  }

  bool(name: string): boolean {
    const value = this.#values.get(name)?.at(-1);
    if (value === undefined) return this.#flag(name).preset === true;
    return parseBool(value) ?? false;
  }

  /** The last value given, or the preset, or "". */
  string(name: string): string {
    return this.#values.get(name)?.at(-1) ?? String(this.#flag(name).preset ?? "");
  }

  list(name: string): string[] {
    this.#flag(name);
    return [...(this.#values.get(name) ?? [])];
  }

  /** 0 unless given or preset. */
  int(name: string): number {
    return Number(this.string(name) || "0");
  }

  #flag(name: string): Flag {
    const found = this.#flags.get(name);
    if (found === undefined) throw new Error(`no flag --${name} in this command`);
    return found;
  }
}

/** Go's strconv.ParseBool. */
export function parseBool(text: string): boolean | undefined {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  return undefined;
}
