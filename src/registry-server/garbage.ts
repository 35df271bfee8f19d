import type { Clock } from "../base/mod.ts";
import type { BlobStore } from "../storage/mod.ts";
import type { Catalog } from "./catalog.ts";
import type { ContentDigest } from "./names.ts";
import type { Repository } from "./repository.ts";
import type { Retention, Rules } from "./rules.ts";
import type { Uploads } from "./uploads.ts";

const DAY_MS = 24 * 3600 * 1000;
/** In a cache, where #whyUsed has the say. */
const UNUSED_TAGS_GO: Retention = {
  ...{ keepLast: 0, keepDays: undefined, keepTags: [], untaggedDays: 0 },
};

/** One thing that was looked at, and what was decided. */
export interface GarbageLine {
  readonly verdict: "keep" | "remove";
  readonly kind: "tag" | "manifest" | "blob" | "content" | "uploads";
  /** `name:tag`, `name@digest`, a digest, or a count. */
  readonly name: string;
  readonly reason: string;
  /** Of what goes from the disk: content alone. */
  readonly freedBytes: number;
}

export interface GarbageParts {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly uploads: Uploads;
  readonly rules: Rules;
  readonly clock: Clock;
  /** Of a cache: what nobody has asked for within this time goes. Undefined: what was pushed stays. */
  readonly unusedMs?: number | undefined;
}

/**
 * Collects garbage while pushes go on, or with `dryRun` says what it would do. Tags go by the rules of
 * retention, manifests when nothing holds them and the rules give them a time, blobs of a repository
 * when no manifest names them, files when no repository refers to them. What a push has seen or brought
 * within the time of a lease stays; each removal is decided again in the repository's own queue, where
 * no push can come in between.
 */
export async function* collectGarbage(
  parts: GarbageParts,
  { dryRun }: { readonly dryRun: boolean },
): AsyncGenerator<GarbageLine, void, undefined> {
  const freed = new Map<string, number>(); // in a dry run: references that would be gone
  for (const name of parts.catalog.names()) {
    const repository = parts.catalog.find(name);
    if (repository === undefined) continue;
    const work = new RepositoryGarbage(parts, repository, dryRun, freed);
    yield* work.tags();
    yield* work.manifests();
    yield* work.blobs();
  }
  yield* collectContent(parts, dryRun, freed);
  if (dryRun) return;
  const swept = await parts.uploads.sweep();
  if (swept > 0) yield line("remove", "uploads", String(swept), "left for a day");
}

class RepositoryGarbage {
  readonly #parts: GarbageParts;
  readonly #repository: Repository;
  readonly #dryRun: boolean;
  readonly #freed: Map<string, number>;
  readonly #goneTags: Set<string> = new Set();
  readonly #goneManifests: Set<ContentDigest> = new Set();

  constructor(
    parts: GarbageParts,
    repository: Repository,
    dryRun: boolean,
    freed: Map<string, number>,
  ) {
    this.#parts = parts;
    this.#repository = repository;
    this.#dryRun = dryRun;
    this.#freed = freed;
  }

