import { readFileSync, statSync } from "node:fs";
import { errorCode, errorMessage, MiB, NaruError } from "../base/mod.ts";
import { isObject } from "../spec/mod.ts";
import type { DaemonOption } from "./daemon-option.ts";
import { DAEMON_OPTIONS } from "./daemon-options.ts";

/** What daemon.json said, by option, with the types that the table asks for. */
export type FileValues = ReadonlyMap<DaemonOption, unknown>;

const FILE_BYTES_MAX: number = 1 * MiB; // real files are a few hundred bytes; a wrong path is often a big file

/**
 * Reads a configuration file. A missing file is empty unless the user named it. Throws
 * invalid_argument naming the file and the key.
 */
export function readDaemonFile(path: string, options: { mustExist: boolean }): FileValues {
  let text: string;
  try {
    if (statSync(path).size > FILE_BYTES_MAX) {
      throw new NaruError("too_large", `${path}: over ${FILE_BYTES_MAX} bytes`);
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT" && !options.mustExist) return new Map();
    if (error instanceof NaruError) throw error;
    throw new NaruError(
      "invalid_argument",
      `cannot read ${path}: ${errorMessage(error)}`,
      {},
      { cause: error },
    );
  }
  return parseDaemonFile(text, path);
}

/** As readDaemonFile, of text at hand. Empty text is an empty configuration, as for dockerd. */
export function parseDaemonFile(text: string, path: string): FileValues {
  if (text.trim() === "") return new Map();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new NaruError(
      "invalid_argument",
      `${path}: not JSON: ${errorMessage(error)}`,
      {},
      { cause: error },
    );
  }
  if (!isObject(parsed)) throw new NaruError("invalid_argument", `${path}: want a JSON object`);
  const values = new Map<DaemonOption, unknown>();
  const unknownKeys: string[] = [];
  for (const [key, value] of Object.entries(parsed)) {
    const option = DAEMON_OPTIONS.find((candidate) => candidate.key === key && key !== "");
    if (option === undefined) unknownKeys.push(key);
    else {
      checkType(option, value, path);
      values.set(option, value);
    }
  }
  if (unknownKeys.length > 0) {
    throw new NaruError("invalid_argument", `${path}: unknown keys: ${unknownKeys.join(", ")}`);
  }
  return values;
}

function checkType(option: DaemonOption, value: unknown, path: string): void {
  const want = wantOf(option, value);
  if (want !== undefined) {
    throw new NaruError(
      "invalid_argument",
      `${path}: ${option.key}: want ${want}, got ${JSON.stringify(value)}`,
    );
  }
}

/** What the value should have been, or undefined when it is. */
function wantOf(option: DaemonOption, value: unknown): string | undefined {
  switch (option.type) {
    case "string":
      return typeof value === "string" ? undefined : "a string";
    case "boolean":
      return typeof value === "boolean" ? undefined : "true or false";
    case "integer":
      return Number.isSafeInteger(value) ? undefined : "a whole number";
    case "list":
      return Array.isArray(value) && value.every((item) => typeof item === "string")
        ? undefined
        : "a list of strings";
    case "map":
      return isMap(value) ? undefined : "an object of strings";
    case "runtimes":
      return isObject(value) && Object.values(value).every(isRuntime)
        ? undefined
        : 'an object like {"name": {"path": "/usr/bin/runc", "runtimeArgs": []}}';
    case "ulimits":
      return isObject(value) && Object.values(value).every(isUlimit)
        ? undefined
        : 'an object like {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}';
    case "mirrors":
      return isObject(value) && Object.values(value).every(isTexts)
        ? undefined
        : 'an object like {"docker.io": ["https://mirror.example"]}';
    case "pools":
      return Array.isArray(value) && value.every(isPool)
        ? undefined
        : 'a list like [{"base": "10.20.0.0/16", "size": 24}]';
    case "network-options":
      return isObject(value) && Object.values(value).every(isMap)
        ? undefined
        : 'an object like {"bridge": {"com.docker.network.driver.mtu": "1400"}}';
    case "proxies":
      return isObject(value) && Object.entries(value).every(isProxy)
        ? undefined
        : "an object of http-proxy, https-proxy and no-proxy";
    case "object":
      return undefined; // refused below whatever it holds, unless empty
  }
}

function isMap(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((item) => typeof item === "string");
}

function isPool(value: unknown): boolean {
  return (
    isObject(value) &&
    Object.keys(value).length === 2 &&
    typeof value["base"] === "string" &&
    Number.isSafeInteger(value["size"])
  );
}

const PROXY_KEYS: ReadonlySet<string> = new Set(["http-proxy", "https-proxy", "no-proxy"]);

function isProxy([key, value]: [string, unknown]): boolean {
  return PROXY_KEYS.has(key) && typeof value === "string";
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

const RUNTIME_KEYS: ReadonlySet<string> = new Set(["path", "runtimeArgs"]);
const ULIMIT_KEYS: ReadonlySet<string> = new Set(["Name", "Soft", "Hard"]);

function isRuntime(value: unknown): boolean {
  if (!isObject(value) || !Object.keys(value).every((key) => RUNTIME_KEYS.has(key))) return false;
  const args = value["runtimeArgs"] ?? [];
  return (
    typeof value["path"] === "string" &&
    Array.isArray(args) &&
    args.every((item) => typeof item === "string")
  );
}

function isUlimit(value: unknown): boolean {
  if (!isObject(value) || !Object.keys(value).every((key) => ULIMIT_KEYS.has(key))) return false;
  return (
    typeof (value["Name"] ?? "") === "string" &&
    Number.isSafeInteger(value["Soft"]) &&
    Number.isSafeInteger(value["Hard"])
  );
}
