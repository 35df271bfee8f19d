import { type Digest, isNaruError, MiB, NaruError } from "../base/mod.ts";
import { type ClientParts, onEndpoint, pushEndpoint } from "./across.ts";
import { repositoryScope, type Scopes } from "./authenticator.ts";
import { backoffMs, pause } from "./backoff.ts";
import type {
  PushBlobOptions,
  RegistryAccess,
  RegistryBytes,
  RepositoryName,
  SizedDigest,
} from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HttpAnswer } from "./http-transport.ts";
import { targetName } from "./manifests.ts";
import { uploadUrl } from "./session.ts";
import { statusError } from "./status-error.ts";

// One request more is cheap beside so many bytes, and without it a failure would lose them all.
const MONOLITHIC_BYTES_MAX: number = 4 * MiB;
// For registries behind a server that takes no large body (413): below the 20 MB of Azure's and above
// the 5 MiB that S3 wants of a part.
const CHUNK_BYTES: number = 16 * MiB;

export function pushScopes(path: string): Scopes {
  return [repositoryScope(path, "pull,push")];
}

type Open = (startBytes: number) => RegistryBytes;

/** Sends a blob. Throws unauthorized, forbidden, too_large, exhausted, unavailable, damaged. */
export async function pushBlob(
  parts: ClientParts,
  repository: RepositoryName,
  blob: SizedDigest,
  open: Open,
  options: PushBlobOptions,
): Promise<void> {
  const endpoint = await pushEndpoint(parts, repository);
  await new BlobPush(parts, { endpoint, repository, blob, open, options }).run();
}

interface PushRequest {
  readonly endpoint: Endpoint;
  readonly repository: RepositoryName;
  readonly blob: SizedDigest;
  readonly open: Open;
  readonly options: PushBlobOptions;
}

/**
 * One upload, begun again as often as it must be. After a failure the registry is asked how much it
 * has (GET on the upload), and the rest is sent with Content-Range.
 * @see distribution-spec "Pushing a blob in chunks"
 */
class BlobPush {
  readonly #parts: ClientParts;
  readonly #request: PushRequest;
  readonly #what: string;
  #upload: URL | undefined;
  #acceptedBytes = 0;
  /** Bytes of one PATCH; the rest of the blob unless the registry cannot take it. */
  #chunkBytes: number = Number.POSITIVE_INFINITY;

  constructor(parts: ClientParts, request: PushRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#what = `cannot upload ${request.blob.digest}`;
  }

  async run(): Promise<void> {
    const { options } = this.#request;
    const attemptsMax = this.#parts.hosts().attemptsMax;
    for (let failures = 0; ; ) {
      const before = this.#acceptedBytes;
      try {
        await this.#attempt();
        return;
      } catch (error) {
        if (this.#canShrink(error)) continue;
        failures = this.#acceptedBytes > before ? 1 : failures + 1;
        const delayMs = backoffMs(failures, error, this.#parts.random());
        if (delayMs === undefined || failures >= attemptsMax) {
          await this.#abandon();
          throw error;
        }
        this.#parts.logger.debug("an upload was cut and goes on", {
          digest: this.#request.blob.digest,
          error,
        });
        await pause(this.#parts.clock, delayMs, options.access.signal);
      }
    }
  }

  /** 413 for a whole blob: once more in pieces. */
  #canShrink(error: unknown): boolean {
    const whole = this.#chunkBytes === Number.POSITIVE_INFINITY;
    if (!whole || !isNaruError(error, "too_large") || this.#request.blob.size <= CHUNK_BYTES) {
      return false;
    }
    this.#chunkBytes = CHUNK_BYTES;
    return true;
  }

