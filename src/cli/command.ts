import type { CliContext } from "./context.ts";
import type { Flag } from "./flags/flag.ts";
import type { FlagValues } from "./flags/flag-values.ts";

export interface Invocation {
  readonly context: CliContext;
  readonly values: FlagValues;
  readonly args: readonly string[];
}

/** One command: what help shows, what is parsed, and what runs. */
export interface Command {
  /** After the program's name: `run`, `image ls`. */
  readonly path: string;
  /** After the options: `IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  readonly minArgs: number;
  /** Undefined: any number. */
  readonly maxArgs?: number;
  /** Flags end at the first argument. */
  readonly stopAtArgument?: boolean;
  readonly examples?: readonly string[];
  /** Gives the exit code. */
  run(invocation: Invocation): Promise<number>;
}

/** A name's place in the tables: what the overview says of it, and how its module is loaded. */
export interface CommandEntry {
  readonly summary: string;
  /** Loads the command's module when it is called. */
  readonly load: () => Promise<Command>;
}

/** All commands: `naru COMMAND`, and `naru GROUP COMMAND`. */
export interface CommandTables {
  readonly topLevel: Readonly<Record<string, CommandEntry>>;
  readonly groups: Readonly<
    Record<string, { summary: string; entries: Readonly<Record<string, CommandEntry>> }>
  >;
}
