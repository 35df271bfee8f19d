import type { ByteStream } from "../storage/mod.ts";
import { bodyAtRate, exactly } from "./body.ts";
import { answerEmpty, type Exchange, type RegistryParts } from "./exchange.ts";
import {
  type ContentDigest,
  isContentDigest,
  parseContentDigest,
  parseRepositoryName,
} from "./names.ts";
import { refusal } from "./refusal.ts";
import type { Upload, UploadWork } from "./uploads.ts";

/**
 * Begins an upload, or does all of it: `?digest=` with the body (end-4b), `?mount=` of a blob that is
 * here already (end-11). @see distribution-spec end-4a
 */
export async function postUpload(
  parts: RegistryParts,
  exchange: Exchange,
  { repository }: { readonly repository: string },
): Promise<void> {
  const { query, response } = exchange;
  const mount = query.get("mount");
  if (mount !== null && (await mountBlob(parts, exchange, { repository, mount }))) return;
  const digestText = query.get("digest");
  const digest = digestText === null ? undefined : parseContentDigest(digestText);
  checkAlgorithm(query.get("digest-algorithm"));
  const upload = await parts.uploads.begin(repository);
  if (digest === undefined) {
    answerEmpty(response, 202, uploadHeaders(upload));
    return;
  }
  try {
    await parts.uploads.take(upload, async (work) => {
      await work.receive(bodyAtRate(exchange.request, parts), room(parts, repository));
      await finish(parts, exchange, { repository, digest, work });
    });
  } catch (error) {
    await parts.uploads.cancel(upload).catch(() => undefined); // nobody knows its address
    throw error;
  }
}

function checkAlgorithm(algorithm: string | null): void {
  if (algorithm === null || algorithm === "sha256" || algorithm === "sha512") return;
  throw refusal("DIGEST_INVALID", "digests are sha256 or sha512 here");
}

/** False when there is no such blob for this client: then it uploads. */
async function mountBlob(
  parts: RegistryParts,
  { query, response, identity }: Exchange,
  { repository, mount }: { repository: string; mount: string },
): Promise<boolean> {
  if (!isContentDigest(mount)) throw refusal("DIGEST_INVALID", "mount= is not a digest");
  const from = query.get("from");
  const source = from === null ? undefined : parseRepositoryName(from);
  const link = findReadable(parts, mount, source, (name) => parts.access.mayRead(identity, name));
  if (link === undefined) return false;
  parts.catalog.lease(link.content);
  if (parts.catalog.seeBlob(repository, mount) === undefined) {
    if (link.sizeBytes > room(parts, repository)) throw outOfRoom();
    await parts.catalog.linkBlob(repository, mount, link);
  }
  answerEmpty(response, 201, blobHeaders(repository, mount));
  parts.events.emit({
    ...{ action: "mount", target: "blob", repository, digest: mount, tag: "" },
    ...{ mediaType: "", sizeBytes: link.sizeBytes, user: identity.user, address: identity.address },
  });
  return true;
}

function findReadable(
  { catalog }: RegistryParts,
  digest: ContentDigest,
  source: string | undefined,
  mayRead: (name: string) => boolean,
): ReturnType<RegistryParts["catalog"]["seeBlob"]> {
  if (source !== undefined) {
    return mayRead(source) ? catalog.find(source)?.blobs.get(digest) : undefined;
  }
  for (const { name, blobs } of catalog.all()) {
    const link = blobs.get(digest);
    if (link !== undefined && mayRead(name)) return link;
  }
  return undefined;
}

type UploadTarget = { readonly repository: string; readonly id: string };

/** The next bytes: a chunk with Content-Range, or a stream. @see distribution-spec end-5 */
export async function patchUpload(
  parts: RegistryParts,
  exchange: Exchange,
  { repository, id }: UploadTarget,
): Promise<void> {
  const upload = parts.uploads.find(repository, id);
  await parts.uploads.take(upload, async (work) => {
    const source = chunkOf(parts, exchange, { upload, work });
    await work.receive(source, room(parts, repository));
    answerEmpty(exchange.response, 202, uploadHeaders(upload));
  });
}

