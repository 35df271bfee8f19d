import { type Digest, isDigest, NaruError } from "../base/mod.ts";

/**
 * A name of an image with Docker's rules: a host, a path, and a tag, a digest or both. Names without
 * a host are of Docker Hub, and one-word names there of `library`.
 * @see distribution reference grammar; compat.md item 22
 */
export interface Reference {
  /** `docker.io`, `localhost:5000`, … */
  readonly domain: string;
  /** `library/busybox` */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

const DEFAULT_DOMAIN = "docker.io";
const LEGACY_DOMAIN = "index.docker.io";
const OFFICIAL = "library";
const NAME_CHARACTERS_MAX = 255; // the grammar's limit for domain and path
export const DEFAULT_TAG: string = "latest";

const DOMAIN_PART = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const DOMAIN = new RegExp(
  `^(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?$`,
);
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;

/** Parses a name as people type it. Throws invalid_argument in Docker's words. */
export function parseReference(text: string): Reference {
  if (text.length > NAME_CHARACTERS_MAX * 3) throw malformed();
  if (/^[0-9a-f]{64}$/.test(text)) {
    throw new NaruError(
      "invalid_argument",
      `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`,
    );
  }
  const at = text.indexOf("@");
  const digestText = at === -1 ? undefined : text.slice(at + 1);
  if (digestText !== undefined && !isDigest(digestText)) throw malformed();
  const named = at === -1 ? text : text.slice(0, at);
  // A colon after the last slash begins the tag; one before it is a port.
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const tag = colon === -1 ? undefined : named.slice(colon + 1);
  const { domain, path } = splitDomain(colon === -1 ? named : named.slice(0, colon));
  if (tag !== undefined && !TAG.test(tag)) throw malformed();
  if (path !== path.toLowerCase() && PATH.test(path.toLowerCase())) {
    throw new NaruError(
      "invalid_argument",
      "invalid reference format: repository name must be lowercase",
    );
  }
  if (!DOMAIN.test(domain) || !PATH.test(path)) throw malformed();
  if (domain.length + 1 + path.length > NAME_CHARACTERS_MAX) {
    const message = `repository name must not be more than ${NAME_CHARACTERS_MAX} characters`;
    throw new NaruError("invalid_argument", message);
  }
  return { domain, path, tag, digest: digestText };
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  // `localhost/x` and `host.name/x` and `host:1/x` name a registry, `user/x` does not.
  const isDomain =
    first !== "" && (/[.:[]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const domain = isDomain ? first : DEFAULT_DOMAIN;
  const path = isDomain ? name.slice(slash + 1) : name;
  if (domain !== DEFAULT_DOMAIN && domain !== LEGACY_DOMAIN) return { domain, path };
  const official = path.includes("/") || path === "" ? path : `${OFFICIAL}/${path}`;
  return { domain: DEFAULT_DOMAIN, path: official };
}

function malformed(): NaruError {
  return new NaruError("invalid_argument", "invalid reference format");
}

/** With `latest` where there is neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  if (reference.tag !== undefined || reference.digest !== undefined) return reference;
  return { ...reference, tag: DEFAULT_TAG };
}

/** Another tag, no digest. Throws invalid_argument (`invalid tag format`). */
export function withTag(reference: Reference, tag: string): Reference {
  if (!TAG.test(tag)) throw new NaruError("invalid_argument", "invalid tag format");
  return { ...reference, tag, digest: undefined };
}

/** The repository alone: `docker.io/library/busybox`. */
export function repositoryOf(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The whole name: `docker.io/library/busybox:latest`. A tag beside a digest is left out: the digest decides. */
export function formatReference(reference: Reference): string {
  return repositoryOf(reference) + suffixOf(reference);
}

/** The repository as people type it: `busybox`. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return repositoryOf(reference);
  const prefix = `${OFFICIAL}/`;
  const short = reference.path.slice(prefix.length);
  return reference.path.startsWith(prefix) && !short.includes("/") ? short : reference.path;
}

/** As people type it: `busybox:latest`. */
export function formatFamiliar(reference: Reference): string {
  return familiarName(reference) + suffixOf(reference);
}

function suffixOf(reference: Reference): string {
  if (reference.digest !== undefined) return `@${reference.digest}`;
  return reference.tag === undefined ? "" : `:${reference.tag}`;
}

/**
 * Go's path.Match, which the filter `reference` uses: `*` and `?` stop at a slash, `[a-z]`, `\` escapes.
 * Throws invalid_argument for a malformed pattern.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  let source = "^";
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at] as string;
    if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const end = pattern.indexOf("]", at + 2);
      if (end === -1) throw badPattern(pattern);
      const body = pattern.slice(at + 1, end);
      const negated = body.startsWith("^");
      const set = (negated ? body.slice(1) : body).replace(/[\\\]^]/g, "\\$&");
      source += `[${negated ? "^" : ""}${set}]`;
      at = end;
    } else {
      if (character === "\\") at += 1;
      const literal = pattern[at];
      if (literal === undefined) throw badPattern(pattern);
      source += literal.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    }
  }
  try {
    return new RegExp(`${source}$`).test(text);
  } catch {
    throw badPattern(pattern);
  }
}

function badPattern(pattern: string): NaruError {
  return new NaruError("invalid_argument", `syntax error in pattern "${pattern.slice(0, 100)}"`);
}
