import { mkdirSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode, NaruError } from "../../base/mod.ts";
import { isObject } from "../../spec/mod.ts";
import { type ClientConfig, readClientConfig } from "../client-config.ts";
import { helperErase, helperGet, helperStore, type StoredCredentials } from "./helper.ts";
import { hostOfServer } from "./server-address.ts";

type AuthEntry = NonNullable<ClientConfig["auths"]>[string];

/** Credentials as docker keeps them: in `config.json`, or with the helpers that it names. */
export class CredentialStore {
  readonly #folder: string;

  constructor(configFolder: string) {
    this.#folder = configFolder;
  }

  get path(): string {
    return join(this.#folder, "config.json");
  }

  async get(server: string): Promise<StoredCredentials | undefined> {
    const config = readClientConfig(this.#folder);
    const helper = helperOf(config, server);
    if (helper !== undefined) {
      const found = await helperGet(helper, server);
      if (found !== undefined) return found;
    }
    return decodeEntry(findEntry(config, server)?.[1]);
  }

  /** Says whether the secret is in the file, readable. */
  async store(server: string, credentials: StoredCredentials): Promise<{ readable: boolean }> {
    const config = readClientConfig(this.#folder);
    const helper = helperOf(config, server);
    if (helper !== undefined) {
      await helperStore(helper, server, credentials);
      this.#change((auths) => ({ ...auths, [server]: {} }));
      return { readable: false };
    }
    this.#change((auths) => ({ ...auths, [server]: encodeEntry(credentials) }));
    return { readable: true };
  }

  /** False when there was nothing to forget. */
  async erase(server: string): Promise<boolean> {
    const config = readClientConfig(this.#folder);
    const entry = findEntry(config, server);
    const helper = helperOf(config, server);
    const held = helper !== undefined && (await helperGet(helper, server)) !== undefined;
    if (helper !== undefined && held) await helperErase(helper, server);
    if (entry === undefined) return held;
    this.#change(({ [entry[0]]: _gone, ...others }) => others);
    return true;
  }

  /** Written aside and renamed, with every other key kept; a link stays one. */
  #change(change: (auths: Record<string, AuthEntry>) => Record<string, AuthEntry>): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const config = readClientConfig(this.#folder);
    const next = { ...config, auths: change({ ...config.auths }) };
    const path = realPath(this.path);
    const aside = `${path}.${process.pid}.new`;
    writeFileSync(aside, `${JSON.stringify(next, undefined, "\t")}\n`, { mode: 0o600 });
    renameSync(aside, path);
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return path;
    throw error;
  }
}

function helperOf({ credHelpers, credsStore }: ClientConfig, server: string): string | undefined {
  return credHelpers?.[hostOfServer(server)] ?? credHelpers?.[server] ?? (credsStore || undefined);
}

/** Old clients wrote URLs where today's write hosts. */
function findEntry(
  { auths = {} }: ClientConfig,
  server: string,
): readonly [string, AuthEntry] | undefined {
  const exact = auths[server];
  if (exact !== undefined) return [server, exact];
  return Object.entries(auths).find(([key]) => hostOfServer(key) === hostOfServer(server));
}

function decodeEntry(entry: unknown): StoredCredentials | undefined {
  if (!isObject(entry)) return undefined;
  const text = (key: string): string => (typeof entry[key] === "string" ? entry[key] : "");
  const pair = Buffer.from(text("auth"), "base64").toString();
  const colon = pair.indexOf(":");
  const found = {
    username: colon < 0 ? text("username") : pair.slice(0, colon),
    password: colon < 0 ? text("password") : pair.slice(colon + 1).replace(/\0+$/, ""),
    identityToken: text("identitytoken"),
    registryToken: text("registrytoken"),
  };
  return Object.values(found).every((value) => value === "") ? undefined : found;
}

function encodeEntry({ username, password, identityToken }: StoredCredentials): AuthEntry {
  if (username.includes(":")) {
    throw new NaruError("invalid_argument", "a user's name cannot have a colon");
  }
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  return { auth, ...(identityToken === "" ? {} : { identitytoken: identityToken }) };
}

/** The value of the header X-Registry-Auth. */
export function authHeader(server: string, credentials: StoredCredentials | undefined): string {
  if (credentials === undefined) return Buffer.from("{}").toString("base64url");
  const { username, password, identityToken, registryToken } = credentials;
  const body = {
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    ...(identityToken === "" ? {} : { identitytoken: identityToken }),
    ...(registryToken === "" ? {} : { registrytoken: registryToken }),
    serveraddress: server,
  };
  return Buffer.from(JSON.stringify(body)).toString("base64url");
}