  async *tags(): AsyncGenerator<GarbageLine, void, undefined> {
    const { catalog, rules, clock } = this.#parts;
    const { name, tags } = this.#repository;
    const isCache = this.#parts.unusedMs !== undefined;
    const retention = isCache ? UNUSED_TAGS_GO : rules.retention(name);
    const newestFirst = [...tags].toSorted(([, a], [, b]) => b.pushedMs - a.pushedMs);
    for (const [rank, [tag, record]] of newestFirst.entries()) {
      const ageMs = clock.nowMs() - record.pushedMs;
      const reason = rules.isImmutable(name, tag)
        ? "immutable"
        : (this.#whyUsed(record.digest, record.pushedMs) ??
          whyTagStays(retention, { tag, rank, ageMs }));
      const unless = (): boolean => tags.get(tag) !== record; // pushed again meanwhile
      const goes =
        reason === undefined && (this.#dryRun || (await catalog.removeTag(name, tag, unless)));
      if (goes) this.#goneTags.add(tag);
      yield line(goes ? "remove" : "keep", "tag", `${name}:${tag}`, reason ?? "retention");
    }
  }

  #whyUsed(digest: ContentDigest, sinceMs: number): string | undefined {
    const { catalog, unusedMs: withinMs } = this.#parts;
    if (withinMs === undefined) return undefined;
    const isUsed = catalog.isSeenWithin(this.#repository.name, digest, { sinceMs, withinMs });
    return isUsed ? "asked for lately" : undefined;
  }

  async *manifests(): AsyncGenerator<GarbageLine, void, undefined> {
    const { catalog, rules } = this.#parts;
    const { name, manifests } = this.#repository;
    const days = this.#parts.unusedMs === undefined ? rules.retention(name)?.untaggedDays : 0;
    // What an index or a subject held goes after it: until nothing more does.
    for (let before = -1; before !== this.#goneManifests.size; ) {
      before = this.#goneManifests.size;
      for (const digest of [...manifests.keys()]) {
        if (this.#goneManifests.has(digest) || this.#whyStays(digest, days) !== undefined) continue;
        if (!this.#dryRun && !(await this.#removeManifest(digest, days))) continue;
        this.#goneManifests.add(digest);
        yield line("remove", "manifest", `${name}@${digest}`, `untagged for ${days} days`);
      }
    }
    for (const digest of catalog.find(name)?.manifests.keys() ?? []) {
      if (this.#goneManifests.has(digest)) continue;
      const reason = this.#whyStays(digest, days) ?? "wanted again meanwhile";
      yield line("keep", "manifest", `${name}@${digest}`, reason);
    }
  }

  async #removeManifest(digest: ContentDigest, days: number | undefined): Promise<boolean> {
    let wanted = false;
    try {
      return await this.#parts.catalog.removeManifest(this.#repository.name, digest, () => {
        wanted = this.#whyStays(digest, days) !== undefined;
        if (wanted) throw new Error("wanted again meanwhile");
      });
    } catch (error) {
      if (wanted) return false;
      throw error;
    }
  }

  #whyStays(digest: ContentDigest, days: number | undefined): string | undefined {
    const { catalog, clock } = this.#parts;
    const repository = this.#repository;
    const record = repository.manifests.get(digest);
    if (record === undefined) return undefined;
    const tag = repository.tagsOf(digest).find((one) => !this.#goneTags.has(one));
    if (tag !== undefined) return `tag ${tag}`;
    const gone = [...this.#goneManifests].filter((one) =>
      repository.manifests.get(one)?.manifests.includes(digest),
    );
    if (repository.usesOf(digest) > gone.length) return "in an index";
    if (record.subject !== "" && this.#isHere(record.subject)) return `refers to ${record.subject}`;
    const used = this.#whyUsed(digest, record.pushedMs);
    if (used !== undefined) return used;
    if (days === undefined) return "untagged manifests stay here";
    if (clock.nowMs() - record.pushedMs < days * DAY_MS)
      return `untagged for less than ${days} days`;
    const isAwaited = catalog.isAwaited(repository.name, digest, record.pushedMs);
    return isAwaited ? "a push saw it lately" : undefined;
  }

  #isHere(digest: ContentDigest): boolean {
    return this.#repository.manifests.has(digest) && !this.#goneManifests.has(digest);
  }

  async *blobs(): AsyncGenerator<GarbageLine, void, undefined> {
    const { catalog } = this.#parts;
    const { name, blobs } = this.#repository;
    for (const [digest, link] of [...blobs]) {
      const why = (): string | undefined => this.#whyBlobStays(digest, link.linkedMs);
      const reason = why();
      const goes =
        reason === undefined &&
        (this.#dryRun || (await catalog.unlinkBlob(name, digest, () => why() !== undefined)));
      if (goes) this.#freed.set(link.content, (this.#freed.get(link.content) ?? 0) + 1);
      const said = reason ?? (goes ? "no manifest names it" : "wanted again meanwhile");
      yield line(goes ? "remove" : "keep", "blob", `${name}@${digest}`, said);
    }
    if (!this.#dryRun) return;
    for (const digest of this.#goneManifests) {
      const content = this.#repository.manifests.get(digest)?.content ?? "";
      this.#freed.set(content, (this.#freed.get(content) ?? 0) + 1);
    }
  }

  #whyBlobStays(digest: ContentDigest, linkedMs: number): string | undefined {
    const repository = this.#repository;
    let uses = repository.usesOf(digest);
    if (this.#dryRun) {
      for (const gone of this.#goneManifests) {
        if (repository.manifests.get(gone)?.blobs.includes(digest)) uses -= 1;
      }
    }
    if (uses > 0) return `named by ${uses} manifest${uses === 1 ? "" : "s"}`;
    const isAwaited = this.#parts.catalog.isAwaited(repository.name, digest, linkedMs);
    return isAwaited ? "a push may still need it" : undefined;
  }
}

interface AgedTag {
  readonly tag: string;
  /** 0 is the newest. */
  readonly rank: number;
  readonly ageMs: number;
}

/** Pure: why a tag stays by the rules, or undefined. */
export function whyTagStays(
  retention: Retention | undefined,
  { tag, rank, ageMs }: AgedTag,
): string | undefined {
  if (retention?.keepLast === undefined && retention?.keepDays === undefined) {
    return "no rule removes tags here";
  }
  if (retention.keepTags.some((pattern) => pattern.test(tag))) return "keep-tags";
  if (rank < (retention.keepLast ?? 0)) return `among the newest ${retention.keepLast}`;
  if (ageMs < (retention.keepDays ?? 0) * DAY_MS) return `newer than ${retention.keepDays} days`;
  return undefined;
}

async function* collectContent(
  { catalog, blobs }: GarbageParts,
  dryRun: boolean,
  freed: ReadonlyMap<string, number>,
): AsyncGenerator<GarbageLine, void, undefined> {
  for await (const { digest, sizeBytes } of blobs.list()) {
    const references = catalog.referencesTo(digest) - (dryRun ? (freed.get(digest) ?? 0) : 0);
    const isLeased = catalog.isLeased(digest);
    const unless = (): boolean => catalog.isWanted(digest);
    const goes =
      references === 0 && !isLeased && (dryRun || (await blobs.remove(digest, { unless })));
    if (goes) yield { ...line("remove", "content", digest, "unused"), freedBytes: sizeBytes };
    else {
      const reason = references > 0 ? `${references} references` : "a push may still need it";
      yield line("keep", "content", digest, reason);
    }
  }
}

function line(
  verdict: GarbageLine["verdict"],
  kind: GarbageLine["kind"],
  name: string,
  reason: string,
): GarbageLine {
  return { verdict, kind, name, reason, freedBytes: 0 };
}
