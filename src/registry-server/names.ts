import { createHash, type Hash } from "node:crypto";
import { NAME_CHARACTERS_MAX } from "./limits.ts";
import { refusal } from "./refusal.ts";

/**
 * A digest as clients name content: sha256 or sha512. Storage knows sha256 alone; a repository maps
 * the one to the other. @see OCI image-spec descriptor.md#digests
 */
export type ContentDigest = string & { readonly __brand: "ContentDigest" };

const CONTENT_DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
const NAME_PART = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const NAME = new RegExp(`^${NAME_PART}(?:/${NAME_PART})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

export function isContentDigest(text: string): text is ContentDigest {
  return CONTENT_DIGEST.test(text);
}

/** Throws DIGEST_INVALID. */
export function parseContentDigest(text: string): ContentDigest {
  if (isContentDigest(text)) return text;
  throw refusal("DIGEST_INVALID", `"${shown(text)}" is not a sha256 or sha512 digest`);
}

export function hashFor(digest: ContentDigest): Hash {
  return createHash(digest.startsWith("sha512:") ? "sha512" : "sha256");
}

export function digestBy(hash: Hash, like: ContentDigest): ContentDigest {
  return `${like.slice(0, like.indexOf(":"))}:${hash.digest("hex")}` as ContentDigest;
}

/** Throws NAME_INVALID. @see distribution-spec "Pulling manifests" for the grammar */
export function parseRepositoryName(text: string): string {
  if (text.length <= NAME_CHARACTERS_MAX && NAME.test(text)) return text;
  throw refusal("NAME_INVALID", `"${shown(text)}" is not the name of a repository`);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** What of a client's text goes into a message: no control characters, not too much. */
export function shown(text: string): string {
  return text.slice(0, 100).replace(/[^\x20-\x7e]/g, "?");
}
