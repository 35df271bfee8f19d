import { createHash, type Hash } from "node:crypto";
import { NaruError } from "./errors.ts";

/** `sha256:` and 64 lower-case hexadecimal digits. @see OCI image-spec descriptor.md#digests */
export type Digest = `sha256:${string}` & { readonly __brand: "Digest" };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** Throws invalid_argument for anything but a well-formed sha256 digest. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new NaruError("invalid_argument", `invalid digest "${text.slice(0, 100)}"`);
  }
  return text;
}

/** The digest of all of `bytes`. */
export function digestOf(bytes: string | Uint8Array): Digest {
  return digestFrom(createHash("sha256").update(bytes));
}

/** Ends `hash`, which must be sha256, and names its result. */
export function digestFrom(hash: Hash): Digest {
  return `sha256:${hash.digest("hex")}` as Digest;
}

/** The 64 digits without the algorithm. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}
