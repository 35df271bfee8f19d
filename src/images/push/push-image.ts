import { type Clock, type Digest, NaruError, Semaphore } from "../../base/mod.ts";
import {
  decodeJson,
  formatFamiliar,
  formatReference,
  isImageConfigType,
  MANIFEST_BYTES_MAX,
  parseReference,
  type Reference,
  repositoryOf,
} from "../../oci/mod.ts";
import type { RegistryAccess, RegistryClient } from "../../registry-client/mod.ts";
import type { Descriptor } from "../../spec/mod.ts";
import type { BlobStore } from "../../storage/mod.ts";
import type { ImageTable } from "../image-table.ts";
import type { Emit } from "../progress.ts";
import { LayerProgress } from "../pull/pull-progress.ts";
import { findVariant } from "../variants.ts";
import { type PushPlan, planPush } from "./push-plan.ts";

export interface PushInput {
  readonly client: RegistryClient;
  readonly table: ImageTable;
  readonly blobs: BlobStore;
  readonly slots: Semaphore;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly access: RegistryAccess;
  /** "" for all that the name stands for. */
  readonly platform: string;
}

/** Pushes one tag: blobs side by side, then manifests, the tag last. Throws not_found, unauthorized, … */
export async function pushImage(reference: Reference, input: PushInput): Promise<void> {
  const { client, emit, access, table } = input;
  const key = formatReference(reference);
  const row = table.reference(key);
  if (row === undefined) {
    throw new NaruError("not_found", `tag does not exist: ${formatFamiliar(reference)}`);
  }
  const { plan, instead } = await choosePlan(row, reference, input);
  await new BlobPushes(reference, plan, input).run();
  const tag = reference.tag ?? "";
  for (const [index, manifest] of plan.manifests.entries()) {
    const isLast = index === plan.manifests.length - 1;
    const target = isLast && tag !== "" ? tag : manifest.digest;
    await client.pushManifest(reference, target, manifest, access);
  }
  const top = plan.manifests.at(-1);
  if (top === undefined) throw new NaruError("internal", "a push has a manifest");
  const byDigest = formatReference({ ...reference, tag: undefined, digest: top.digest });
  if (table.reference(byDigest) === undefined) {
    const value = { image: row.image, target: top.digest };
    await table.write({ references: new Map([[byDigest, value]]) });
  }
  const size = top.bytes.byteLength;
  emit({ status: `${tag}: digest: ${top.digest} size: ${size}` });
  if (instead !== undefined) emit({ aux: instead });
  emit({ progressDetail: {}, aux: { Tag: tag, Digest: top.digest, Size: size } });
}

/** The whole of what the name stands for; of an index that is here in part, the image that is. */
async function choosePlan(
  row: { readonly image: Digest; readonly target: Digest },
  reference: Reference,
  input: PushInput,
): Promise<{ plan: PushPlan; instead?: unknown }> {
  const { table, blobs, platform } = input;
  if (platform !== "") {
    const variant = await findVariant(input, formatFamiliar(reference), platform);
    const only = await planPush(variant.row.manifest, blobs);
    if (only !== undefined) return { plan: only };
  }
  const image = table.image(row.image);
  if (image === undefined) throw new NaruError("not_found", `No such image: ${row.image}`);
  const own = image.manifest;
  const target = row.target === own.digest ? own : await describe(row.target, blobs);
  const whole = target && (await planPush(target, blobs));
  if (whole !== undefined) return { plan: whole };
  const plan = await planPush(own, blobs);
  if (plan === undefined) {
    const text = `parts of image ${row.image} are missing: pull or load it again`;
    throw new NaruError("damaged", text, { image: row.image });
  }
  const instead = {
    manifestPushedInsteadOfIndex: true,
    originalIndex: target ?? { digest: row.target },
    selectedManifest: own,
  };
  return { plan, instead };
}

async function describe(
  digest: Digest,
  blobs: BlobStore,
): Promise<Pick<Descriptor, "mediaType" | "digest" | "size"> | undefined> {
  const info = await blobs.stat(digest);
  if (info === undefined) return undefined;
  const bytes = await blobs.readAll(digest, MANIFEST_BYTES_MAX);
  const { mediaType } = decodeJson(bytes, digest) as { mediaType?: unknown };
  const isIndex = "manifests" in (decodeJson(bytes, digest) as object);
  const usual = `application/vnd.oci.image.${isIndex ? "index" : "manifest"}.v1+json`;
  return {
    mediaType: typeof mediaType === "string" ? mediaType : usual,
    digest,
    size: info.sizeBytes,
  };
}

const MOUNTS_TRIED_MAX = 3; // each costs a round trip; the first is nearly always it

class BlobPushes {
  readonly #reference: Reference;
  readonly #plan: PushPlan;
  readonly #input: PushInput;
  readonly #stop: AbortController = new AbortController();
  readonly #access: RegistryAccess;

  constructor(reference: Reference, plan: PushPlan, input: PushInput) {
    this.#reference = reference;
    this.#plan = plan;
    this.#input = input;
    const signal = AbortSignal.any([input.access.signal, this.#stop.signal]);
    this.#access = { ...input.access, signal };
  }

  async run(): Promise<void> {
    const { emit, clock, slots } = this.#input;
    const pushes = this.#plan.blobs.map((blob) => {
      const progress = new LayerProgress(blob, emit, clock);
      const shown = !isImageConfigType(blob.mediaType); // the CLI draws layers
      const say = (status: string): void => (shown ? progress.say(status) : undefined);
      say("Preparing");
      return slots.run(async () => {
        if (this.#access.signal.aborted) return;
        say(await this.#push(blob, (bytes) => shown && progress.bytes("Pushing", bytes)));
      });
    });
    try {
      await Promise.all(pushes);
    } finally {
      this.#stop.abort();
      await Promise.allSettled(pushes);
    }
    if (this.#input.access.signal.aborted) {
      throw new NaruError("cancelled", "the push was cancelled");
    }
  }

  /** What became of it, in the words that the docker CLI draws. */
  async #push(blob: Descriptor, onProgress: (bytes: number) => void): Promise<string> {
    const { client, blobs } = this.#input;
    const { digest } = blob;
    if ((blob.urls?.length ?? 0) > 0) return "Skipped foreign layer";
    if (await client.hasBlob(this.#reference, digest, this.#access)) return "Layer already exists";
    for (const from of this.#repositoriesWith(digest)) {
      if (await client.mountBlob(this.#reference, digest, from, this.#access)) {
        return `Mounted from ${from.path}`;
      }
    }
    const open = (start: number): AsyncIterable<Uint8Array> => blobs.read(digest, { start });
    await client.pushBlob(this.#reference, blob, open, { access: this.#access, onProgress });
    return "Pushed";
  }

  /** Repositories of this registry that had the blob once: an image was pulled from or pushed to them. */
  #repositoriesWith(digest: Digest): Reference[] {
    const { table } = this.#input;
    const found = new Map<string, Reference>();
    for (const [id, row] of table.visible()) {
      if (!row.blobs.includes(digest)) continue;
      for (const reference of table.referencesOf(id)) {
        const known = reference.digest !== undefined && reference.domain === this.#reference.domain;
        if (known && reference.path !== this.#reference.path) {
          found.set(repositoryOf(reference), parseReference(repositoryOf(reference)));
        }
      }
    }
    return [...found.values()].slice(0, MOUNTS_TRIED_MAX);
  }
}
