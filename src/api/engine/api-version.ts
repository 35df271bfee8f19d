import { NaruError } from "../../base/mod.ts";

/** `1.41` as 1041, so that versions compare as numbers: 1.9 < 1.10. */
export type ApiVersion = number;

export const API_VERSION_MIN: ApiVersion = 1024;
export const API_VERSION_MAX: ApiVersion = 1056;

const MINORS = 1000;

export function formatApiVersion(version: ApiVersion): string {
  return `${Math.floor(version / MINORS)}.${version % MINORS}`;
}

/** `1.41`, `1`, `1.41.1` (its third part does not count). Throws invalid_argument out of range, in Docker's words. */
export function parseApiVersion(text: string): ApiVersion {
  const [major = "", minor = "0"] = text.split(".");
  const version = Number(major) * MINORS + Math.min(Number(minor), MINORS - 1);
  if (version < API_VERSION_MIN || Number.isNaN(version)) {
    throw new NaruError(
      "invalid_argument",
      `client version ${text} is too old. Minimum supported API version is ${formatApiVersion(API_VERSION_MIN)}, please upgrade your client to a newer version`,
    );
  }
  if (version > API_VERSION_MAX) {
    throw new NaruError(
      "invalid_argument",
      `client version ${text} is too new. Maximum supported API version is ${formatApiVersion(API_VERSION_MAX)}`,
    );
  }
  return version;
}

/** Splits `/v1.41/info` into version text and path; no version text when there is no such prefix. */
export function splitVersion(path: string): {
  readonly version: string | undefined;
  readonly rest: string;
} {
  if (path.charCodeAt(1) !== 118 /* v */) return { version: undefined, rest: path };
  let at = 2;
  for (; at < path.length; at++) {
    const code = path.charCodeAt(at);
    if (code !== 46 && (code < 48 || code > 57)) break;
  }
  const isPrefix = at > 2 && at <= 14 && path.charCodeAt(at) === 47 && path.charCodeAt(2) !== 46;
  if (!isPrefix) return { version: undefined, rest: path };
  return { version: path.slice(2, at), rest: path.slice(at) };
}
