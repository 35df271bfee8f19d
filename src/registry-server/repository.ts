import type { ContentDigest } from "./names.ts";
import type { BlobLink, ManifestRecord, TagRecord } from "./records.ts";

/** One repository in memory. Only the catalog changes it. */
export class Repository {
  readonly name: string;
  readonly blobs: Map<ContentDigest, BlobLink> = new Map();
  readonly manifests: Map<ContentDigest, ManifestRecord> = new Map();
  readonly tags: Map<string, TagRecord> = new Map();
  /** By subject, which need not be here. */
  readonly #referrers: Map<ContentDigest, Set<ContentDigest>> = new Map();
  /** How many manifests name a blob or, in an index, a manifest. */
  readonly #uses: Map<ContentDigest, number> = new Map();
  /** Sum over blobs and manifests, each digest once. */
  #sizeBytes = 0;
  #sortedTags: readonly string[] | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get isEmpty(): boolean {
    return this.blobs.size === 0 && this.manifests.size === 0 && this.tags.size === 0;
  }

  setBlob(digest: ContentDigest, link: BlobLink): void {
    this.removeBlob(digest);
    this.blobs.set(digest, link);
    this.#sizeBytes += link.sizeBytes;
  }

  removeBlob(digest: ContentDigest): BlobLink | undefined {
    const link = this.blobs.get(digest);
    if (link === undefined) return undefined;
    this.blobs.delete(digest);
    this.#sizeBytes -= link.sizeBytes;
    return link;
  }

  setManifest(digest: ContentDigest, record: ManifestRecord): void {
    this.removeManifest(digest);
    this.manifests.set(digest, record);
    this.#sizeBytes += record.sizeBytes;
    this.#use(record, 1);
    if (record.subject === "") return;
    const referrers = this.#referrers.get(record.subject) ?? new Set();
    referrers.add(digest);
    this.#referrers.set(record.subject, referrers);
  }

  removeManifest(digest: ContentDigest): ManifestRecord | undefined {
    const record = this.manifests.get(digest);
    if (record === undefined) return undefined;
    this.manifests.delete(digest);
    this.#sizeBytes -= record.sizeBytes;
    this.#use(record, -1);
    if (record.subject !== "") {
      const referrers = this.#referrers.get(record.subject);
      referrers?.delete(digest);
      if (referrers?.size === 0) this.#referrers.delete(record.subject);
    }
    return record;
  }

  #use({ blobs, manifests }: ManifestRecord, by: 1 | -1): void {
    for (const digest of new Set([...blobs, ...manifests])) {
      const count = (this.#uses.get(digest) ?? 0) + by;
      if (count === 0) this.#uses.delete(digest);
      else this.#uses.set(digest, count);
    }
  }

  /** How many manifests here name this blob or manifest. */
  usesOf(digest: ContentDigest): number {
    return this.#uses.get(digest) ?? 0;
  }

  setTag(tag: string, record: TagRecord): void {
    if (!this.tags.has(tag)) this.#sortedTags = undefined;
    this.tags.set(tag, record);
  }

  removeTag(tag: string): void {
    if (this.tags.delete(tag)) this.#sortedTags = undefined;
  }

  /** In the order of their bytes. */
  sortedTags(): readonly string[] {
    this.#sortedTags ??= [...this.tags.keys()].toSorted();
    return this.#sortedTags;
  }

  tagsOf(digest: ContentDigest): readonly string[] {
    return [...this.tags].filter(([, record]) => record.digest === digest).map(([tag]) => tag);
  }

  /** Digests of the manifests whose subject is `digest`, in the order of their bytes. */
  referrersOf(digest: ContentDigest): readonly ContentDigest[] {
    return [...(this.#referrers.get(digest) ?? [])].toSorted();
  }

  /** The manifest that a tag or a digest names. */
  find(reference: string): { digest: ContentDigest; record: ManifestRecord } | undefined {
    const digest = this.tags.get(reference)?.digest ?? (reference as ContentDigest);
    const record = this.manifests.get(digest);
    return record === undefined ? undefined : { digest, record };
  }
}
