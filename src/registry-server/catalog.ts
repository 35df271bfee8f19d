import { type Clock, type Digest, KeyedQueue } from "../base/mod.ts";
import type { Change, Metadata } from "../storage/mod.ts";
import type { ContentDigest } from "./names.ts";
import type { BlobLink, ManifestRecord, TagRecord } from "./records.ts";
import { Repository } from "./repository.ts";

export interface CatalogOptions {
  readonly clock: Clock;
  /** How long something stays after a push has seen it. */
  readonly leaseMs: number;
  /** Pushes may be going on that began with a former server: their leases begin anew. */
  readonly isServed: boolean;
}

/**
 * What every repository has: in memory, and written through to the registry's own database. One
 * writer at a time for a repository; a change is visible when it is durable. Content is counted, so
 * that a file goes only when no repository refers to it and no lease holds it.
 */
export class Catalog {
  readonly #metadata: Metadata;
  readonly #clock: Clock;
  readonly #repositories: Map<string, Repository> = new Map();
  readonly #writers: KeyedQueue<string> = new KeyedQueue();
  readonly #references: Map<Digest, number> = new Map();
  /** Until when content stays that nothing refers to yet. */
  readonly #leases: Map<Digest, number> = new Map();
  /** When a push last saw a blob, by `name@digest`: what it was told is here must stay here. */
  readonly #seen: Map<string, number> = new Map();
  #sortedNames: readonly string[] | undefined;
  readonly #openedMs: number;
  readonly #leaseMs: number;

  constructor(metadata: Metadata, options: CatalogOptions) {
    this.#metadata = metadata;
    this.#clock = options.clock;
    this.#leaseMs = options.leaseMs;
    this.#openedMs = options.isServed ? options.clock.nowMs() : 0;
    for (const [key, value] of metadata.rows("layers")) {
      const [name, digest] = splitKey(key, "@");
      this.#addBlob(this.#open(name), digest as ContentDigest, value as BlobLink);
    }
    for (const [key, value] of metadata.rows("images")) {
      const [name, digest] = splitKey(key, "@");
      this.#addManifest(this.#open(name), digest as ContentDigest, value as ManifestRecord);
    }
    for (const [key, value] of metadata.rows("references")) {
      const [name, tag] = splitKey(key, ":");
      this.#open(name).setTag(tag, value as TagRecord);
    }
  }

  find(name: string): Repository | undefined {
    return this.#repositories.get(name);
  }

  all(): Iterable<Repository> {
    return this.#repositories.values();
  }

  /** In the order of their bytes. */
  names(): readonly string[] {
    this.#sortedNames ??= [...this.#repositories.keys()].toSorted();
    return this.#sortedNames;
  }

