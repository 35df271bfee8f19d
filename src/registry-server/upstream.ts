import {
  type Clock,
  type Digest,
  errorCode,
  isDigest,
  isNaruError,
  SECOND_MS,
} from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { RegistryAccess, RegistryClient, RepositoryName } from "../registry-client/mod.ts";
import type { Descriptor } from "../spec/mod.ts";
import type { BlobStore, ByteStream, ResumableWriter } from "../storage/mod.ts";
import type { Catalog } from "./catalog.ts";
import { TAGS_MAX } from "./limits.ts";
import { readManifest } from "./manifest-document.ts";
import type { ContentDigest } from "./names.ts";
import type { ManifestRecord } from "./records.ts";
import { refusal } from "./refusal.ts";

/** A tag that was asked for upstream so lately is not asked for again. */
const FRESH_MS: number = 30 * SECOND_MS;
/** Blobs being fetched at a time. */
const FETCHING_MAX = 64;
const FRESH_MAX = 100_000; // tags that are remembered as fresh

export interface UpstreamOptions {
  readonly client: RegistryClient;
  /** As in names of images: `docker.io`, `ghcr.io`, `host:5000`. */
  readonly domain: string;
  readonly access: RegistryAccess;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A blob that is here, or that is on its way. */
export interface OpenedBlob {
  readonly sizeBytes: number;
  read(range: { readonly start: number; readonly end: number }): ByteStream;
}

interface Fetching {
  readonly sizeBytes: number;
  readonly writer: ResumableWriter;
  /** Repositories that upstream has it in. */
  readonly names: Set<string>;
}

/**
 * The registry that this one stands in front of. What is asked for and not here is fetched, kept and
 * passed on while it comes; several clients share one download, and a broken one is gone on with. A tag
 * is asked for upstream again after FRESH_MS; when upstream does not answer, what is here counts.
 */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #fetching: Map<Digest, Promise<Fetching | undefined>> = new Map();
  /** When a tag was last compared with upstream, by `name:tag`. */
  readonly #freshMs: Map<string, number> = new Map();

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  get domain(): string {
    return this.#options.domain;
  }

  #at(path: string): RepositoryName {
    return { domain: this.#options.domain, path };
  }

