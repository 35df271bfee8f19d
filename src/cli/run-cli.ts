import { NaruError } from "../base/mod.ts";
import type { Command } from "./command.ts";
import { CliContext, GLOBAL_FLAGS } from "./context.ts";
import { ExitError } from "./exit-error.ts";
import { failureLine } from "./explain.ts";
import { nearest, parseFlags } from "./flags/parse-flags.ts";
import { UsageError } from "./flags/usage-error.ts";
import { usageLine } from "./flags/usage-line.ts";
import { type CliIo, OutputClosed, systemIo } from "./io.ts";
import { GROUPS, TOP_LEVEL } from "./registry.ts";

const OUTPUT_CLOSED_EXIT_CODE = 141; // as a shell reports a process that SIGPIPE ended
const HELP_COLUMNS = 100;

/** Runs one command line. Never throws: what went wrong is on stderr and in the exit code. */
export async function runCli(
  argv: readonly string[],
  options: { readonly program: string; readonly io?: CliIo },
): Promise<number> {
  const io = options.io ?? systemIo();
  const { program } = options;
  let context: CliContext | undefined;
  let command: Command | undefined;
  try {
    const global = parseFlags(argv, GLOBAL_FLAGS, { stopAtArgument: true });
    context = new CliContext(io, program, global.values);
    checkLogLevel(global.values.string("log-level"));
    if (global.values.bool("version")) {
      const { versionLine } = await import("./commands/version-line.ts");
      io.stdout.print(versionLine(program));
      return 0;
    }
    const words = global.help ? ["help", ...global.args] : global.args;
    const found = await findCommand(words, context);
    if (typeof found === "number") return found;
    command = found.command;
    const parsed = parseFlags(found.rest, command.flags, {
      stopAtArgument: command.stopAtArgument === true,
    });
    if (parsed.help) return await printHelp(context, command);
    checkCount(command, parsed.args, program);
    return await command.run({ context, values: parsed.values, args: parsed.args });
  } catch (error) {
    return report(error, { io, program, command, debug: context?.debug === true });
  } finally {
    context?.close();
  }
}

// docker's; "debug" shows the requests, and the others differ in nothing that this client logs.
const LOG_LEVELS: readonly string[] = ["debug", "info", "warn", "error", "fatal"];

function checkLogLevel(level: string): void {
  if (LOG_LEVELS.includes(level)) return;
  throw new NaruError("invalid_argument", `Unable to parse logging level: ${level}`);
}

async function findCommand(
  words: readonly string[],
  context: CliContext,
): Promise<number | { command: Command; rest: readonly string[] }> {
  const { io, program } = context;
  const [first, second] = words;
  if (first === undefined || (first === "help" && second === undefined)) {
    const { overview } = await import("./overview.ts");
    io.stdout.print(overview(program, io.stdout.columns() ?? HELP_COLUMNS));
    return 0;
  }
  if (first === "help") {
    const found = await findCommand(words.slice(1), context);
    return typeof found === "number" ? found : await printHelp(context, found.command);
  }
  const group = Object.hasOwn(GROUPS, first) ? GROUPS[first] : undefined;
  if (group !== undefined) {
    if (second === undefined || second === "--help" || second === "-h") {
      const { groupOverview } = await import("./overview.ts");
      io.stdout.print(groupOverview(program, first));
      return 0;
    }
    if (Object.hasOwn(group.entries, second)) {
      const command = (await group.entries[second]?.load()) as Command;
      return { command, rest: words.slice(2) };
    }
    throw unknownCommand(program, `${first} ${second}`, second, Object.keys(group.entries));
  }
  if (Object.hasOwn(TOP_LEVEL, first)) {
    return { command: (await TOP_LEVEL[first]?.load()) as Command, rest: words.slice(1) };
  }
  throw unknownCommand(program, first, first, [...Object.keys(TOP_LEVEL), ...Object.keys(GROUPS)]);
}

function unknownCommand(
  program: string,
  full: string,
  word: string,
  candidates: readonly string[],
): ExitError {
  if (program === "docker") {
    const help = "Run 'docker --help' for more information";
    return new ExitError(1, `unknown command: docker ${full}\n\n${help}`);
  }
  const near = nearest(word, candidates);
  const hint =
    near === undefined
      ? `run '${program} --help' for a list of commands`
      : `did you mean '${near}'?`;
  return new ExitError(1, `'${full}' is not a ${program} command: ${hint}`);
}

async function printHelp(context: CliContext, command: Command): Promise<number> {
  const { commandHelp } = await import("./flags/help.ts");
  const { io, program } = context;
  io.stdout.print(commandHelp(program, command, io.stdout.columns()));
  return 0;
}

function checkCount(command: Command, args: readonly string[], program: string): void {
  const { minArgs, maxArgs } = command;
  const quote = program === "docker" ? "'" : '"';
  const name = `${quote}${program} ${command.path}${quote}`;
  if (args.length >= minArgs && args.length <= (maxArgs ?? args.length)) return;
  throw new UsageError(`${name} ${wantedCount(minArgs, maxArgs)}`, 1);
}

function wantedCount(min: number, max: number | undefined): string {
  const noun = (count: number): string => `${count} argument${count === 1 ? "" : "s"}`;
  if (max === undefined) return `requires at least ${noun(min)}`;
  if (max === 0) return "accepts no arguments";
  if (min === max) return `requires ${noun(min)}`;
  if (min === 0) return `requires at most ${noun(max)}`;
  return `requires at least ${min} and at most ${noun(max)}`;
}

function report(
  error: unknown,
  where: { io: CliIo; program: string; command: Command | undefined; debug: boolean },
): number {
  const { io, program, command } = where;
  if (error instanceof OutputClosed) return OUTPUT_CLOSED_EXIT_CODE;
  try {
    if (error instanceof ExitError) {
      if (error.message !== "") io.stderr.print(`${failureLine(error, program)}\n`);
      return error.exitCode;
    }
    if (error instanceof UsageError) {
      const name = command === undefined ? program : `${program} ${command.path}`;
      const usage = command === undefined ? "" : `\n\n${usageLine(program, command)}`;
      // docker's client words a wrong number of arguments (1) and a bad flag (125) differently.
      const isCount = program === "docker" && error.exitCode === 1;
      const see = isCount && / at least \d+ argument/.test(error.message) ? "See" : "Run";
      const before = isCount ? "docker: " : "";
      const help = `${see} '${name} --help' for more information`;
      io.stderr.print(`${before}${error.message}${usage}\n\n${help}\n`);
      return error.exitCode;
    }
    io.stderr.print(`${failureLine(error, program)}\n`);
    if (where.debug && error instanceof Error) io.stderr.print(`${error.stack ?? ""}\n`);
  } catch (failure) {
    if (!(failure instanceof OutputClosed)) throw failure;
  }
  return 1;
}
