import { type Clock, type Digest, isNaruError, NaruError, Semaphore } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import {
  familiarName,
  formatFamiliar,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
  withTag,
} from "../oci/mod.ts";
import type { RegistryAccess, RegistryClient } from "../registry-client/mod.ts";
import type { BlobStore, LayerStore } from "../storage/mod.ts";
import type { ImagePullOptions, ImagePushOptions } from "./contract.ts";
import type { ImageTable } from "./image-table.ts";
import type { KeptDigests } from "./kept-digests.ts";
import type { LeaseGroup } from "./leases.ts";
import type { Emit } from "./progress.ts";
import { BlobDownloads } from "./pull/blob-downloads.ts";
import { pullImage } from "./pull/pull-image.ts";
import { pushImage } from "./push/push-image.ts";

export interface TravelOptions {
  readonly client: RegistryClient;
  readonly table: ImageTable;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly kept: KeptDigests;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly downloadsMax: () => number;
  readonly uploadsMax: () => number;
}

/** An image that came or went, for the events. */
export interface Travelled {
  readonly id: Digest;
  readonly reference: Reference;
}

/** Pulls and pushes of all clients: they share downloads and the number of connections. */
export class ImageTravel {
  readonly #options: TravelOptions;
  readonly #downloads: BlobDownloads;
  readonly #uploads: Semaphore;

  constructor(options: TravelOptions) {
    this.#options = options;
    const { blobs, logger, downloadsMax, uploadsMax } = options;
    this.#downloads = new BlobDownloads({ blobs, logger, concurrent: downloadsMax });
    this.#uploads = new Semaphore(uploadsMax);
  }

  async pull(
    options: ImagePullOptions,
    context: { emit: Emit; signal: AbortSignal; leases: LeaseGroup },
    onPulled: (image: Travelled) => void,
  ): Promise<void> {
    const { platform, credentials } = options;
    const access: RegistryAccess = { credentials, signal: context.signal };
    for await (const reference of this.#pulled(options, access)) {
      const input = { ...this.#options, downloads: this.#downloads, ...context, access, platform };
      const { id } = await pullImage(reference, input).catch((error: unknown) => {
        throw deniedIsAbsent(error);
      });
      onPulled({ id, reference });
    }
  }

  async *#pulled(
    { name, tag, allTags }: ImagePullOptions,
    access: RegistryAccess,
  ): AsyncGenerator<Reference, void, undefined> {
    const named = parseReference(name);
    if (!allTags) {
      yield pullReference(named, tag);
      return;
    }
    const tags = this.#options.client.tags(named, access);
    try {
      for await (const one of tags) yield withTag(named, one);
    } catch (error) {
      throw deniedIsAbsent(error);
    }
  }

  async push(
    options: ImagePushOptions,
    context: { emit: Emit; signal: AbortSignal },
    onPushed: (reference: Reference) => void,
  ): Promise<void> {
    const references = this.#pushed(options);
    const access: RegistryAccess = { credentials: options.credentials, signal: context.signal };
    const [first] = references;
    if (first !== undefined) {
      context.emit({ status: `The push refers to repository [${repositoryOf(first)}]` });
    }
    for (const reference of references) {
      await pushImage(reference, {
        ...{ ...this.#options, ...context, slots: this.#uploads, access },
        platform: options.platform ?? "",
      });
      onPushed(reference);
    }
  }

  /** Throws not_found in Docker's words. */
  #pushed({ name, tag }: ImagePushOptions): readonly Reference[] {
    const named = parseReference(name);
    if (named.digest !== undefined) {
      throw new NaruError("invalid_argument", "cannot push a digest reference");
    }
    const { table } = this.#options;
    const wanted = tag === "" ? named : withTag(named, tag);
    if (wanted.tag !== undefined) {
      if (table.named(wanted) !== undefined) return [wanted];
      throw new NaruError("not_found", `tag does not exist: ${formatFamiliar(wanted)}`);
    }
    const all = table.taggedIn(named);
    if (all.length > 0) return all;
    const text = `An image does not exist locally with the tag: ${familiarName(named)}`;
    throw new NaruError("not_found", text);
  }
}

function pullReference(named: Reference, tag: string): Reference {
  if (tag === "") return withDefaultTag(named);
  if (!tag.startsWith("sha256:")) return withTag(named, tag);
  return parseReference(`${repositoryOf(named)}@${tag}`);
}

/** Registries do not say whether what one may not see is there: neither does dockerd (404). */
function deniedIsAbsent(error: unknown): unknown {
  const denied = isNaruError(error, "unauthorized") || isNaruError(error, "forbidden");
  if (!denied || !error.message.startsWith("pull access denied")) return error;
  return new NaruError("not_found", error.message, error.details, { cause: error });
}
