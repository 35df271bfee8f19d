import { isNaruError, NaruError } from "../base/mod.ts";
import { type ClientParts, endpointsFor } from "./across.ts";
import { readBytes } from "./answer-body.ts";
import { repositoryScope } from "./authenticator.ts";
import { backoffMs, pause } from "./backoff.ts";
import type { BlobOptions, RegistryBytes, RepositoryName, SizedDigest } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import { parseContentRange } from "./header-text.ts";
import type { HttpAnswer } from "./http-transport.ts";
import { readError } from "./manifests.ts";
import { statusError } from "./status-error.ts";

// An answer of less is no progress: a server that sends a byte and hangs up must not hold us for ever.
const PROGRESS_BYTES = 1024;

interface BlobRequest {
  readonly repository: RepositoryName;
  readonly blob: SizedDigest;
  readonly options: BlobOptions;
}

/**
 * The bytes of a blob from here to there. After a failure it goes on where it was, on the same or the
 * next endpoint: whose bytes they are does not matter, the digest of the whole is checked later. Gives up
 * after as many failures in a row without progress as a request is tried.
 */
export async function* readBlob(
  parts: ClientParts,
  repository: RepositoryName,
  blob: SizedDigest,
  options: BlobOptions,
): RegistryBytes {
  const request: BlobRequest = { repository, blob, options };
  const end = Math.min(options.endBytes ?? blob.size, blob.size);
  let offset = options.startBytes ?? 0;
  if (offset >= end) return;
  let endpoints = await endpointsFor(parts, repository, "pull", blob.digest);
  const attemptsMax = parts.hosts().attemptsMax;
  let failures = 0;
  while (offset < end) {
    const [endpoint, ...others] = endpoints;
    if (endpoint === undefined) throw new NaruError("internal", "no endpoint is left");
    const began = offset;
    try {
      for await (const chunk of readOnce(parts, endpoint, request, { offset, end })) {
        offset += chunk.length;
        yield chunk;
      }
      parts.health.worked(endpoint);
    } catch (error) {
      if (isNaruError(error, "cancelled")) throw error;
      failures = offset - began >= PROGRESS_BYTES ? 1 : failures + 1;
      if (isNaruError(error, "unavailable")) parts.health.failed(endpoint);
      const { signal } = options.access;
      const fact = { endpoint: endpoint.origin, digest: blob.digest, offset, error };
      if (endpoint.mirrorOf !== undefined && others.length > 0) {
        parts.logger.warn("a mirror failed, asking the next", fact);
        endpoints = others;
        continue;
      }
      const delayMs = backoffMs(failures, error, parts.random());
      if (delayMs === undefined || failures >= attemptsMax) throw error;
      parts.logger.debug("a download was cut and goes on", fact);
      await pause(parts.clock, delayMs, signal);
    }
  }
}

/** One answer's worth of bytes. Throws unavailable when it ends before `end`. */
async function* readOnce(
  parts: ClientParts,
  endpoint: Endpoint,
  request: BlobRequest,
  span: { offset: number; end: number },
): RegistryBytes {
  const { repository, blob, options } = request;
  const whole = span.offset === 0 && span.end === blob.size;
  const what = `cannot download ${blob.digest}`;
  const answer = await parts.session.send(endpoint, {
    method: "GET",
    path: `/${repository.path}/blobs/${blob.digest}`,
    // No If-Range: the digest names these bytes and no others, which is stronger than any ETag.
    headers: whole ? {} : { range: `bytes=${span.offset}-${span.end - 1}` },
    scopes: [repositoryScope(repository.path, "pull")],
    access: options.access,
    what,
  });
  if (answer.status !== 200 && answer.status !== 206) {
    throw readError(
      await statusError(answer, what, parts.session.reading(options.access)),
      repository,
    );
  }
  parts.health.served(endpoint, blob.digest);
  let position = startOf(answer, blob, span.offset);
  for await (const chunk of readBytes(answer, parts.session.reading(options.access))) {
    const from = Math.max(0, span.offset - position);
    const to = Math.min(chunk.length, span.end - position);
    position += chunk.length;
    // A server that ignores Range sends the beginning again: it is read over.
    if (to > from) yield from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to);
    if (position > span.end) return; // whatever else it sends was not asked for
    // With a length the end is at hand, and after it the connection serves again.
    if (position === span.end && answer.headers["content-length"] === undefined) return;
  }
  if (position >= span.end) return;
  const host = answer.url.host;
  throw new NaruError("unavailable", `${what}: ${host} sent ${position} of ${span.end} bytes`, {
    host,
  });
}

/** Where the body begins. Throws damaged when the answer is about other bytes than were asked for. */
function startOf(answer: HttpAnswer, blob: SizedDigest, offset: number): number {
  const { host } = answer.url;
  const wrong = (why: string): NaruError => {
    answer.body.destroy();
    return new NaruError("damaged", `cannot download ${blob.digest}: ${host} ${why}`, { host });
  };
  if (answer.status === 206) {
    const range = parseContentRange(answer.headers["content-range"]);
    if (range?.first !== offset) throw wrong("sent another range than was asked for");
    if (range.sizeBytes !== undefined && range.sizeBytes !== blob.size) {
      throw wrong(`says that it has ${range.sizeBytes} bytes, not ${blob.size}`);
    }
    return offset;
  }
  const announced = answer.headers["content-length"];
  if (announced !== undefined && Number(announced) !== blob.size) {
    throw wrong(`says that it has ${announced.slice(0, 20)} bytes, not ${blob.size}`);
  }
  return 0;
}