/** Ends an upload, with its last bytes or without. @see distribution-spec end-6 */
export async function putUpload(
  parts: RegistryParts,
  exchange: Exchange,
  { repository, id }: UploadTarget,
): Promise<void> {
  const upload = parts.uploads.find(repository, id);
  const digest = parseContentDigest(exchange.query.get("digest") ?? "");
  await parts.uploads.take(upload, async (work) => {
    const source = chunkOf(parts, exchange, { upload, work });
    await work.receive(source, room(parts, repository));
    await finish(parts, exchange, { repository, digest, work });
  });
}

/** How far an upload is. @see distribution-spec end-13 */
export async function getUpload(
  parts: RegistryParts,
  { response }: Exchange,
  { repository, id }: UploadTarget,
): Promise<void> {
  const upload = parts.uploads.find(repository, id);
  // A body that is still being received is of a connection that its client has given up.
  await parts.uploads.take(upload, () => Promise.resolve());
  answerEmpty(response, 204, uploadHeaders(upload));
}

/** Gives an upload up. @see distribution-spec end-14 */
export async function deleteUpload(
  parts: RegistryParts,
  { response }: Exchange,
  { repository, id }: UploadTarget,
): Promise<void> {
  await parts.uploads.cancel(parts.uploads.find(repository, id));
  answerEmpty(response, 204);
}

/** The body of a chunk. Throws 416 when it does not begin where the upload ends. */
function chunkOf(
  parts: RegistryParts,
  { request, response }: Exchange,
  { upload, work }: { readonly upload: Upload; readonly work: UploadWork },
): ByteStream {
  const body = bodyAtRate(request, parts);
  const header = request.headers["content-range"];
  // A closing PUT without a body may repeat the range of the chunk before it.
  const isEmpty = request.method === "PUT" && request.headers["content-length"] === "0";
  if (header === undefined || isEmpty) return body;
  const match = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/.*)?$/.exec(header);
  if (match === null) throw refusal("BLOB_UPLOAD_INVALID", "Content-Range is not START-END");
  const start = Number(match[1]);
  const sizeBytes = Number(match[2]) - start + 1;
  if (start !== work.sizeBytes) {
    for (const [name, value] of Object.entries(uploadHeaders(upload))) {
      response.setHeader(name, value);
    }
    const message = `the upload has ${work.sizeBytes} bytes, and the chunk begins at ${start}`;
    throw refusal("BLOB_UPLOAD_INVALID", message, 416);
  }
  const length = request.headers["content-length"];
  if (sizeBytes < 0 || (length !== undefined && Number(length) !== sizeBytes)) {
    throw refusal("SIZE_INVALID", "Content-Length is not the length of Content-Range");
  }
  return exactly(body, sizeBytes);
}

async function finish(
  parts: RegistryParts,
  { response, identity }: Exchange,
  upload: {
    readonly repository: string;
    readonly digest: ContentDigest;
    readonly work: UploadWork;
  },
): Promise<void> {
  const { repository, digest, work } = upload;
  const link = await work.commit(digest, (content) => parts.catalog.lease(content));
  await parts.catalog.linkBlob(repository, digest, link);
  answerEmpty(response, 201, blobHeaders(repository, digest));
  parts.events.emit({
    ...{ action: "push", target: "blob", repository, digest, tag: "" },
    ...{ mediaType: "", sizeBytes: link.sizeBytes, user: identity.user, address: identity.address },
  });
}

/** Bytes that the repository may still take. */
function room({ rules, catalog }: RegistryParts, repository: string): number {
  return rules.quotaBytes(repository) - (catalog.find(repository)?.sizeBytes ?? 0);
}

function outOfRoom(): Error {
  return refusal("DENIED", "the repository has no room for this blob: its quota is used up");
}

function blobHeaders(repository: string, digest: ContentDigest): Record<string, string> {
  return {
    Location: `/v2/${repository}/blobs/${digest}`,
    "Docker-Content-Digest": digest,
  };
}

/** `Range` of nothing is `0-0`, as Docker's registry says it: there is no form for it. */
function uploadHeaders({ repository, id, sizeBytes }: Upload): Record<string, string> {
  return {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    Range: `0-${Math.max(0, sizeBytes - 1)}`,
    "Docker-Upload-UUID": id,
  };
}
