import { type Decoder, field, object, text } from "../decode.ts";

/** What of a registry's credentials the engine looks at. @see reference engine-api AuthConfig */
export interface AuthBody {
  /** "" for Docker Hub. */
  serveraddress: string;
}

const authBody: Decoder<AuthBody> = object<AuthBody>({ serveraddress: field(text) });

/** Body of `POST /auth`. */
export function decodeAuth(value: unknown): AuthBody {
  return authBody(value, "");
}
