import { isIP } from "node:net";
import { parseArgs } from "node:util";
import { errorMessage, MS_NS, NaruError, parseDurationNs } from "../base/mod.ts";
import type { LogLevel } from "../observe/mod.ts";
import { COLLECT_MS_DEFAULT, LEASE_MS_DEFAULT, UNUSED_MS_DEFAULT } from "./limits.ts";

const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error", "fatal"];
const DEFAULT_PORT = 5000; // what clients of Docker's registry try on localhost

/** `naru registry serve` as it was called. "" where a flag was not given. */
export interface ServeFlags {
  readonly root: string;
  readonly host: string;
  readonly port: number;
  readonly htpasswd: string;
  readonly auth: "token" | "basic";
  readonly externalUrl: string;
  readonly rules: string;
  readonly tlsCert: string;
  readonly tlsKey: string;
  /** URL of the registry to be a cache of. */
  readonly proxy: string;
  readonly proxyUsername: string;
  readonly proxyPasswordFile: string;
  /** How long a cache keeps what nobody asks for. */
  readonly proxyKeepMs: number;
  readonly auditLog: string;
  readonly webhooks: readonly string[];
  readonly webhookSecretFile: string;
  /** 0: never by itself. */
  readonly collectMs: number;
  readonly leaseMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
}

/** `naru registry gc` as it was called. */
export interface CollectFlags {
  readonly root: string;
  readonly rules: string;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly leaseMs: number;
}

const OPTIONS = {
  root: { type: "string" },
  listen: { type: "string" },
  htpasswd: { type: "string" },
  auth: { type: "string" },
  "external-url": { type: "string" },
  rules: { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  proxy: { type: "string" },
  "proxy-username": { type: "string" },
  "proxy-password-file": { type: "string" },
  "proxy-keep": { type: "string" },
  "audit-log": { type: "string" },
  webhook: { type: "string", multiple: true },
  "webhook-secret-file": { type: "string" },
  "gc-interval": { type: "string" },
  "gc-grace": { type: "string" },
  "log-level": { type: "string" },
  "log-format": { type: "string" },
} as const;

type Name = keyof typeof OPTIONS;
type Values = Readonly<Partial<Record<Name, string | string[]>>>;

/** Throws invalid_argument naming the flag. */
export function readServeFlags(argv: readonly string[]): ServeFlags {
  const values = parsed<Values>(argv, OPTIONS);
  const text = (name: Name): string => String(values[name] ?? "");
  const { host, port } = listenAddress(text("listen") || `127.0.0.1:${DEFAULT_PORT}`);
  const flags: ServeFlags = {
    ...{ root: rootOf(text("root")), host, port },
    ...{ htpasswd: text("htpasswd"), rules: text("rules"), auditLog: text("audit-log") },
    auth: oneOf("auth", text("auth") || "token", ["token", "basic"]),
    externalUrl: httpUrl("external-url", text("external-url")),
    ...{ tlsCert: text("tls-cert"), tlsKey: text("tls-key") },
    proxy: httpUrl("proxy", text("proxy")),
    proxyUsername: text("proxy-username"),
    proxyPasswordFile: text("proxy-password-file"),
    proxyKeepMs: durationMs("proxy-keep", text("proxy-keep"), UNUSED_MS_DEFAULT),
    webhooks: [values.webhook ?? []].flat().map((url) => httpUrl("webhook", url)),
    webhookSecretFile: text("webhook-secret-file"),
    collectMs: durationMs("gc-interval", text("gc-interval"), COLLECT_MS_DEFAULT),
    leaseMs: durationMs("gc-grace", text("gc-grace"), LEASE_MS_DEFAULT),
    logLevel: oneOf("log-level", text("log-level") || "info", LOG_LEVELS),
    logFormat: oneOf("log-format", text("log-format") || "text", ["text", "json"]),
  };
  checkTogether(flags);
  return flags;
}

function checkTogether({ host, htpasswd, tlsCert, tlsKey, ...flags }: ServeFlags): void {
  if (htpasswd === "" && !isLoopback(host)) {
    throw wrong(
      `--listen ${host}: without --htpasswd FILE the registry listens on loopback only ` +
        "(127.0.0.1, ::1, localhost), since everyone could change everything",
    );
  }
  if ((tlsCert === "") !== (tlsKey === "")) throw wrong("--tls-cert and --tls-key go together");
  if ((flags.proxyUsername === "") !== (flags.proxyPasswordFile === "")) {
    throw wrong("--proxy-username and --proxy-password-file go together");
  }
  if (flags.proxy === "" && flags.proxyUsername !== "")
    throw wrong("--proxy-username needs --proxy");
  if (flags.proxy !== "" && new URL(flags.proxy).pathname !== "/") {
    throw wrong("--proxy is the address of a registry, without a path");
  }
  if (flags.webhookSecretFile !== "" && flags.webhooks.length === 0) {
    throw wrong("--webhook-secret-file needs --webhook");
  }
}

/** Throws invalid_argument naming the flag. */
export function readCollectFlags(argv: readonly string[]): CollectFlags {
  const values = parsed<Values & { "dry-run"?: boolean; json?: boolean }>(argv, {
    ...{ root: OPTIONS.root, rules: OPTIONS.rules, "gc-grace": OPTIONS["gc-grace"] },
    ...{ "dry-run": { type: "boolean" }, json: { type: "boolean" } },
  });
  return {
    ...{ root: rootOf(String(values.root ?? "")), rules: String(values.rules ?? "") },
    ...{ dryRun: values["dry-run"] === true, json: values.json === true },
    leaseMs: durationMs("gc-grace", String(values["gc-grace"] ?? ""), LEASE_MS_DEFAULT),
  };
}

type ParseOptions = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

function parsed<T>(argv: readonly string[], options: ParseOptions): T {
  try {
    return parseArgs({ args: [...argv], options, strict: true }).values as T;
  } catch (error) {
    throw wrong(errorMessage(error));
  }
}

function rootOf(root: string): string {
  if (root !== "") return root;
  throw wrong("--root DIR says where the registry keeps its content; there is no default");
}

function oneOf<T extends string>(flag: string, value: string, choices: readonly T[]): T {
  const choice = choices.find((one) => one === value);
  if (choice === undefined) throw wrong(`--${flag} is one of ${choices.join(", ")}`);
  return choice;
}

function durationMs(flag: string, value: string, otherwise: number): number {
  if (value === "") return otherwise;
  const ns = parseDurationNs(value);
  if (ns === undefined || ns < 0) throw wrong(`--${flag} is a time such as 90m or 2h`);
  return ns / Number(MS_NS);
}

function httpUrl(flag: string, value: string): string {
  if (value === "" || (/^https?:\/\//.test(value) && URL.canParse(value))) {
    return value.replace(/\/+$/, "");
  }
  throw wrong(`--${flag} is an http or https URL`);
}

/** `HOST:PORT`, `[::1]:PORT`, `:PORT` (every address) or a port of loopback. */
function listenAddress(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw wrong(`--listen "${text}" is not HOST:PORT`);
  const host = match[1] ?? match[2];
  return { host: host === undefined ? "127.0.0.1" : host || "0.0.0.0", port };
}

export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

function wrong(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
