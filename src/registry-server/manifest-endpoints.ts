import { type Digest, digestOf, isNaruError } from "../base/mod.ts";
import { readBody } from "../transport/mod.ts";
import { answerBytes, answerEmpty, type Exchange, type RegistryParts } from "./exchange.ts";
import { MANIFEST_BYTES_MAX, MANIFEST_MS_MAX, TAG_PARAMETERS_MAX, TAGS_MAX } from "./limits.ts";
import { type ManifestDocument, readManifest } from "./manifest-document.ts";
import {
  type ContentDigest,
  digestBy,
  hashFor,
  isContentDigest,
  isTag,
  parseContentDigest,
  shown,
} from "./names.ts";
import type { ManifestRecord } from "./records.ts";
import { refusal } from "./refusal.ts";
import type { Repository } from "./repository.ts";

type ManifestTarget = { readonly repository: string; readonly reference: string };

/** GET and HEAD of a manifest by tag or digest. @see distribution-spec end-3 */
export async function getManifest(
  parts: RegistryParts,
  exchange: Exchange,
  { repository, reference }: ManifestTarget,
): Promise<void> {
  await parts.upstream?.bringManifest(repository, reference);
  const found = parts.catalog.find(repository)?.find(reference);
  if (found === undefined) throw unknown(repository, reference);
  const { digest, record } = found;
  parts.catalog.seeManifest(repository, digest);
  const headers = {
    "Content-Type": record.mediaType,
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
  };
  if (exchange.request.headers["if-none-match"]?.includes(`"${digest}"`) === true) {
    exchange.response.writeHead(304, headers);
    exchange.response.end();
    return;
  }
  if (exchange.request.method === "HEAD") {
    exchange.response.writeHead(200, { ...headers, "Content-Length": record.sizeBytes });
    exchange.response.end();
    return;
  }
  answerBytes(
    exchange,
    200,
    headers,
    await parts.blobs.readAll(record.content, MANIFEST_BYTES_MAX),
  );
  parts.events.emit({
    ...{ action: "pull", target: "manifest", repository, digest, mediaType: record.mediaType },
    ...{ tag: isContentDigest(reference) ? "" : reference, sizeBytes: record.sizeBytes },
    user: exchange.identity.user,
    address: exchange.identity.address,
  });
}

/**
 * Takes a manifest under a tag or its digest, then also under `?tag=` (any number). What it refers
 * to must be here, but for foreign layers, subjects and the manifests of an index.
 * @see distribution-spec end-7
 */
