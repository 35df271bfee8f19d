import { writeDrained } from "../transport/mod.ts";
import { answerEmpty, type Exchange, type RegistryParts } from "./exchange.ts";
import { type ContentDigest, parseContentDigest } from "./names.ts";
import { refusal } from "./refusal.ts";
import type { OpenedBlob } from "./upstream.ts";

/** GET and HEAD of a blob, whole or one range. @see distribution-spec end-2 */
export async function getBlob(
  parts: RegistryParts,
  exchange: Exchange,
  target: { readonly repository: string; readonly digest: string },
): Promise<void> {
  const { request, response } = exchange;
  const digest = parseContentDigest(target.digest);
  const fetch = request.method !== "HEAD"; // who asks for the size shall not cost a download
  const blob = await openBlob(parts, target.repository, digest, fetch);
  if (blob === undefined) throw refusal("BLOB_UNKNOWN", `there is no blob ${digest} here`);
  const headers = {
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": digest,
    "Accept-Ranges": "bytes",
    ETag: `"${digest}"`,
    "Cache-Control": "max-age=31536000", // a digest names these bytes for ever
  };
  if (matches(request.headers["if-none-match"], digest)) {
    response.writeHead(304, { ETag: headers.ETag });
    response.end();
    return;
  }
  const range = rangeOf(exchange, blob.sizeBytes, digest);
  if (range === "unsatisfiable") {
    const message = `the blob has ${blob.sizeBytes} bytes`;
    response.setHeader("Content-Range", `bytes */${blob.sizeBytes}`);
    throw refusal("SIZE_INVALID", message, 416);
  }
  const { start, end } = range ?? { start: 0, end: blob.sizeBytes };
  const isPart = range !== undefined;
  response.writeHead(isPart ? 206 : 200, {
    ...headers,
    "Content-Length": end - start,
    ...(isPart && { "Content-Range": `bytes ${start}-${end - 1}/${blob.sizeBytes}` }),
  });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  for await (const chunk of blob.read({ start, end })) {
    await writeDrained(response, chunk);
    parts.metrics.sent(chunk.byteLength);
  }
  response.end();
  parts.events.emit({
    ...{ action: "pull", target: "blob", repository: target.repository, digest, tag: "" },
    ...{
      mediaType: "",
      sizeBytes: end - start,
      user: exchange.identity.user,
      address: exchange.identity.address,
    },
  });
}

async function openBlob(
  { catalog, blobs, upstream }: RegistryParts,
  repository: string,
  digest: ContentDigest,
  fetch: boolean,
): Promise<OpenedBlob | undefined> {
  const link = catalog.seeBlob(repository, digest);
  if (link === undefined) return await upstream?.openBlob(repository, digest, { fetch });
  return { sizeBytes: link.sizeBytes, read: (range) => blobs.read(link.content, range) };
}

function matches(header: string | undefined, digest: string): boolean {
  return header !== undefined && header.includes(`"${digest}"`);
}

type ByteRange = { readonly start: number; readonly end: number };

/** The one range that is asked for; undefined: the whole. Several ranges may be answered so too (RFC 9110). */
function rangeOf(
  { request }: Exchange,
  sizeBytes: number,
  digest: string,
): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec((request.headers.range ?? "").replaceAll(" ", ""));
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const condition = request.headers["if-range"];
  if (typeof condition === "string" && condition !== `"${digest}"`) return undefined;
  if (match[1] === "") {
    const start = Math.max(0, sizeBytes - Number(match[2]));
    return start >= sizeBytes ? "unsatisfiable" : { start, end: sizeBytes };
  }
  const start = Number(match[1]);
  const last = match[2] === "" ? sizeBytes - 1 : Math.min(Number(match[2]), sizeBytes - 1);
  if (match[2] !== "" && Number(match[2]) < start) return undefined; // not a range at all
  return start >= sizeBytes ? "unsatisfiable" : { start, end: last + 1 };
}

/** Takes a blob out of a repository; the file goes later. @see distribution-spec end-10 */
export async function deleteBlob(
  parts: RegistryParts,
  { response, identity }: Exchange,
  target: { readonly repository: string; readonly digest: string },
): Promise<void> {
  const digest = parseContentDigest(target.digest);
  const link = parts.catalog.find(target.repository)?.blobs.get(digest);
  if (link === undefined || !(await parts.catalog.unlinkBlob(target.repository, digest))) {
    throw refusal("BLOB_UNKNOWN", `there is no blob ${digest} here`);
  }
  answerEmpty(response, 202);
  parts.events.emit({
    ...{ action: "delete", target: "blob", repository: target.repository, digest, tag: "" },
    ...{ mediaType: "", sizeBytes: link.sizeBytes, user: identity.user, address: identity.address },
  });
}
