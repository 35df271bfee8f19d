import { errorMessage, formatTimestamp, isNaruError, systemClock } from "../base/mod.ts";
import { createLogger, type Logger } from "../observe/mod.ts";
import { collectCommand } from "./collect-command.ts";
import { COLLECT_HELP, REGISTRY_HELP, SERVE_HELP } from "./help.ts";
import { serveRegistry } from "./serve.ts";
import { readCollectFlags, readServeFlags } from "./serve-flags.ts";

/** A command: what `--help` says, and what it does. */
interface RegistryCommand {
  readonly help: string;
  run(argv: readonly string[]): Promise<void>;
}

const COMMANDS: Readonly<Record<string, RegistryCommand>> = {
  serve: { help: SERVE_HELP, run: serve },
  gc: { help: COLLECT_HELP, run: collect },
};

/** `naru registry ...`. Resolves with the exit code; what went wrong is on stderr. */
export async function runRegistry(
  argv: readonly string[],
  { program }: { readonly program: string },
): Promise<number> {
  const [name = "--help", ...rest] = argv;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const help = REGISTRY_HELP.replaceAll("PROGRAM", program);
    const isAsked = name === "--help" || name === "-h" || name === "help";
    if (isAsked) process.stdout.write(help);
    else process.stderr.write(`${program}: there is no command "${name}"\n\n${help}`);
    return isAsked ? 0 : 1;
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    process.stdout.write(command.help.replaceAll("PROGRAM", program));
    return 0;
  }
  try {
    await command.run(rest);
    return 0;
  } catch (error) {
    process.stderr.write(`${program}: ${errorMessage(error)}\n`);
    if (!isNaruError(error)) process.stderr.write(`${error instanceof Error ? error.stack : ""}\n`);
    return 1;
  }
}

async function serve(argv: readonly string[]): Promise<void> {
  const flags = readServeFlags(argv);
  const logger = stderrLogger(flags.logLevel, flags.logFormat);
  const registry = await serveRegistry(flags, logger);
  process.on("SIGHUP", () => registry.reload());
  logger.info("registry listens", { url: registry.url, root: flags.root });
  const signal = await stopSignal();
  logger.info("registry stops", { signal });
  await registry.close();
}

async function collect(argv: readonly string[]): Promise<void> {
  await collectCommand(readCollectFlags(argv), stderrLogger("warn", "text"));
}

function stderrLogger(
  level: "debug" | "info" | "warn" | "error" | "fatal",
  format: "text" | "json",
): Logger {
  return createLogger({
    level: () => level,
    format,
    write: (line) => process.stderr.write(`${line}\n`),
    now: () => formatTimestamp(systemClock.nowNs()),
  });
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
      process.once(signal, () => resolve(signal));
    }
  });
}
