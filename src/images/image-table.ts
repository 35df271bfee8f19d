import { type Digest, isDigest, isNaruError, NaruError } from "../base/mod.ts";
import {
  chainIdsOf,
  formatFamiliar,
  formatReference,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
} from "../oci/mod.ts";
import type { Change, Metadata } from "../storage/mod.ts";
import type { ImageRow, ReferenceRow } from "./image-row.ts";

/** An image that a name led to, and whether the name was an id or a reference. */
export interface FoundImage {
  readonly id: Digest;
  readonly row: ImageRow;
  readonly by: { readonly kind: "id" } | { readonly kind: "reference"; readonly key: string };
}

interface Reachable {
  readonly blobs: ReadonlySet<Digest>;
  readonly chains: ReadonlySet<Digest>;
}

/** Images and references in memory, written through. The only writer of both tables. */
export class ImageTable {
  readonly #metadata: Metadata;
  readonly #images: Map<Digest, ImageRow> = new Map();
  readonly #references: Map<string, ReferenceRow> = new Map();
  #reachable: Reachable | undefined;

  constructor(metadata: Metadata) {
    this.#metadata = metadata;
    for (const [key, value] of metadata.rows("images")) {
      this.#images.set(key as Digest, value as ImageRow);
    }
    for (const [key, value] of metadata.rows("references")) {
      this.#references.set(key, value as ReferenceRow);
    }
  }

  image(id: Digest): ImageRow | undefined {
    return this.#images.get(id);
  }

  /** Those that users see. */
  visible(): [Digest, ImageRow][] {
    return [...this.#images].filter(([, row]) => row.removed !== true);
  }

  /** Those removed by force that containers may still use. */
  hidden(): Digest[] {
    return [...this.#images].filter(([, row]) => row.removed === true).map(([id]) => id);
  }

  reference(key: string): ReferenceRow | undefined {
    return this.#references.get(key);
  }

  /** What a name with a tag or digest stands for. */
  named(reference: Reference): ReferenceRow | undefined {
    return this.#references.get(formatReference(reference));
  }

  /** The names with a tag of one repository, sorted. */
  taggedIn(repository: Reference): Reference[] {
    const wanted = repositoryOf(repository);
    return [...this.#references.keys()]
      .sort()
      .map((key) => parseReference(key))
      .filter((name) => name.digest === undefined && repositoryOf(name) === wanted);
  }

  /** The names of an image, sorted. */
  referencesOf(id: Digest): Reference[] {
    const keys = [...this.#references].filter(([, row]) => row.image === id).map(([key]) => key);
    return keys.sort().map((key) => parseReference(key));
  }

  /** Sets and removes rows: on disk first, then here. */
  async write(changes: {
    readonly images?: ReadonlyMap<Digest, ImageRow | undefined>;
    readonly references?: ReadonlyMap<string, ReferenceRow | undefined>;
  }): Promise<void> {
    const rows: Change[] = [];
    for (const [key, value] of changes.images ?? []) rows.push({ table: "images", key, value });
    for (const [key, value] of changes.references ?? []) {
      rows.push({ table: "references", key, value });
    }
    await this.#metadata.commit(rows);
    this.#reachable = undefined;
    for (const [key, row] of changes.images ?? []) {
      if (row === undefined) this.#images.delete(key);
      else this.#images.set(key, row);
    }
    for (const [key, row] of changes.references ?? []) {
      if (row === undefined) this.#references.delete(key);
      else this.#references.set(key, row);
    }
  }

  /** Throws not_found and invalid_argument in Docker's words, conflict when an id is ambiguous. */
  find(name: string): FoundImage {
    const reference = this.#parse(name);
    const found =
      this.#byDigest(name) ??
      (reference === undefined ? undefined : this.#byReference(reference)) ??
      this.#byPrefix(name);
    if (found !== undefined) return found;
    const shown = reference === undefined ? name : formatFamiliar(withDefaultTag(reference));
    throw new NaruError("not_found", `No such image: ${shown}`, { name: name.slice(0, 200) });
  }

  #parse(name: string): Reference | undefined {
    try {
      return parseReference(name);
    } catch (error) {
      // 64 digits are no repository, but an id.
      if (isNaruError(error) && /^(?:sha256:)?[0-9a-f]{64}$/.test(name)) return undefined;
      throw error;
    }
  }

  #byDigest(name: string): FoundImage | undefined {
    const digest = name.startsWith("sha256:") ? name : `sha256:${name}`;
    if (!isDigest(digest)) return undefined;
    const row = this.#visible(digest);
    if (row !== undefined) return { id: digest, row, by: { kind: "id" } };
    const manifest = this.visible().find(([, image]) => image.manifest.digest === digest);
    return manifest && { id: manifest[0], row: manifest[1], by: { kind: "id" } };
  }

  #byReference(reference: Reference): FoundImage | undefined {
    const key = formatReference(withDefaultTag(reference));
    const exact = this.#references.get(key);
    if (exact !== undefined) return this.#referenced(key, exact);
    if (reference.digest === undefined) return undefined;
    // By digest: any name in the repository that stands for that manifest or index.
    const repository = repositoryOf(reference);
    for (const [other, row] of this.#references) {
      if (row.target !== reference.digest) continue;
      if (repositoryOf(parseReference(other)) === repository) return this.#referenced(other, row);
    }
    return undefined;
  }

  #referenced(key: string, reference: ReferenceRow): FoundImage | undefined {
    const row = this.#images.get(reference.image);
    if (row === undefined) return undefined;
    return { id: reference.image, row, by: { kind: "reference", key } };
  }

  #byPrefix(name: string): FoundImage | undefined {
    const digits = name.startsWith("sha256:") ? name.slice("sha256:".length) : name;
    if (!/^[0-9a-f]{1,63}$/.test(digits)) return undefined;
    const matches = this.visible().filter(([id]) => id.startsWith(`sha256:${digits}`));
    if (matches.length > 1) {
      throw new NaruError("conflict", `image id ${name} is ambiguous: ${matches.length} images`);
    }
    const [only] = matches;
    return only && { id: only[0], row: only[1], by: { kind: "id" } };
  }

  #visible(id: Digest): ImageRow | undefined {
    const row = this.#images.get(id);
    return row?.removed === true ? undefined : row;
  }

  /** Every blob and chain that a row refers to. Reckoned once between two writes. */
  reachable(): Reachable {
    this.#reachable ??= this.#reckonReachable();
    return this.#reachable;
  }

  #reckonReachable(): Reachable {
    const blobs = new Set<Digest>();
    const chains = new Set<Digest>();
    for (const row of this.#images.values()) {
      for (const digest of row.blobs) blobs.add(digest);
      for (const chainId of chainIdsOf(row.config.rootfs.diff_ids)) chains.add(chainId);
    }
    return { blobs, chains };
  }
}