  async #attempt(): Promise<void> {
    const { size } = this.#request.blob;
    const resumed = this.#upload !== undefined && (await this.#findPosition());
    if (!resumed) await this.#begin();
    if (size <= MONOLITHIC_BYTES_MAX && this.#acceptedBytes === 0) return this.#finish(size);
    while (this.#acceptedBytes < size) await this.#sendChunk();
    await this.#finish(0);
  }

  async #begin(): Promise<void> {
    const { endpoint, repository } = this.#request;
    const answer = await this.#parts.session.send(endpoint, {
      ...this.#common("POST"),
      path: `/${repository.path}/blobs/uploads/`,
      body: EMPTY,
    });
    if (answer.status !== 202) throw await this.#failure(answer);
    const chunkMin = Number(answer.headers["oci-chunk-min-length"] ?? 0);
    if (Number.isSafeInteger(chunkMin)) this.#chunkBytes = Math.max(this.#chunkBytes, chunkMin);
    this.#moveTo(answer);
    this.#accepted(0);
  }

  /** False when the registry knows the upload no more. */
  async #findPosition(): Promise<boolean> {
    const { endpoint } = this.#request;
    const answer = await this.#parts.session.sendTo(
      endpoint,
      this.#upload as URL,
      this.#common("GET"),
    );
    if (answer.status !== 204 && answer.status !== 202) {
      answer.body.destroy();
      this.#upload = undefined;
      return false;
    }
    this.#moveTo(answer);
    this.#accepted(rangeEnd(answer));
    return true;
  }

  /** One PATCH: all that is left, or a piece of it. */
  async #sendChunk(): Promise<void> {
    const { endpoint, blob, open } = this.#request;
    const start = this.#acceptedBytes;
    const sizeBytes = Math.min(blob.size - start, this.#chunkBytes);
    const plain = start === 0 && sizeBytes === blob.size; // as docker does; some know no other way
    const answer = await this.#parts.session.sendTo(endpoint, this.#upload as URL, {
      ...this.#common("PATCH"),
      headers: {
        "content-type": "application/octet-stream",
        ...(plain ? {} : { "content-range": `${start}-${start + sizeBytes - 1}` }),
      },
      body: { sizeBytes, open: () => this.#counted(bounded(open(start), sizeBytes), start) },
    });
    if (answer.status === 416) {
      answer.body.destroy();
      this.#upload = undefined; // begin anew
      throw new NaruError("unavailable", `${this.#what}: the registry has other bytes than sent`);
    }
    if (answer.status !== 202 && answer.status !== 204) throw await this.#failure(answer);
    this.#moveTo(answer);
    const end = answer.headers["range"] === undefined ? start + sizeBytes : rangeEnd(answer);
    if (end <= start) {
      throw new NaruError("unavailable", `${this.#what}: the registry accepted no bytes`);
    }
    this.#accepted(Math.min(end, blob.size));
  }

  /** The closing PUT, with the whole of a small blob. */
  async #finish(sizeBytes: number): Promise<void> {
    const { endpoint, blob, open } = this.#request;
    const url = new URL(this.#upload as URL);
    url.searchParams.set("digest", blob.digest);
    const body = { sizeBytes, open: () => this.#counted(open(0), 0) };
    const answer = await this.#parts.session.sendTo(endpoint, url, {
      ...this.#common("PUT"),
      headers: { "content-type": "application/octet-stream" },
      body: sizeBytes === 0 ? EMPTY : body,
    });
    if (answer.status !== 201 && answer.status !== 204) throw await this.#failure(answer);
    answer.body.resume();
    this.#request.options.onProgress?.(blob.size);
  }

  /** Frees what the registry holds of an upload that is given up. */
  async #abandon(): Promise<void> {
    const url = this.#upload;
    if (url === undefined || this.#request.options.access.signal.aborted) return;
    await cancelUpload(this.#parts, this.#request.endpoint, url, {
      path: this.#request.repository.path,
      access: this.#request.options.access,
    });
  }

  #moveTo(answer: HttpAnswer): void {
    const { endpoint } = this.#request;
    answer.body.resume();
    if (answer.headers.location === undefined && this.#upload !== undefined) return;
    this.#upload = uploadUrl(endpoint, answer.url, answer.headers.location);
  }

  #accepted(bytes: number): void {
    this.#acceptedBytes = bytes;
    this.#request.options.onProgress?.(bytes);
  }

  async *#counted(source: RegistryBytes, start: number): RegistryBytes {
    let sent = start;
    for await (const chunk of source) {
      yield chunk;
      sent += chunk.length;
      this.#request.options.onProgress?.(sent);
    }
  }

  #common(method: string): {
    method: string;
    scopes: Scopes;
    access: RegistryAccess;
    what: string;
  } {
    const { repository, options } = this.#request;
    return {
      method,
      scopes: pushScopes(repository.path),
      access: options.access,
      what: this.#what,
    };
  }

  async #failure(answer: HttpAnswer): Promise<NaruError> {
    const { repository, options } = this.#request;
    const reading = this.#parts.session.reading(options.access);
    return pushError(await statusError(answer, this.#what, reading), repository);
  }
}

