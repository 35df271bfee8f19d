import { NaruError } from "../../base/mod.ts";
import { type Decoder, field, object, text } from "../decode.ts";

/** Credentials for a registry. "" where absent. @see reference engine-api AuthConfig */
export interface AuthBody {
  username: string;
  password: string;
  /** "" for Docker Hub. */
  serveraddress: string;
  identitytoken: string;
  registrytoken: string;
}

const authBody: Decoder<AuthBody> = object<AuthBody>({
  username: field(text),
  password: field(text),
  serveraddress: field(text),
  identitytoken: field(text),
  registrytoken: field(text),
});

/** Body of `POST /auth`. */
export function decodeAuth(value: unknown): AuthBody {
  return authBody(value, "");
}

const HEADER_CHARACTERS_MAX = 64 * 1024; // registry tokens of clouds reach 10 KB

/**
 * `X-Registry-Auth`: base64url of an AuthConfig, padded or not. Undefined for none, empty and `null`.
 * Throws invalid_argument; the text is never in the error.
 */
export function decodeAuthHeader(header: string | undefined): AuthBody | undefined {
  if (header === undefined || header === "") return undefined;
  const bad = (why: string): NaruError =>
    new NaruError("invalid_argument", `invalid X-Registry-Auth header: ${why}`);
  if (header.length > HEADER_CHARACTERS_MAX) throw bad("it is too long");
  let value: unknown;
  try {
    // Buffer takes both alphabets, with and without padding.
    value = JSON.parse(Buffer.from(header, "base64url").toString("utf8"));
  } catch {
    throw bad("it is not base64url of JSON");
  }
  if (value === null) return undefined;
  const auth = authBody(value, "X-Registry-Auth");
  return Object.values(auth).every((one) => one === "") ? undefined : auth;
}
