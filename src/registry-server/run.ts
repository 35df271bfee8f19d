import { errorMessage, formatTimestamp, isNaruError, systemClock } from "../base/mod.ts";
import { createLogger, type Logger } from "../observe/mod.ts";
import { createHttpServer, listen } from "../transport/mod.ts";
import { openAccess } from "./access.ts";
import { REGISTRY_HELP, SERVE_HELP } from "./help.ts";
import { openRegistry } from "./registry.ts";
import { noRules } from "./rules.ts";
import { readServeFlags, type ServeFlags } from "./serve-flags.ts";

/** `naru registry ...`. Resolves with the exit code; what went wrong is on stderr. */
export async function runRegistry(
  argv: readonly string[],
  options: { readonly program: string },
): Promise<number> {
  const [command, ...rest] = argv;
  const wantsHelp = rest.includes("--help") || rest.includes("-h");
  try {
    if (command === "serve") {
      if (!wantsHelp) return await serve(readServeFlags(rest));
      process.stdout.write(SERVE_HELP.replaceAll("PROGRAM", options.program));
      return 0;
    }
    const known = command === undefined || command === "--help" || command === "-h";
    const help = REGISTRY_HELP.replaceAll("PROGRAM", options.program);
    if (known) process.stdout.write(help);
    else process.stderr.write(`${options.program}: unknown command "${command}"\n\n${help}`);
    return known ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${options.program}: ${errorMessage(error)}\n`);
    if (!isNaruError(error)) process.stderr.write(`${error instanceof Error ? error.stack : ""}\n`);
    return 1;
  }
}

async function serve(flags: ServeFlags): Promise<number> {
  const logger = stderrLogger(flags);
  const registry = await openRegistry({
    ...{ root: flags.root, access: openAccess, rules: noRules, clock: systemClock, logger },
    events: { emit: () => undefined },
  });
  const server = createHttpServer(registry.handlers);
  try {
    const listener = await listen(server, { kind: "tcp", host: flags.host, port: flags.port });
    logger.info("registry listens", { url: httpUrl(listener.url), root: flags.root });
    const signal = await stopSignal();
    logger.info("registry stops", { signal });
    listener.close();
    server.closeAllConnections();
  } finally {
    await registry.close();
  }
  return 0;
}

/** The listener's `tcp://HOST:PORT` as clients write it. */
function httpUrl(url: string): string {
  return url.replace(/^tcp:/, "http:");
}

function stderrLogger({ logFormat, logLevel }: ServeFlags): Logger {
  return createLogger({
    level: () => logLevel,
    format: logFormat,
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