const EMPTY = { sizeBytes: 0, open: noBytes };

async function* noBytes(): RegistryBytes {
  // nothing
}

/** The first `sizeBytes` of a stream. */
async function* bounded(source: RegistryBytes, sizeBytes: number): RegistryBytes {
  let left = sizeBytes;
  for await (const chunk of source) {
    yield chunk.length <= left ? chunk : chunk.subarray(0, left);
    left -= Math.min(left, chunk.length);
    if (left === 0) return;
  }
}

/** `0-99` means 100 bytes; registries say `0-0` for none, and for one. */
function rangeEnd(answer: HttpAnswer): number {
  const match = /^(?:bytes=)?0-(\d{1,15})$/.exec(answer.headers["range"] ?? "");
  const last = Number(match?.[1] ?? 0);
  return last === 0 ? 0 : last + 1;
}

/** Docker's words for what a push is refused with. */
export function pushError(error: NaruError, repository: RepositoryName): NaruError {
  const { kind, details } = error;
  if (kind !== "unauthorized" && kind !== "forbidden") return error;
  if (details["status"] === undefined) return error;
  const name = targetName(repository, "x").replace(/:x$/, "");
  const message = `push access denied for ${name}, repository does not exist or may require 'docker login': ${error.message}`;
  return new NaruError(kind, message, details, { cause: error });
}

export async function hasBlob(
  parts: ClientParts,
  repository: RepositoryName,
  digest: Digest,
  access: RegistryAccess,
): Promise<boolean> {
  const endpoint = await pushEndpoint(parts, repository);
  const what = `cannot look for ${digest}`;
  return onEndpoint(parts, endpoint, access, true, async () => {
    const answer = await parts.session.send(endpoint, {
      method: "HEAD",
      path: `/${repository.path}/blobs/${digest}`,
      scopes: pushScopes(repository.path),
      access,
      what,
    });
    answer.body.resume();
    if (answer.status === 200) return true;
    if (answer.status === 404) return false;
    const error = await statusError(answer, what, parts.session.reading(access));
    throw pushError(error, repository);
  });
}

/** Asks the registry to take the blob from another of its repositories. @see end-11 */
export async function mountBlob(
  parts: ClientParts,
  repository: RepositoryName,
  digest: Digest,
  from: RepositoryName,
  access: RegistryAccess,
): Promise<boolean> {
  if (repository.domain !== from.domain || repository.path === from.path) return false;
  const endpoint = await pushEndpoint(parts, repository);
  await pushEndpoint(parts, from); // checks the name
  const { path } = repository;
  const query = new URLSearchParams({ mount: digest, from: from.path });
  return onEndpoint(parts, endpoint, access, true, async () => {
    const answer = await parts.session.send(endpoint, {
      method: "POST",
      path: `/${path}/blobs/uploads/?${query.toString()}`,
      scopes: [...pushScopes(path), repositoryScope(from.path, "pull")],
      access,
      body: EMPTY,
      what: `cannot mount ${digest}`,
    });
    answer.body.resume();
    if (answer.status === 201) return true;
    if (answer.status === 202 && answer.headers.location !== undefined) {
      const url = uploadUrl(endpoint, answer.url, answer.headers.location);
      await cancelUpload(parts, endpoint, url, { path, access });
    }
    return false; // also when it may not be read from there: the push itself will say what is wrong
  });
}

async function cancelUpload(
  parts: ClientParts,
  endpoint: Endpoint,
  url: URL,
  { path, access }: { path: string; access: RegistryAccess },
): Promise<void> {
  try {
    const answer = await parts.session.sendTo(endpoint, url, {
      method: "DELETE",
      scopes: pushScopes(path),
      access,
      what: "cannot cancel an upload",
    });
    answer.body.resume();
  } catch (error) {
    parts.logger.debug("cannot cancel an upload, the registry will", { error });
  }
}
