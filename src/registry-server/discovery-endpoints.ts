import { OCI_INDEX } from "../oci/mod.ts";
import { answerBytes, type Exchange, nextLink, type RegistryParts } from "./exchange.ts";
import {
  MANIFEST_BYTES_MAX,
  PAGE_MAX,
  REFERRERS_PAGE_BYTES,
  REFERRERS_PAGE_COUNT,
} from "./limits.ts";
import { readManifest } from "./manifest-document.ts";
import { type ContentDigest, parseContentDigest } from "./names.ts";
import { refusal } from "./refusal.ts";
import type { Repository } from "./repository.ts";

const JSON_TYPE = { "Content-Type": "application/json" } as const;

/** Tags in the order of their bytes, in pages. @see distribution-spec end-8a, end-8b */
export async function listTags(
  { catalog, upstream }: RegistryParts,
  exchange: Exchange,
  { repository }: { readonly repository: string },
): Promise<void> {
  const tags =
    upstream === undefined
      ? catalog.find(repository)?.sortedTags()
      : await upstream.tags(repository);
  if (tags === undefined) throw refusal("NAME_UNKNOWN", `there is no repository ${repository}`);
  const { page, next } = pageOf(tags, exchange.query);
  const link = next && { Link: nextLink(`/v2/${repository}/tags/list`, next) };
  const body = JSON.stringify({ name: repository, tags: page });
  answerBytes(exchange, 200, { ...JSON_TYPE, ...link }, body);
}

/** Names of the repositories that the client may read, in pages: Docker's `_catalog`. */
export async function listRepositories(parts: RegistryParts, exchange: Exchange): Promise<void> {
  const readable = parts.catalog
    .names()
    .filter((name) => parts.access.mayList(exchange.identity, name));
  const { page, next } = pageOf(readable, exchange.query);
  const link = next && { Link: nextLink("/v2/_catalog", next) };
  const body = JSON.stringify({ repositories: page });
  answerBytes(exchange, 200, { ...JSON_TYPE, ...link }, body);
}

interface Page {
  readonly page: readonly string[];
  /** Parameters of the next page; undefined for the last. */
  readonly next: Readonly<Record<string, string>> | undefined;
}

/** `n` at most, after `last`, which need not be there any more. Throws SIZE_INVALID. */
function pageOf(sorted: readonly string[], query: URLSearchParams): Page {
  const wanted = query.get("n");
  if (wanted !== null && !/^\d{1,9}$/.test(wanted)) {
    throw refusal("SIZE_INVALID", "n is not a number of results");
  }
  const count = Math.min(wanted === null ? PAGE_MAX : Number(wanted), PAGE_MAX);
  const start = firstAfter(sorted, query.get("last"));
  const page = sorted.slice(start, start + count);
  const last = page.at(-1);
  const isMore = last !== undefined && start + count < sorted.length;
  return { page, next: isMore ? { n: String(count), last } : undefined };
}

/** Where the names after `last` begin, by bisection. */
function firstAfter(sorted: readonly string[], last: string | null): number {
  if (last === null) return 0;
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as string) <= last) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * An index of the manifests whose subject is `digest`, which need not be here; filtered by
 * `artifactType`. @see distribution-spec end-12a, end-12b
 */
export async function listReferrers(
  parts: RegistryParts,
  exchange: Exchange,
  target: { readonly repository: string; readonly digest: string },
): Promise<void> {
  const subject = parseContentDigest(target.digest);
  const { query } = exchange;
  const artifactType = query.get("artifactType") ?? "";
  if (parts.upstream !== undefined) {
    const found = await parts.upstream.referrers(target.repository, subject, artifactType);
    const applied = artifactType !== "" && { "OCI-Filters-Applied": "artifactType" };
    answerBytes(
      exchange,
      200,
      { "Content-Type": OCI_INDEX, ...applied },
      indexOf(found.map((one) => JSON.stringify(one))),
    );
    return;
  }
  const repository = parts.catalog.find(target.repository);
  const candidates = (repository?.referrersOf(subject) ?? []).filter(
    (digest) =>
      artifactType === "" || repository?.manifests.get(digest)?.artifactType === artifactType,
  );
  const start = firstAfter(candidates, query.get("last"));
  const descriptors: string[] = [];
  let bytes = 0;
  let last: ContentDigest | undefined;
  for (const digest of candidates.slice(start, start + REFERRERS_PAGE_COUNT)) {
    const descriptor = await descriptorOf(parts, repository as Repository, digest);
    if (descriptor === undefined) continue; // deleted meanwhile
    if (last !== undefined && bytes + descriptor.length > REFERRERS_PAGE_BYTES) break;
    descriptors.push(descriptor);
    bytes += descriptor.length;
    last = digest;
  }
  const isMore = last !== undefined && last !== candidates.at(-1);
  const filter = artifactType === "" ? undefined : { artifactType };
  const path = `/v2/${target.repository}/referrers/${subject}`;
  const headers = {
    "Content-Type": OCI_INDEX,
    ...(filter && { "OCI-Filters-Applied": "artifactType" }),
    ...(isMore && { Link: nextLink(path, { ...filter, last: last as string }) }),
  };
  answerBytes(exchange, 200, headers, indexOf(descriptors));
}

function indexOf(descriptors: readonly string[]): string {
  return `{"schemaVersion":2,"mediaType":"${OCI_INDEX}","manifests":[${descriptors.join(",")}]}`;
}

/** Annotations are read from the manifest itself: they may be megabytes, too much for the catalog. */
async function descriptorOf(
  { blobs }: RegistryParts,
  repository: Repository,
  digest: ContentDigest,
): Promise<string | undefined> {
  const record = repository.manifests.get(digest);
  if (record === undefined) return undefined;
  const bytes = await blobs.readAll(record.content, MANIFEST_BYTES_MAX);
  const { annotations } = readManifest(bytes, record.mediaType);
  return JSON.stringify({
    mediaType: record.mediaType,
    digest,
    size: record.sizeBytes,
    ...(record.artifactType !== "" && { artifactType: record.artifactType }),
    ...(annotations !== undefined && { annotations }),
  });
}
