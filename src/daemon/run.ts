import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { errorMessage, formatTimestamp, isNaruError, SECOND_MS, systemClock } from "../base/mod.ts";
import {
  type DaemonConfig,
  DOCKERD_DEFAULTS,
  daemonHelp,
  loadDaemonConfig,
  NARU_DEFAULTS,
  parseDaemonCommand,
} from "../config/mod.ts";
import { notifyServiceManager, passedSockets } from "../linux/mod.ts";
import { createLogger, type Logger } from "../observe/mod.ts";
import type { Listener } from "../transport/mod.ts";
import { type Engine, openEngine } from "./engine.ts";
import { registryAttributes } from "./registries.ts";
import { takeRoots, writePidFile } from "./roots.ts";
import { listenOnHosts } from "./serve.ts";
import { ENGINE_VERSION } from "./version.ts";

/**
 * `naru daemon`: starts the engine and serves until a signal ends it. Resolves with the exit code:
 * 0 after a clean stop, 1 when it could not start; the reason is on stderr.
 */
export async function runDaemon(
  argv: readonly string[],
  options: { program: string },
): Promise<number> {
  if (argv.includes("--help")) {
    process.stdout.write(daemonHelp(options.program));
    return 0;
  }
  if (argv.includes("--version") || argv.includes("-v")) {
    process.stdout.write(`naru version ${ENGINE_VERSION}\n`);
    return 0;
  }
  try {
    const defaults = options.program === "dockerd" ? DOCKERD_DEFAULTS : NARU_DEFAULTS;
    const { flags, validateOnly } = parseDaemonCommand(argv);
    const load = (): DaemonConfig => loadDaemonConfig(flags, defaults);
    const config = load();
    if (validateOnly) {
      process.stdout.write("configuration OK\n");
      return 0;
    }
    const exitCode = await serve(config, load);
    // Clients that follow events or logs keep their connections open: they must not keep the process.
    process.exit(exitCode);
  } catch (error) {
    process.stderr.write(`${options.program}: ${errorMessage(error)}\n`);
    if (!isNaruError(error)) process.stderr.write(`${error instanceof Error ? error.stack : ""}\n`);
    return 1;
  }
}

async function serve(first: DaemonConfig, load: () => DaemonConfig): Promise<number> {
  let config = first;
  const logger = createLogger({
    level: () => (config.debug ? "debug" : config.logLevel),
    format: config.logFormat,
    write: (line) => process.stderr.write(`${line}\n`),
    now: () => formatTimestamp(systemClock.nowNs()),
  });
  if (process.getuid?.() !== 0) {
    throw new Error("the engine needs root: run it with sudo, or as a system service");
  }
  const roots = takeRoots(config.dataRoot, config.execRoot);
  using _pidFile = writePidFile(config.pidFile);
  const inherited = passedSockets(process.env, process.pid).map(({ fd }) => fd);
  const engine = await openEngine(() => config, logger);
  const listeners = await listenOrClose(config, engine, inherited);
  for (const { url } of listeners) logger.info("API listen", { url });
  const registry = await registryOrClose(config, { engine, listeners, logger });
  const reload = (): void => {
    const again = reloadConfig(config, load, logger);
    if (again === undefined) return;
    config = again;
    engine.reloaded(reloadAttributes(config));
    registry?.reload();
  };
  process.on("SIGHUP", reload);
  notifyServiceManager(`READY=1\nMAINPID=${process.pid}`, process.env);
  logger.info("engine ready", { version: ENGINE_VERSION, dataRoot: config.dataRoot });
  const signal = await stopSignal();
  logger.info("engine stops, containers go on", { signal });
  notifyServiceManager("STOPPING=1", process.env);
  // Whatever hangs must not keep the service manager waiting for longer than was configured.
  systemClock.after(config.shutdownTimeoutSeconds * SECOND_MS, () => process.exit(1));
  for (const listener of listeners) listener.close();
  await registry?.close();
  await engine.close();
  roots.release();
  return 0;
}

async function listenOrClose(
  config: DaemonConfig,
  engine: Engine,
  inherited: readonly number[],
): Promise<Listener[]> {
  try {
    return await listenOnHosts(config, engine.handlers, inherited);
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** The registry within the engine, if one is configured. Its code is loaded then and not before. */
async function registryOrClose(
  { registries, dataRoot }: DaemonConfig,
  parts: {
    readonly engine: Engine;
    readonly listeners: readonly Listener[];
    readonly logger: Logger;
  },
): Promise<{ reload(): void; close(): Promise<void> } | undefined> {
  if (registries.serve.length === 0) return undefined;
  const { engine, listeners, logger } = parts;
  try {
    const { serveWithin } = await import("../registry-server/mod.ts");
    const registry = await serveWithin(registries.serve, join(dataRoot, "registry"), logger);
    logger.info("registry listens", { url: registry.url });
    return registry;
  } catch (error) {
    for (const listener of listeners) listener.close();
    await engine.close();
    throw error;
  }
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
      process.once(signal, () => resolve(signal));
    }
  });
}

/** What may change while containers run. */
const RELOADED: readonly (keyof DaemonConfig)[] = [
  "debug",
  "logLevel",
  "labels",
  "defaultRuntime",
  "runtimes",
  "stopTimeoutSeconds",
  "shutdownTimeoutSeconds",
  "registries",
];

/**
 * Takes over what may change at run time; the rest waits for a restart and is named in the log.
 * Undefined when the new configuration is not to be had.
 */
function reloadConfig(
  before: DaemonConfig,
  load: () => DaemonConfig,
  logger: Logger,
): DaemonConfig | undefined {
  try {
    const next = load();
    const reloaded = Object.fromEntries(RELOADED.map((key) => [key, next[key]]));
    const waiting = Object.keys(next)
      .filter((key): key is keyof DaemonConfig => !Object.hasOwn(reloaded, key))
      .filter((key) => !isDeepStrictEqual(next[key], before[key]));
    logger.info("configuration read again");
    if (waiting.length > 0) {
      logger.warn("changes that count after a restart only", { keys: waiting.join(" ") });
    }
    return { ...before, ...reloaded };
  } catch (error) {
    logger.error("configuration not read again, the old one stays", { error });
    return undefined;
  }
}

function reloadAttributes(config: DaemonConfig): Record<string, string> {
  return {
    debug: String(config.debug),
    labels: JSON.stringify(config.labels),
    "default-runtime": config.defaultRuntime,
    "shutdown-timeout": String(config.shutdownTimeoutSeconds),
    ...registryAttributes(config.registries),
  };
}
