export type LogLevel = "debug" | "info" | "warn" | "error" | "fatal";

/** Facts that go with a message. Errors are written with their causes; never pass secrets. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where the engine says what it does. One line per message on stderr. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every message. */
  with(fields: LogFields): Logger;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, fatal: 4 };

export interface LoggerOptions {
  /** Read at every message, so that a reload can change it. */
  readonly level: () => LogLevel;
  readonly format: "text" | "json";
  readonly write: (line: string) => void;
  readonly now: () => string;
}

/** logfmt (`time=… level=… msg=…`) as dockerd writes it, or one JSON object a line. */
export function createLogger(options: LoggerOptions, bound: LogFields = {}): Logger {
  const emit = (level: LogLevel, msg: string, fields: LogFields = {}): void => {
    if (RANK[level] < RANK[options.level()]) return;
    const record = { time: options.now(), level, msg, ...bound, ...fields };
    const plain = Object.entries(record).map(([key, value]) => [key, plainValue(value)] as const);
    options.write(
      options.format === "json"
        ? JSON.stringify(Object.fromEntries(plain))
        : plain.map(([key, value]) => `${key}=${quoted(value)}`).join(" "),
    );
  };
  return {
    debug: (message, fields) => emit("debug", message, fields),
    info: (message, fields) => emit("info", message, fields),
    warn: (message, fields) => emit("warn", message, fields),
    error: (message, fields) => emit("error", message, fields),
    with: (fields) => createLogger(options, { ...bound, ...fields }),
  };
}

/** Says nothing; for tests and for commands without a log. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLogger,
};

function plainValue(value: unknown): string | number | boolean {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  if (value instanceof Error) {
    const cause = value.cause === undefined ? "" : `: ${String(plainValue(value.cause))}`;
    return `${value.message}${cause}`;
  }
  return typeof value === "bigint" ? value.toString() : (JSON.stringify(value) ?? "undefined");
}

function quoted(value: string | number | boolean): string {
  const text = String(value);
  return /^[\w./:@+-]+$/.test(text) ? text : JSON.stringify(text);
}
