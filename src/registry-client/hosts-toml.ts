import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, errorMessage, NaruError } from "../base/mod.ts";
import type { Endpoint, TlsMaterial } from "./endpoint.ts";
import { hasControl } from "./header-text.ts";
import { readPem } from "./host-certificates.ts";

/** What a hosts.toml says of one server. */
export interface TomlHost {
  readonly url: URL;
  readonly basePath: string;
  readonly tls: TlsMaterial;
  readonly headers: Endpoint["headers"];
  readonly canPull: boolean;
  readonly canResolve: boolean;
  readonly canPush: boolean;
}

/** containerd's file: mirrors in order, then the registry itself unless it is told otherwise. */
export interface HostsToml {
  readonly hosts: readonly TomlHost[];
  readonly server: TomlHost | undefined;
}

const FILE_CHARACTERS_MAX = 1_000_000; // real ones are below 2,000
const HOST_KEYS: ReadonlySet<string> = new Set(
  "capabilities ca client skip_verify override_path dial_timeout header".split(" "),
);

type Table = Readonly<Record<string, unknown>>;

/**
 * Reads `hosts.toml` in `folder`; undefined when there is none. Throws invalid_argument naming the
 * file and the key: an unknown key is not skipped.
 * @see containerd docs/hosts.md
 */
export async function readHostsToml(folder: string): Promise<HostsToml | undefined> {
  const path = join(folder, "hosts.toml");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
    throw bad(path, errorMessage(error));
  }
  if (text.length > FILE_CHARACTERS_MAX) throw bad(path, "the file is too long");
  let table: Table;
  try {
    table = Bun.TOML.parse(text) as Table;
  } catch (error) {
    throw bad(path, errorMessage(error));
  }
  const { server, host, ...rest } = table;
  const file = { path, folder };
  const hosts: TomlHost[] = [];
  for (const [url, value] of Object.entries(tableOf(host ?? {}, file.path, "host"))) {
    hosts.push(await readHost(url, tableOf(value, path, `host."${url}"`), file));
  }
  if (server === undefined) {
    checkKeys(rest, file.path, "");
    return { hosts, server: undefined };
  }
  if (typeof server !== "string") throw bad(path, "server: want a text");
  return { hosts, server: await readHost(server, rest, file) };
}

interface TomlFile {
  readonly path: string;
  readonly folder: string;
}

async function readHost(address: string, table: Table, file: TomlFile): Promise<TomlHost> {
  const what = `"${address}"`;
  checkKeys(table, file.path, what);
  const full = address.includes("://") ? address : `https://${address}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw bad(file.path, `${what}: want a URL of http or https`);
  }
  if (url.username !== "" || url.password !== "") {
    throw bad(file.path, `${what}: credentials belong into header, not into the URL`);
  }
  const capabilities = texts(
    table["capabilities"] ?? ["pull", "resolve", "push"],
    file.path,
    what,
    "capabilities",
  );
  const path = url.pathname.replace(/\/+$/, "");
  return {
    url,
    basePath: flag(table["override_path"], file.path, what) ? path : v2Path(path),
    tls: {
      ca: await Promise.all(
        texts(table["ca"] ?? [], file.path, what, "ca").map((name) => readPem(name, file.folder)),
      ),
      client: await readClient(table["client"], file, what),
      verify: !flag(table["skip_verify"], file.path, what),
    },
    headers: readHeaders(table["header"] ?? {}, file.path, what),
    canPull: capabilities.includes("pull"),
    canResolve: capabilities.includes("resolve"),
    canPush: capabilities.includes("push"),
  };
}

/** containerd adds `/v2` unless it is there. */
export function v2Path(path: string): string {
  const bare = path.replace(/\/+$/, "");
  return bare.endsWith("/v2") ? bare : `${bare}/v2`;
}

function checkKeys(table: Table, path: string, what: string): void {
  const unknown = Object.keys(table).filter((key) => !HOST_KEYS.has(key));
  if (unknown.length > 0) throw bad(path, `${what}: unknown keys: ${unknown.join(", ")}`);
  if (table["dial_timeout"] !== undefined) {
    throw new NaruError("unsupported", `${path}: ${what}: dial_timeout is not supported by naru`);
  }
}

async function readClient(
  value: unknown,
  file: TomlFile,
  what: string,
): Promise<TlsMaterial["client"]> {
  if (value === undefined) return undefined;
  // "pair.pem", ["cert", "key"] or [["cert", "key"], …]; one identity is what a server can be shown.
  const list: unknown = Array.isArray(value) && Array.isArray(value[0]) ? value[0] : value;
  const [cert, key = cert] = texts(list, file.path, what, "client");
  if (cert === undefined || key === undefined) throw bad(file.path, `${what}: client is empty`);
  return { cert: await readPem(cert, file.folder), key: await readPem(key, file.folder) };
}

function readHeaders(value: unknown, path: string, what: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, text] of Object.entries(tableOf(value, path, `${what}: header`))) {
    const joined = texts(text, path, what, `header ${name}`).join(", ");
    if (!/^[\w-]+$/.test(name) || hasControl(joined)) {
      throw bad(path, `${what}: header "${name}" cannot be sent`);
    }
    headers[name.toLowerCase()] = joined;
  }
  return headers;
}

function tableOf(value: unknown, path: string, what: string): Table {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Table;
  throw bad(path, `${what}: want a table`);
}

function texts(value: unknown, path: string, what: string, key: string): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.every((item) => typeof item === "string")) return list;
  throw bad(path, `${what}: ${key}: want texts`);
}

function flag(value: unknown, path: string, what: string): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw bad(path, `${what}: want true or false`);
}

function bad(path: string, why: string): NaruError {
  return new NaruError("invalid_argument", `${path}: ${why}`, { path });
}
