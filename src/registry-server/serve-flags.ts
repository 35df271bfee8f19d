import { isIP } from "node:net";
import { parseArgs } from "node:util";
import { errorMessage, NaruError } from "../base/mod.ts";
import type { LogLevel } from "../observe/mod.ts";

const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error", "fatal"];
const DEFAULT_PORT = 5000; // what clients of Docker's registry try on localhost

/** `naru registry serve` as it was called. */
export interface ServeFlags {
  readonly root: string;
  readonly host: string;
  readonly port: number;
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
}

/** Throws invalid_argument naming the flag. */
export function readServeFlags(argv: readonly string[]): ServeFlags {
  const values = parsed(argv);
  const { root } = values;
  if (root === undefined || root === "") {
    throw wrong("--root DIR says where the registry keeps its content; there is no default");
  }
  const { host, port } = listenAddress(values.listen ?? `127.0.0.1:${DEFAULT_PORT}`);
  const level = LOG_LEVELS.find((one) => one === (values["log-level"] ?? "info"));
  if (level === undefined) throw wrong(`--log-level is one of ${LOG_LEVELS.join(", ")}`);
  const format = values["log-format"] ?? "text";
  if (format !== "text" && format !== "json") throw wrong("--log-format is text or json");
  if (!isLoopback(host)) {
    throw wrong(
      `--listen ${host}: without authentication the registry listens on loopback only ` +
        "(127.0.0.1, ::1, localhost)",
    );
  }
  return { root, host, port, logLevel: level, logFormat: format };
}

const OPTIONS = {
  root: { type: "string" },
  listen: { type: "string" },
  "log-level": { type: "string" },
  "log-format": { type: "string" },
} as const;

type Values = { readonly [K in keyof typeof OPTIONS]?: string };

function parsed(argv: readonly string[]): Values {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true }).values;
  } catch (error) {
    throw wrong(errorMessage(error));
  }
}

/** `HOST:PORT`, `[::1]:PORT`, `:PORT` (every address) or a port of loopback. */
function listenAddress(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw wrong(`--listen "${text}" is not HOST:PORT`);
  const host = match[1] ?? match[2];
  return { host: host === undefined ? "127.0.0.1" : host || "0.0.0.0", port };
}

function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

function wrong(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
