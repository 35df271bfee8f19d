import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, KiB, NaruError } from "../base/mod.ts";

/** Where a plugin listens. */
export interface PluginAddress {
  readonly name: string;
  /** `unix:///path` or `tcp://host:port`. */
  readonly url: string;
  readonly tls: PluginTls | undefined;
}

export interface PluginTls {
  readonly insecureSkipVerify: boolean;
  /** Paths; "" where absent. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface PluginDirs {
  /** `NAME.sock`, `NAME/NAME.sock`. */
  readonly sockets: readonly string[];
  /** `NAME.spec`, `NAME.json`, and the same in a folder NAME. */
  readonly specs: readonly string[];
}

/** @see Docker's documentation: extend/plugin_api, "Plugin discovery" */
export const PLUGIN_DIRS: PluginDirs = {
  sockets: ["/run/docker/plugins"],
  specs: ["/etc/docker/plugins", "/usr/lib/docker/plugins"],
};

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*(?::[a-zA-Z0-9_.-]+)?$/;
const SPEC_BYTES_MAX = 64 * KiB; // a URL, or four paths
const PLUGINS_MAX = 1_000; // a host has a handful

export function isPluginName(name: string): boolean {
  return NAME.test(name) && name.length <= 255 && !name.includes("..");
}

/** Names of the plugins that are there, sorted, each once. Directories that are missing hold none. */
export async function listPlugins(dirs: PluginDirs): Promise<string[]> {
  const names = new Set<string>();
  for (const dir of dirs.sockets) {
    for (const name of await namesIn(dir)) {
      if (name.endsWith(".sock")) names.add(name.slice(0, -".sock".length));
      else if (await isThere(join(dir, name, `${name}.sock`))) names.add(name);
    }
  }
  for (const dir of dirs.specs) {
    for (const name of await namesIn(dir)) {
      const base = /^(.+)\.(?:spec|json)$/.exec(name)?.[1];
      if (base !== undefined) names.add(base);
      else if (await isThere(join(dir, name, `${name}.spec`))) names.add(name);
      else if (await isThere(join(dir, name, `${name}.json`))) names.add(name);
    }
  }
  return [...names].filter(isPluginName).sort().slice(0, PLUGINS_MAX);
}

/** Undefined when there is none. A socket goes before a file. Throws invalid_argument naming a bad file. */
export async function findPlugin(
  dirs: PluginDirs,
  name: string,
): Promise<PluginAddress | undefined> {
  if (!isPluginName(name)) return undefined;
  for (const dir of dirs.sockets) {
    for (const path of [join(dir, `${name}.sock`), join(dir, name, `${name}.sock`)]) {
      if (await isThere(path)) return { name, url: `unix://${path}`, tls: undefined };
    }
  }
  for (const dir of dirs.specs) {
    for (const base of [join(dir, name), join(dir, name, name)]) {
      const spec = await textOf(`${base}.spec`);
      if (spec !== undefined)
        return { name, url: checkUrl(spec.trim(), `${base}.spec`), tls: undefined };
      const json = await textOf(`${base}.json`);
      if (json !== undefined) return parseJsonSpec(name, json, `${base}.json`);
    }
  }
  return undefined;
}

function parseJsonSpec(name: string, text: string, path: string): PluginAddress {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new NaruError("invalid_argument", `${path}: malformed JSON`, {}, { cause });
  }
  const url = checkUrl(textAt(value, "Addr"), path);
  const given = at(value, "TLSConfig");
  if (given === undefined || given === null) return { name, url, tls: undefined };
  const tls: PluginTls = {
    insecureSkipVerify: at(given, "InsecureSkipVerify") === true,
    caFile: textAt(given, "CAFile"),
    certFile: textAt(given, "CertFile"),
    keyFile: textAt(given, "KeyFile"),
  };
  return { name, url, tls };
}

function checkUrl(url: string, path: string): string {
  if (
    /^unix:\/\/\/[^\s\p{Cc}]+$/u.test(url) ||
    /^(?:tcp|https?):\/\/[^\s\p{Cc}/]+\/?$/u.test(url)
  ) {
    return url;
  }
  throw new NaruError("invalid_argument", `${path}: want unix:///PATH or tcp://HOST:PORT`);
}

function at(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

function textAt(value: unknown, key: string): string {
  const found = at(value, key);
  return typeof found === "string" ? found : "";
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > SPEC_BYTES_MAX) {
      throw new NaruError("too_large", `${path}: larger than ${SPEC_BYTES_MAX} bytes`);
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []); // most hosts have none
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
