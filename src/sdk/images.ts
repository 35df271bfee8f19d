import type {
  BlobCheck,
  HistoryItem,
  ImageDeleteItem,
  ImageInspect,
  ImageSummary,
  ProgressMessage,
  StoredThing,
} from "../spec/mod.ts";
import type { EngineCaller } from "./engine-caller.ts";
import { type Filters, filtersQuery } from "./filters.ts";
import { readJsonLines } from "./json-lines.ts";
import type { RequestBody, WireResponse } from "./wire.ts";

export interface ImageImportQuery {
  /** `-` reads the body; else a URL that the engine fetches. */
  readonly source: string;
  readonly repo: string;
  readonly tag: string;
  readonly message: string;
  readonly changes: readonly string[];
  readonly platform: string;
}

/** A found image, as registries describe it: any field may be missing. */
export interface ImageSearchItem {
  readonly name?: string;
  readonly description?: string;
  readonly star_count?: number;
  readonly is_official?: boolean;
}

/** `/images`. Names are references or ids. */
export class ImageCalls {
  readonly #client: EngineCaller;

  constructor(client: EngineCaller) {
    this.#client = client;
  }

  list(
    options: { all?: boolean; digests?: boolean; filters?: Filters } = {},
  ): Promise<ImageSummary[]> {
    return this.#client.json("GET", "/images/json", {
      query: {
        all: options.all === true ? true : undefined,
        digests: options.digests === true ? true : undefined,
        filters: filtersQuery(options.filters),
      },
    });
  }

  inspect(name: string, platform?: string): Promise<ImageInspect> {
    return this.#client.json("GET", `${path(name)}/json`, {
      query: { platform: platform || undefined },
    });
  }

  history(name: string, platform?: string): Promise<HistoryItem[]> {
    return this.#client.json("GET", `${path(name)}/history`, {
      query: { platform: platform || undefined },
    });
  }

  tag(name: string, target: { repo: string; tag: string }): Promise<void> {
    return this.#client.run("POST", `${path(name)}/tag`, {
      query: { repo: target.repo, tag: target.tag },
    });
  }

  remove(
    name: string,
    options: { force: boolean; noprune: boolean; platforms?: readonly string[] },
  ): Promise<ImageDeleteItem[]> {
    return this.#client.json("DELETE", path(name), {
      query: {
        force: options.force || undefined,
        noprune: options.noprune || undefined,
        platforms: options.platforms?.length ? options.platforms : undefined,
      },
    });
  }

  prune(
    filters: Filters,
  ): Promise<{ ImagesDeleted: ImageDeleteItem[] | null; SpaceReclaimed: number }> {
    return this.#client.json("POST", "/images/prune", {
      query: { filters: filtersQuery(filters) },
    });
  }

  async load(
    body: RequestBody,
    options: { quiet: boolean; platform?: string | undefined; signal?: AbortSignal | undefined },
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.call("POST", "/images/load", {
      query: { quiet: options.quiet, platform: options.platform || undefined },
      headers: { "Content-Type": "application/x-tar" },
      body,
      signal: options.signal,
    });
    return readJsonLines(response.body);
  }

  async import(
    body: RequestBody | undefined,
    query: ImageImportQuery,
    signal?: AbortSignal,
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.call("POST", "/images/create", {
      query: {
        fromSrc: query.source,
        repo: query.repo || undefined,
        tag: query.tag || undefined,
        message: query.message || undefined,
        changes: query.changes.length > 0 ? query.changes : undefined,
        platform: query.platform || undefined,
      },
      headers: { "Content-Type": "application/x-tar" },
      body,
      signal,
    });
    return readJsonLines(response.body);
  }

  async pull(
    image: { name: string; tag: string; platform?: string | undefined; auth?: string | undefined },
    signal?: AbortSignal,
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.call("POST", "/images/create", {
      query: { fromImage: image.name, tag: image.tag, platform: image.platform || undefined },
      headers: image.auth === undefined ? {} : { "X-Registry-Auth": image.auth },
      signal,
    });
    return readJsonLines(response.body);
  }

  async push(
    image: { name: string; tag: string; platform?: string | undefined; auth: string },
    signal?: AbortSignal,
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.call("POST", `${path(image.name)}/push`, {
      query: { tag: image.tag || undefined, platform: image.platform || undefined },
      headers: { "X-Registry-Auth": image.auth },
      signal,
    });
    return readJsonLines(response.body);
  }

  search(
    term: string,
    options: { limit?: number | undefined; filters: Filters },
  ): Promise<ImageSearchItem[]> {
    return this.#client.json("GET", "/images/search", {
      query: { term, limit: options.limit, filters: filtersQuery(options.filters) },
    });
  }

  /** naru's own: every blob of every image, checked as it is told. */
  async verify(options: { repair: boolean }): Promise<AsyncIterable<BlobCheck>> {
    const response = await this.#client.call("POST", "/naru/v1/images/verify", {
      query: { repair: options.repair },
    });
    return readJsonLines(response.body);
  }

  /** naru's own: what is in the store and why. */
  async stored(): Promise<AsyncIterable<StoredThing>> {
    return readJsonLines((await this.#client.call("GET", "/naru/v1/images/garbage", {})).body);
  }

  /** naru's own: removes what nothing needs. */
  collect(): Promise<{ SpaceReclaimed: number; Blobs: number; Layers: number }> {
    return this.#client.json("POST", "/naru/v1/images/garbage");
  }

  /** One tar with all the named images. */
  save(
    names: readonly string[],
    options: { platforms?: readonly string[] | undefined; signal?: AbortSignal | undefined },
  ): Promise<WireResponse> {
    return this.#client.call("GET", "/images/get", {
      query: { names, platform: options.platforms?.length ? options.platforms : undefined },
      signal: options.signal,
    });
  }
}

/** Slashes stay as they are: engines take a name in several path segments. */
function path(name: string): string {
  return `/images/${name.split("/").map(encodeURIComponent).join("/")}`;
}