  #open(name: string): Repository {
    const found = this.#repositories.get(name);
    if (found !== undefined) return found;
    const made = new Repository(name);
    this.#repositories.set(name, made);
    this.#sortedNames = undefined;
    return made;
  }

  #count(content: Digest, by: 1 | -1): void {
    const count = (this.#references.get(content) ?? 0) + by;
    if (count === 0) this.#references.delete(content);
    else this.#references.set(content, count);
  }

  #addBlob(repository: Repository, digest: ContentDigest, link: BlobLink): void {
    if (!repository.blobs.has(digest)) this.#count(link.content, 1);
    repository.setBlob(digest, link);
  }

  #addManifest(repository: Repository, digest: ContentDigest, record: ManifestRecord): void {
    if (!repository.manifests.has(digest)) this.#count(record.content, 1);
    repository.setManifest(digest, record);
  }

  /** Content stays for the time of a lease from now on, referred to or not. */
  lease(content: Digest): void {
    this.#leases.set(content, this.#clock.nowMs() + this.#leaseMs);
  }

  /** Blobs and manifests of all repositories with this content. */
  referencesTo(content: Digest): number {
    return this.#references.get(content) ?? 0;
  }

  /** True when a repository refers to this content, or a lease holds it. */
  isWanted(content: Digest): boolean {
    if (this.#references.has(content)) return true;
    return this.isLeased(content);
  }

  isLeased(content: Digest): boolean {
    const untilMs = this.#leases.get(content);
    if (untilMs === undefined) return false;
    if (untilMs > this.#clock.nowMs()) return true;
    this.#leases.delete(content);
    return false;
  }

  /** The blob of a repository; a push that sees it may count on it for the time of a lease. */
  seeBlob(name: string, digest: ContentDigest): BlobLink | undefined {
    const link = this.#repositories.get(name)?.blobs.get(digest);
    if (link !== undefined) this.#seen.set(`${name}@${digest}`, this.#clock.nowMs());
    return link;
  }

  /** As `seeBlob`: whoever saw a manifest may push an index or a referrer of it. */
  seeManifest(name: string, digest: ContentDigest): void {
    this.#seen.set(`${name}@${digest}`, this.#clock.nowMs());
  }

  /** True when a push may still count on a blob or manifest that came at `sinceMs`. */
  isAwaited(name: string, digest: ContentDigest, sinceMs: number): boolean {
    return this.isSeenWithin(name, digest, { sinceMs, withinMs: this.#leaseMs });
  }

  /** True when somebody asked for it within this time, or it came then, or this server started then. */
  isSeenWithin(
    name: string,
    digest: ContentDigest,
    { sinceMs, withinMs }: { readonly sinceMs: number; readonly withinMs: number },
  ): boolean {
    const seenMs = this.#seen.get(`${name}@${digest}`) ?? 0;
    return this.#clock.nowMs() - Math.max(seenMs, sinceMs, this.#openedMs) < withinMs;
  }

  /** Durable when it resolves. */
  linkBlob(name: string, digest: ContentDigest, link: Omit<BlobLink, "linkedMs">): Promise<void> {
    return this.#writers.run(name, async () => {
      const row: BlobLink = { ...link, linkedMs: this.#clock.nowMs() };
      await this.#commit([{ table: "layers", key: `${name}@${digest}`, value: row }]);
      this.#addBlob(this.#open(name), digest, row);
      this.#seen.set(`${name}@${digest}`, row.linkedMs);
    });
  }

  /** False when the repository does not have it, or when `unless` says at the last moment. */
  unlinkBlob(
    name: string,
    digest: ContentDigest,
    unless: () => boolean = () => false,
  ): Promise<boolean> {
    return this.#writers.run(name, async () => {
      const repository = this.#repositories.get(name);
      if (repository === undefined || unless()) return false;
      // Out of sight first: nobody may count on it while it goes.
      const link = repository.removeBlob(digest);
      if (link === undefined) return false;
      try {
        await this.#commit([{ table: "layers", key: `${name}@${digest}`, value: undefined }]);
      } catch (error) {
        repository.setBlob(digest, link);
        throw error;
      }
      this.#count(link.content, -1);
      this.#seen.delete(`${name}@${digest}`);
      this.#forget(repository);
      return true;
    });
  }

  /**
   * Writes a manifest and points `tags` to it, all or nothing. `check` runs when it is this write's
   * turn and may throw.
   */
  putManifest(
    name: string,
    manifest: { readonly digest: ContentDigest; readonly record: ManifestRecord },
    tags: readonly string[],
    check: (repository: Repository | undefined) => void,
  ): Promise<void> {
    const { digest, record } = manifest;
    return this.#writers.run(name, async () => {
      check(this.#repositories.get(name));
      const tagRow: TagRecord = { digest, pushedMs: record.pushedMs };
      await this.#commit([
        { table: "images", key: `${name}@${digest}`, value: record },
        ...tags.map(
          (tag): Change => ({ table: "references", key: `${name}:${tag}`, value: tagRow }),
        ),
      ]);
      const repository = this.#open(name);
      this.#addManifest(repository, digest, record);
      for (const tag of tags) repository.setTag(tag, tagRow);
    });
  }

  /** Removes a manifest and the tags that point to it. False when there is none. */
  removeManifest(
    name: string,
    digest: ContentDigest,
    check: (repository: Repository) => void,
  ): Promise<boolean> {
    return this.#writers.run(name, async () => {
      const repository = this.#repositories.get(name);
      if (repository === undefined || !repository.manifests.has(digest)) return false;
      check(repository);
      const tags = repository.tagsOf(digest);
      await this.#commit([
        { table: "images", key: `${name}@${digest}`, value: undefined },
        ...tags.map(
          (tag): Change => ({ table: "references", key: `${name}:${tag}`, value: undefined }),
        ),
      ]);
      for (const tag of tags) repository.removeTag(tag);
      const record = repository.removeManifest(digest);
      this.#seen.delete(`${name}@${digest}`);
      if (record !== undefined) this.#count(record.content, -1);
      this.#forget(repository);
      return true;
    });
  }

  /** False when there is no such tag, or when `unless` says at the last moment. */
  removeTag(name: string, tag: string, unless: () => boolean = () => false): Promise<boolean> {
    return this.#writers.run(name, async () => {
      const repository = this.#repositories.get(name);
      if (repository === undefined || !repository.tags.has(tag) || unless()) return false;
      await this.#commit([{ table: "references", key: `${name}:${tag}`, value: undefined }]);
      repository.removeTag(tag);
      this.#forget(repository);
      return true;
    });
  }

  #commit(changes: readonly Change[]): Promise<void> {
    return this.#metadata.commit(changes);
  }

  /** A repository without anything is none. */
  #forget(repository: Repository): void {
    if (!repository.isEmpty) return;
    this.#repositories.delete(repository.name);
    this.#sortedNames = undefined;
  }
}

/** Names hold neither `@` nor `:`. */
function splitKey(key: string, separator: string): [string, string] {
  const at = key.indexOf(separator);
  return [key.slice(0, at), key.slice(at + 1)];
}
