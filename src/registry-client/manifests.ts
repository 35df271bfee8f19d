import { type Digest, digestOf, isDigest, NaruError } from "../base/mod.ts";
import {
  DOCKER_INDEX,
  DOCKER_MANIFEST,
  decodeJson,
  familiarName,
  isIndexType,
  isManifestType,
  MANIFEST_BYTES_MAX,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../oci/mod.ts";
import { type Descriptor, isObject } from "../spec/mod.ts";
import { across, type ClientParts, checkTarget } from "./across.ts";
import { readAll } from "./answer-body.ts";
import { repositoryScope } from "./authenticator.ts";
import type { RegistryAccess, RemoteManifest, RepositoryName } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HttpAnswer } from "./http-transport.ts";
import { statusError } from "./status-error.ts";

const SCHEMA_1: ReadonlySet<string> = new Set([
  "application/vnd.docker.distribution.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v1+prettyjws",
]);

const ACCEPT = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");

/** As people know it: `busybox:latest`, `busybox@sha256:…`. */
export function targetName(repository: RepositoryName, target: string): string {
  const name = familiarName({ ...repository, tag: undefined, digest: undefined });
  return `${name}${isDigest(target) ? "@" : ":"}${target}`;
}

/** Docker's words, which clients look for. */
export function readError(error: NaruError, repository: RepositoryName): NaruError {
  const { kind, details } = error;
  if (kind !== "unauthorized" && kind !== "forbidden") return error;
  if (details["status"] === undefined) return error; // refused by naru itself
  const name = familiarName({ ...repository, tag: undefined, digest: undefined });
  const message = `pull access denied for ${name}, repository does not exist or may require 'docker login': ${error.message}`;
  return new NaruError(kind, message, details, { cause: error });
}

/** Throws not_found, in Docker's words, when no endpoint has it. */
export async function fetchManifest(
  parts: ClientParts,
  repository: RepositoryName,
  target: string,
  access: RegistryAccess,
): Promise<RemoteManifest> {
  checkTarget(target);
  const name = targetName(repository, target);
  const digest = isDigest(target) ? target : undefined;
  const options = { need: digest === undefined ? "resolve" : "pull", access, digest } as const;
  const found = await across(parts, repository, options, async (endpoint) => {
    const answer = await ask(parts, endpoint, { method: "GET", repository, target, access });
    if (answer === undefined) return undefined;
    const what = `the manifest of ${name}`;
    const bytes = await readAll(answer, MANIFEST_BYTES_MAX, {
      ...parts.session.reading(access),
      what,
    });
    return checkManifest(answer, bytes, digest, what);
  });
  if (found !== undefined) return found;
  throw new NaruError("not_found", `manifest for ${name} not found: manifest unknown`, {});
}

/** GET or HEAD; undefined for 404. */
async function ask(
  parts: ClientParts,
  endpoint: Endpoint,
  request: {
    method: "GET" | "HEAD";
    repository: RepositoryName;
    target: string;
    access: RegistryAccess;
  },
): Promise<HttpAnswer | undefined> {
  const { method, repository, target, access } = request;
  const what = `cannot read ${targetName(repository, target)}`;
  const answer = await parts.session.send(endpoint, {
    method,
    path: `/${repository.path}/manifests/${target}`,
    headers: { accept: ACCEPT },
    scopes: [repositoryScope(repository.path, "pull")],
    access,
    what,
  });
  if (answer.status === 200) return answer;
  const error = await statusError(answer, what, parts.session.reading(access));
  if (error.kind === "not_found") return undefined;
  throw readError(error, repository);
}

/** Throws damaged when the bytes are not those of the digest, unsupported for schema 1. */
function checkManifest(
  answer: HttpAnswer,
  bytes: Uint8Array,
  digest: Digest | undefined,
  what: string,
): RemoteManifest {
  const found = digestOf(bytes);
  if (digest !== undefined && found !== digest) {
    throw new NaruError("damaged", `${what} does not match its digest: got ${found}`, { digest });
  }
  const named = contentDigest(answer);
  if (digest === undefined && named !== undefined && named !== found) {
    const message = `${what} does not match the digest that ${answer.url.host} names: got ${found}, want ${named}`;
    throw new NaruError("damaged", message, { digest: named });
  }
  return { mediaType: mediaTypeOf(answer, bytes, what), digest: found, bytes };
}

function contentDigest(answer: HttpAnswer): Digest | undefined {
  const text = answer.headers["docker-content-digest"];
  return typeof text === "string" && isDigest(text) ? text : undefined;
}

/**
 * The document's own mediaType counts, for the digest vouches for it; the header where it has none,
 * and the shape where the header is of no use (some servers say application/json).
 */
function mediaTypeOf(answer: HttpAnswer, bytes: Uint8Array, what: string): string {
  const header = (answer.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
  const body = decodeJson(bytes, what);
  if (!isObject(body)) throw new NaruError("damaged", `${what} is not a JSON object`);
  if (body["schemaVersion"] === 1 || SCHEMA_1.has(header)) {
    const message = `${what} has schema version 1, which Docker retired in 2024 because it cannot be verified: push the image again with a current client`;
    throw new NaruError("unsupported", message);
  }
  const own = body["mediaType"];
  if (typeof own === "string" && own !== "") return own;
  if (isIndexType(header) || isManifestType(header)) return header;
  return Array.isArray(body["manifests"]) ? OCI_INDEX : OCI_MANIFEST;
}

/** Undefined: there is none. */
export async function headManifest(
  parts: ClientParts,
  repository: RepositoryName,
  target: string,
  access: RegistryAccess,
): Promise<Descriptor | undefined> {
  checkTarget(target);
  const digest = isDigest(target) ? target : undefined;
  const options = { need: digest === undefined ? "resolve" : "pull", access, digest } as const;
  return across(parts, repository, options, async (endpoint) => {
    const answer = await ask(parts, endpoint, { method: "HEAD", repository, target, access });
    if (answer === undefined) return undefined;
    answer.body.resume();
    const named = contentDigest(answer);
    const size = Number(answer.headers["content-length"] ?? Number.NaN);
    const mediaType = (answer.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
    if (named !== undefined && Number.isSafeInteger(size) && mediaType !== "") {
      if (digest !== undefined && named !== digest) {
        const what = targetName(repository, target);
        throw new NaruError("damaged", `${what}: the registry names another digest, ${named}`);
      }
      return { mediaType, digest: named, size };
    }
    const whole = await fetchManifest(parts, repository, target, access);
    return { mediaType: whole.mediaType, digest: whole.digest, size: whole.bytes.length };
  });
}