  /** Brings a manifest here, or up to date. Leaves everything as it is when upstream has none. */
  async bringManifest(name: string, reference: string): Promise<void> {
    const { catalog, client, access, clock, logger } = this.#options;
    const found = catalog.find(name)?.find(reference);
    const isTag = !reference.includes(":");
    if (found !== undefined && (!isTag || this.#isFresh(name, reference))) return;
    if (!isTag && !isDigest(reference)) return;
    try {
      const head = found && (await client.head(this.#at(name), reference, access));
      if (found === undefined || (head !== undefined && (head.digest as string) !== found.digest)) {
        await this.#fetchManifest(name, reference, isTag);
      } else if (head === undefined) await catalog.removeTag(name, reference);
      if (isTag) this.#setFresh(name, reference, clock.nowMs());
    } catch (error) {
      if (isNaruError(error, "not_found")) {
        if (found !== undefined && isTag) await catalog.removeTag(name, reference);
        return;
      }
      if (found === undefined) throw error;
      logger.warn("upstream does not answer: what is here counts", { name, reference, error });
    }
  }

  #isFresh(name: string, tag: string): boolean {
    const atMs = this.#freshMs.get(`${name}:${tag}`) ?? Number.NEGATIVE_INFINITY;
    return this.#options.clock.nowMs() - atMs < FRESH_MS;
  }

  #setFresh(name: string, tag: string, nowMs: number): void {
    if (this.#freshMs.size >= FRESH_MAX) this.#freshMs.clear();
    this.#freshMs.set(`${name}:${tag}`, nowMs);
  }

  async #fetchManifest(name: string, reference: string, isTag: boolean): Promise<void> {
    const { catalog, client, access, blobs, clock } = this.#options;
    const { bytes, mediaType, digest } = await client.manifest(this.#at(name), reference, access);
    const document = readManifest(bytes, mediaType);
    const writer = await blobs.create({ beforeVisible: (content) => catalog.lease(content) });
    try {
      await writer.write(bytes);
      await writer.commit();
    } finally {
      await writer.abort();
    }
    const record: ManifestRecord = {
      ...{ content: digest, mediaType: document.mediaType, sizeBytes: bytes.length },
      ...{ artifactType: document.artifactType, subject: document.subject ?? "" },
      ...{ blobs: document.blobs, manifests: document.manifests, pushedMs: clock.nowMs() },
    };
    const manifest = { digest: digest as string as ContentDigest, record };
    await catalog.putManifest(name, manifest, isTag ? [reference] : [], () => undefined);
  }

  /** Undefined when upstream has no such blob in this repository. Without `fetch` its size alone is asked. */
  async openBlob(
    name: string,
    digest: ContentDigest,
    { fetch }: { readonly fetch: boolean },
  ): Promise<OpenedBlob | undefined> {
    if (!isDigest(digest)) return undefined; // the client side speaks sha256
    const known = (await this.#fetching.get(digest))?.names.has(name) === true;
    // What another repository has is nothing to this one until upstream says so.
    const sizeBytes = known ? undefined : await this.#sizeOf(name, digest);
    if (!known && sizeBytes === undefined) return undefined;
    if (!fetch && sizeBytes !== undefined) return { sizeBytes, read: () => nothing() };
    const fetching = await (this.#fetching.get(digest) ?? this.#begin(name, digest, sizeBytes));
    if (fetching !== undefined) {
      fetching.names.add(name);
      const { writer } = fetching;
      const whole = followed(writer, () => this.#options.blobs.read(digest));
      const read: OpenedBlob["read"] = ({ start, end }) => partOf(whole, start, end);
      return { sizeBytes: fetching.sizeBytes, read };
    }
    const link = this.#options.catalog.seeBlob(name, digest as string as ContentDigest);
    if (link === undefined) return undefined;
    const { blobs } = this.#options;
    return { sizeBytes: link.sizeBytes, read: (range) => blobs.read(link.content, range) };
  }

  /** One beginning at a time for a digest. Undefined when nothing need be fetched: it is linked then. */
  #begin(
    name: string,
    digest: Digest,
    sizeBytes: number | undefined,
  ): Promise<Fetching | undefined> {
    if (sizeBytes === undefined) return Promise.resolve(undefined); // its download ended just now
    if (this.#fetching.size >= FETCHING_MAX) {
      const message = `${FETCHING_MAX} blobs are being fetched: try again later`;
      return Promise.reject(refusal("TOOMANYREQUESTS", message));
    }
    const begun = this.#open(name, digest, sizeBytes);
    this.#fetching.set(digest, begun);
    const forget = (): boolean => this.#fetching.delete(digest);
    begun.then((fetching) => fetching === undefined && forget(), forget);
    return begun;
  }

  async #open(name: string, digest: Digest, sizeBytes: number): Promise<Fetching | undefined> {
    const { blobs, catalog } = this.#options;
    catalog.lease(digest);
    if ((await blobs.stat(digest))?.sizeBytes === sizeBytes) {
      await this.#link(name, digest, sizeBytes);
      return undefined;
    }
    const beforeVisible = (content: Digest): void => catalog.lease(content);
    const writer = await blobs.resume(digest, { sizeBytes, beforeVisible });
    const fetching: Fetching = { sizeBytes, writer, names: new Set([name]) };
    void this.#fetch(name, digest, fetching);
    return fetching;
  }

  async #sizeOf(name: string, digest: Digest): Promise<number | undefined> {
    const { client, access } = this.#options;
    const options = { access, scope: "pull" } as const;
    const answer = await client.request(this.#at(name), "HEAD", `blobs/${digest}`, options);
    await answer.body?.cancel();
    if (answer.status === 404) return undefined;
    const size = Number(answer.headers.get("content-length") ?? Number.NaN);
    if (answer.ok && Number.isSafeInteger(size)) return size;
    throw refusal("DENIED", `upstream answered ${answer.status} for ${digest}`, 502);
  }

  #link(name: string, digest: Digest, sizeBytes: number): Promise<void> {
    const link = { content: digest, sizeBytes };
    return this.#options.catalog.linkBlob(name, digest as string as ContentDigest, link);
  }

  /** Never throws: followers of the writer see that it was left. */
  async #fetch(name: string, digest: Digest, fetching: Fetching): Promise<void> {
    const { client, access, logger } = this.#options;
    const { writer, sizeBytes, names } = fetching;
    try {
      if (writer.startBytes < sizeBytes) {
        const blob = { digest, size: sizeBytes };
        const options = { access, startBytes: writer.startBytes };
        for await (const chunk of client.blob(this.#at(name), blob, options)) {
          await writer.write(chunk);
        }
      }
      await writer.commit();
      await Promise.all([...names].map((one) => this.#link(one, digest, sizeBytes)));
    } catch (error) {
      if (isNaruError(error, "invalid_argument")) client.damaged(digest);
      logger.warn("a blob was not fetched", { name, digest, error });
      await writer.keep();
    } finally {
      this.#fetching.delete(digest);
    }
  }

  /** Tags as upstream lists them. */
  async tags(name: string): Promise<readonly string[]> {
    const { client, access } = this.#options;
    const tags: string[] = [];
    for await (const tag of client.tags(this.#at(name), access)) {
      if (tags.length >= TAGS_MAX) break;
      tags.push(tag);
    }
    return tags.toSorted();
  }

  async referrers(
    name: string,
    digest: string,
    artifactType: string,
  ): Promise<readonly Descriptor[]> {
    const { client, access } = this.#options;
    if (!isDigest(digest)) return [];
    const options = artifactType === "" ? { access } : { access, artifactType };
    return await client.referrers(this.#at(name), digest, options);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

/** What the writer gets, or the blob when its file got its last name before it could be opened. */
async function* followed(
  writer: ResumableWriter,
  instead: () => ByteStream,
): AsyncGenerator<Uint8Array, void, undefined> {
  let begun = false;
  try {
    for await (const chunk of writer.follow()) {
      begun = true;
      yield chunk;
    }
    return;
  } catch (error) {
    if (begun || errorCode(error) !== "ENOENT") throw error;
  }
  yield* instead();
}

/** The bytes from `start` to `end` of a stream that begins at 0. */
async function* partOf(
  source: ByteStream,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let offset = 0;
  for await (const chunk of source) {
    const part = chunk.subarray(Math.max(0, start - offset), Math.max(0, end - offset));
    offset += chunk.byteLength;
    if (part.byteLength > 0) yield part;
    if (offset >= end) return;
  }
}