export async function putManifest(
  parts: RegistryParts,
  exchange: Exchange,
  { repository, reference }: ManifestTarget,
): Promise<void> {
  const { request, response, query, identity } = exchange;
  const byDigest = reference.includes(":") ? parseContentDigest(reference) : undefined;
  const tags = byDigest === undefined ? [reference] : query.getAll("tag");
  checkTags(tags);
  const bytes = await manifestBody(exchange);
  const content = digestOf(bytes);
  const digest = byDigest === undefined ? (content as string as ContentDigest) : byDigest;
  const is = digestBy(hashFor(digest).update(bytes), digest);
  if (is !== digest) throw refusal("DIGEST_INVALID", `the manifest has the digest ${is}`);
  const document = readManifest(bytes, request.headers["content-type"] ?? "");
  const record = recordOf(document, content, {
    sizeBytes: bytes.length,
    nowMs: parts.clock.nowMs(),
  });
  const check = (found: Repository | undefined): void => {
    checkBlobs(found, document);
    checkRules(parts, { found, repository, digest, tags, sizeBytes: bytes.length });
  };
  check(parts.catalog.find(repository)); // before anything is written
  await storeManifest(parts, bytes);
  await parts.catalog.putManifest(repository, { digest, record }, tags, check);
  answerEmpty(response, 201, {
    Location: `/v2/${repository}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    ...(document.subject !== undefined && { "OCI-Subject": document.subject }),
    ...(byDigest !== undefined && tags.length > 0 && { "OCI-Tag": tags.join(", ") }),
  });
  for (const tag of tags.length === 0 ? [""] : tags) {
    parts.events.emit({
      ...{ action: "push", target: "manifest", repository, digest, tag },
      ...{
        mediaType: record.mediaType,
        sizeBytes: bytes.length,
        user: identity.user,
        address: identity.address,
      },
    });
  }
}

async function manifestBody({ request }: Exchange): Promise<Uint8Array> {
  try {
    return await readBody(request, { bytesMax: MANIFEST_BYTES_MAX, totalMs: MANIFEST_MS_MAX });
  } catch (error) {
    if (isNaruError(error, "too_large")) throw refusal("SIZE_INVALID", error.message, 413);
    if (isNaruError(error)) throw refusal("MANIFEST_INVALID", error.message);
    throw error;
  }
}

function checkTags(tags: readonly string[]): void {
  if (tags.length > TAG_PARAMETERS_MAX) {
    throw refusal("MANIFEST_INVALID", `more than ${TAG_PARAMETERS_MAX} tags at once`);
  }
  for (const tag of tags) {
    if (!isTag(tag)) throw refusal("MANIFEST_INVALID", `"${shown(tag)}" is not a tag`);
  }
}

function recordOf(
  document: ManifestDocument,
  content: Digest,
  { sizeBytes, nowMs }: { sizeBytes: number; nowMs: number },
): ManifestRecord {
  const { mediaType, artifactType, subject, blobs, manifests } = document;
  return {
    ...{ content, mediaType, sizeBytes, artifactType, subject: subject ?? "", blobs, manifests },
    pushedMs: nowMs,
  };
}

function checkBlobs(found: Repository | undefined, document: ManifestDocument): void {
  const elsewhere = new Set(document.foreign);
  for (const digest of document.blobs) {
    if (found?.blobs.has(digest) === true || elsewhere.has(digest)) continue;
    throw refusal(
      "MANIFEST_BLOB_UNKNOWN",
      `the repository lacks the blob ${digest}: push it first`,
    );
  }
}

interface PutRules {
  readonly found: Repository | undefined;
  readonly repository: string;
  readonly digest: ContentDigest;
  readonly tags: readonly string[];
  readonly sizeBytes: number;
}

function checkRules({ rules }: RegistryParts, put: PutRules): void {
  const { found, repository, digest, tags } = put;
  const isNew = found?.manifests.has(digest) !== true;
  if (isNew && (found?.sizeBytes ?? 0) + put.sizeBytes > rules.quotaBytes(repository)) {
    throw refusal("DENIED", "the repository has no room for this manifest: its quota is used up");
  }
  for (const tag of tags) {
    const before = found?.tags.get(tag)?.digest;
    if (before === undefined && (found?.tags.size ?? 0) + tags.length > TAGS_MAX) {
      throw refusal("DENIED", `the repository has ${TAGS_MAX} tags, which is as many as it may`);
    }
    if (before === undefined || before === digest || !rules.isImmutable(repository, tag)) continue;
    throw refusal("DENIED", `the tag ${tag} is immutable and points to ${before}`);
  }
}

async function storeManifest({ blobs, catalog }: RegistryParts, bytes: Uint8Array): Promise<void> {
  const beforeVisible = (content: Digest): void => catalog.lease(content);
  const writer = await blobs.create({ beforeVisible });
  try {
    await writer.write(bytes);
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

/** By tag the tag goes, by digest the manifest and its tags. @see distribution-spec end-9 */
export async function deleteManifest(
  parts: RegistryParts,
  { response, identity }: Exchange,
  { repository, reference }: ManifestTarget,
): Promise<void> {
  const found = parts.catalog.find(repository)?.find(reference);
  if (found === undefined) throw unknown(repository, reference);
  const { digest, record } = found;
  const isDigest = isContentDigest(reference);
  const refuseImmutable = (tag: string): void => {
    if (!parts.rules.isImmutable(repository, tag)) return;
    throw refusal("DENIED", `the tag ${tag} is immutable`);
  };
  if (!isDigest) refuseImmutable(reference);
  const removed = isDigest
    ? await parts.catalog.removeManifest(repository, digest, (one) => {
        for (const tag of one.tagsOf(digest)) refuseImmutable(tag);
      })
    : await parts.catalog.removeTag(repository, reference);
  if (!removed) throw unknown(repository, reference);
  answerEmpty(response, 202);
  parts.events.emit({
    ...{ action: "delete", target: isDigest ? "manifest" : "tag", repository, digest },
    ...{ tag: isDigest ? "" : reference, mediaType: record.mediaType },
    ...{ sizeBytes: record.sizeBytes, user: identity.user, address: identity.address },
  });
}

function unknown(repository: string, reference: string): Error {
  return refusal("MANIFEST_UNKNOWN", `there is no ${shown(reference)} in ${repository}`);
}
