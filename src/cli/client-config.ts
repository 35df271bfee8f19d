import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode, errorMessage, NaruError } from "../base/mod.ts";
import type { Environment } from "./container/client-files.ts";

/** The keys of docker's `config.json` that the commands here read. */
export interface ClientConfig {
  readonly detachKeys?: string;
  readonly psFormat?: string;
  readonly statsFormat?: string;
  readonly imagesFormat?: string;
  readonly networksFormat?: string;
  readonly volumesFormat?: string;
  readonly HttpHeaders?: Readonly<Record<string, string>>;
  readonly auths?: Readonly<Record<string, { auth?: string; identitytoken?: string }>>;
  /** Name of the helper that has all credentials. */
  readonly credsStore?: string;
  /** Names of helpers by registry host. */
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** The folder of `config.json`: the flag, DOCKER_CONFIG, `$HOME/.docker`. */
export function configFolder(flag: string, environment: Environment): string {
  return flag || environment["DOCKER_CONFIG"] || join(environment["HOME"] || "/root", ".docker");
}

/** Empty when there is no file. Throws invalid_argument when it is not JSON. */
export function readClientConfig(folder: string): ClientConfig {
  const path = join(folder, "config.json");
  try {
    return JSON.parse(readFileSync(path, "utf8")) as ClientConfig;
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return {};
    throw new NaruError("invalid_argument", `cannot read ${path}: ${errorMessage(error)}`, {
      path,
    });
  }
}
