import {
  type Clock,
  type Digest,
  errorMessage,
  isNaruError,
  KeyedQueue,
  NaruError,
} from "../base/mod.ts";
import type { EventBus } from "../events/mod.ts";
import type { Logger } from "../observe/mod.ts";
import {
  chainIdsOf,
  familiarName,
  formatFamiliar,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from "../oci/mod.ts";
import type { RegistryClient } from "../registry-client/mod.ts";
import type {
  AttestationStatement,
  BlobCheck,
  HistoryItem,
  ImageDeleteItem,
  ImageInspect,
  ImageSummary,
  ProgressMessage,
  StoredThing,
} from "../spec/mod.ts";
import type { BlobStore, ByteStream, LayerStore, Metadata } from "../storage/mod.ts";
import { readArchive } from "./archive.ts";
import { planArchive } from "./archive-plan.ts";
import { commitReference, planCommit } from "./commit.ts";
import type {
  AttestationOptions,
  ImageCommitOptions,
  ImageImportOptions,
  ImageListOptions,
  ImageLoadOptions,
  ImageLookOptions,
  ImagePullOptions,
  ImagePushOptions,
  ImageService,
  ImageUsers,
  ImageVerifyOptions,
  ResolvedImage,
} from "./contract.ts";
import { crashPoint } from "./crash-point.ts";
import { type Freed, removeBlob, removeLayers, removeUnreachable } from "./garbage.ts";
import { historyOf } from "./history.ts";
import { type ImageRow, type ReferenceRow } from "./image-row.ts";
import { type FoundImage, ImageTable } from "./image-table.ts";
import { checkImport, planImport } from "./import.ts";
import { type InstallInput, installImage } from "./install.ts";
import { KeptDigests } from "./kept-digests.ts";
import { type LeaseGroup, Leases } from "./leases.ts";
import { listImages } from "./list.ts";
import { type Emit, withProgress } from "./progress.ts";
import { planRemoval } from "./remove.ts";
import { chooseImages, leased, planSave, writeSave } from "./save.ts";
import { storedThings } from "./stored-things.ts";
import { ImageTravel } from "./travel.ts";
import { attestationsOf, findVariant, manifestSummaries, type VariantInput } from "./variants.ts";
import { verifyBlobs } from "./verify.ts";
import {
  chainIdOfImage,
  containerConfigOf,
  inspectOf,
  splitReferences,
  type ViewInput,
} from "./view.ts";

export interface ImageServiceOptions {
  readonly metadata: Metadata;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly events: Pick<EventBus, "publish">;
  /** Asked at use: containers are there after images. */
  readonly users: ImageUsers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: RegistryClient;
  /** Blobs of all pulls that are downloaded at a time. */
  readonly downloadsMax: () => number;
  readonly uploadsMax: () => number;
}

/** Opens the images of the data root; removes what loads that a crash cut off have left. */
export async function createImageService(options: ImageServiceOptions): Promise<ImageService> {
  const service = new StoredImageService(options);
  await service.sweep();
  return service;
}

class StoredImageService implements ImageService {
  readonly #options: ImageServiceOptions;
  readonly #table: ImageTable;
  readonly #kept: KeptDigests;
  readonly #leases: Leases;
  readonly #travel: ImageTravel;
  readonly #leasedImages: Map<Digest, number> = new Map();
  /** Tagging and removing see each other's results. */
  readonly #changes: KeyedQueue<""> = new KeyedQueue();

  constructor(options: ImageServiceOptions) {
    this.#options = options;
    this.#table = new ImageTable(options.metadata);
    this.#kept = new KeptDigests(options.metadata, options.clock);
    this.#leases = new Leases(this.#kept);
    const { registry: client, ...rest } = options;
    this.#travel = new ImageTravel({ ...rest, client, table: this.#table, kept: this.#kept });
  }

  /** Garbage that is certain without knowing the containers. */
  async sweep(): Promise<void> {
    const freed = await removeUnreachable(this.#garbageInput());
    if (freed.blobs + freed.layers > 0) {
      this.#options.logger.info("removed what no image refers to", { ...freed });
    }
  }

  #garbageInput(): Parameters<typeof removeUnreachable>[0] {
    const { blobs, layers } = this.#options;
    return { table: this.#table, blobs, layers, leases: this.#leases };
  }

  resolve(name: string): ResolvedImage {
    return this.#resolved(this.#table.find(name));
  }

  find(name: string): ResolvedImage | undefined {
    try {
      return this.resolve(name);
    } catch (error) {
      if (isNaruError(error, "not_found")) return undefined;
      throw error;
    }
  }

  #resolved({ id, row }: FoundImage): ResolvedImage {
    return {
      id,
      config: row.config,
      containerConfig: containerConfigOf(row.config),
      chainId: chainIdOfImage(row.config),
      repoTags: splitReferences(this.#table.referencesOf(id)).tags,
    };
  }

  async *load(
    source: ByteStream,
    options: ImageLoadOptions,
  ): AsyncGenerator<ProgressMessage, void, undefined> {
    yield* withProgress(
      (emit, signal) => this.#load(source, emit, { ...options, signal }),
      options.signal,
    );
  }

  async #load(source: ByteStream, emit: Emit, options: ImageLoadOptions): Promise<void> {
    const { blobs } = this.#options;
    const { signal, quiet } = options;
    await this.#ingesting(async (leases) => {
      const archive = await readArchive(source, { blobs, leases, signal });
      for (const plan of await planArchive(archive)) {
        const input = this.#installInput(leases, signal, quiet ? undefined : emit);
        const replaced = await installImage(plan, input);
        for (const { reference, image } of replaced) {
          const text = formatFamiliar(reference);
          const stream = `The image ${text} already exists, renaming the old one with ID ${image} to empty string\n`;
          emit({ stream });
        }
        this.#publish("load", plan.id);
        const names = plan.references.map(
          (reference) => `Loaded image: ${formatFamiliar(reference)}\n`,
        );
        if (names.length === 0) names.push(`Loaded image ID: ${plan.id}\n`);
        for (const stream of names) emit({ stream });
      }
    });
  }

  async *import(
    source: ByteStream,
    options: ImageImportOptions,
  ): AsyncGenerator<ProgressMessage, void, undefined> {
    const request = checkImport(options);
    yield* withProgress(async (emit, signal) => {
      await this.#ingesting(async (leases) => {
        const input = this.#installInput(leases, signal, undefined);
        const plan = await planImport(source, request, input);
        await installImage(plan, input);
        for (const reference of plan.references) {
          this.#publish("tag", plan.id, formatFamiliar(reference));
        }
        this.#publish("import", plan.id);
        emit({ status: plan.id });
      });
    }, options.signal);
  }

  async commit(parent: Digest, layer: ByteStream, options: ImageCommitOptions): Promise<Digest> {
    commitReference(options.repo, options.tag);
    const row = this.#table.image(parent);
    if (row === undefined) throw new NaruError("not_found", `No such image: ${parent}`);
    let made = parent;
    await this.#ingesting(async (leases) => {
      const input = this.#installInput(leases, options.signal, undefined);
      const chainId = chainIdOfImage(row.config);
      const plan = await planCommit(layer, { row, chainId }, options, input);
      await installImage(plan, input);
      made = plan.id;
      for (const reference of plan.references) {
        this.#publish("tag", plan.id, formatFamiliar(reference));
      }
    });
    return made;
  }

  async *pull(options: ImagePullOptions): AsyncGenerator<ProgressMessage, void, undefined> {
    yield* withProgress(
      (emit, signal) =>
        this.#ingesting((leases) =>
          this.#travel.pull(options, { emit, signal, leases }, ({ id, reference }) =>
            this.#publishTravel("pull", id, reference),
          ),
        ),
      options.signal,
    );
  }

  async *push(options: ImagePushOptions): AsyncGenerator<ProgressMessage, void, undefined> {
    yield* withProgress(
      (emit, signal) =>
        this.#travel.push(options, { emit, signal }, (reference) =>
          this.#publishTravel("push", this.#table.named(reference)?.image, reference),
        ),
      options.signal,
    );
  }

  /** Docker's events of pull and push are about names. */
  #publishTravel(action: string, id: Digest | undefined, reference: Reference): void {
    const row = id === undefined ? undefined : this.#table.image(id);
    this.#publishWith(
      action,
      formatFamiliar(reference),
      familiarName(reference),
      row === undefined ? {} : labelsOf(row),
    );
  }

  async save(names: readonly string[]): Promise<ByteStream> {
    const chosen = chooseImages(this.#table, names);
    const leases = chosen.map(({ id }) => this.lease(id));
    const { blobs } = this.#options;
    try {
      const plan = await planSave(chosen, blobs);
      for (const { id } of chosen) this.#publish("save", id);
      return leased(writeSave(plan, blobs), leases);
    } catch (error) {
      for (const lease of leases) lease[Symbol.dispose]();
      throw error;
    }
  }

  #installInput(leases: LeaseGroup, signal: AbortSignal, emit: Emit | undefined): InstallInput {
    const { blobs, layers, clock } = this.#options;
    return { table: this.#table, blobs, layers, clock, leases, signal, emit };
  }

  /** Runs `task` with leases; what it leased and nothing refers to in the end is removed again. */
  async #ingesting(task: (leases: LeaseGroup) => Promise<void>): Promise<void> {
    const leases = this.#leases.open();
    try {
      await task(leases);
    } finally {
      const held = leases.held();
      leases[Symbol.dispose]();
      await this.#removeUnneeded(held, held).catch((error: unknown) => {
        // The next start removes it; what the task has to say is more important.
        this.#options.logger.error("cannot remove what a load left", {
          error: errorMessage(error),
        });
      });
    }
  }

  async #removeUnneeded(chainIds: readonly Digest[], blobs: readonly Digest[]): Promise<Digest[]> {
    const input = this.#garbageInput();
    const removed = await removeLayers(input, chainIds);
    for (const digest of blobs) await removeBlob(input, digest);
    return removed.map(({ chainId }) => chainId);
  }

  async list(options: ImageListOptions): Promise<ImageSummary[]> {
    const { layers, users, clock } = this.#options;
    const found = listImages({ table: this.#table, layers, users, clock }, options);
    if (options.manifests !== true) return found;
    for (const summary of found) {
      const name = summary.RepoTags[0] ?? summary.RepoDigests[0] ?? summary.Id;
      summary.Manifests = await manifestSummaries(this.#variants(), this.#table.find(name));
    }
    return found;
  }

  async inspect(
    name: string,
    { platform, manifests }: ImageLookOptions = { platform: "", manifests: false },
  ): Promise<ImageInspect> {
    const found = await findVariant(this.#variants(), name, platform);
    const shown = inspectOf(this.#viewInput(found));
    if (!manifests) return shown;
    return { ...shown, Manifests: await manifestSummaries(this.#variants(), found) };
  }

  async history(name: string, platform: string = ""): Promise<HistoryItem[]> {
    const found = await findVariant(this.#variants(), name, platform);
    return historyOf({ found, table: this.#table, layers: this.#options.layers });
  }

  attestations(name: string, options: AttestationOptions): Promise<AttestationStatement[]> {
    return attestationsOf(this.#variants(), name, options);
  }

  #variants(): VariantInput {
    const { blobs, layers, users } = this.#options;
    return { table: this.#table, blobs, layers, users };
  }

  #viewInput({ id, row }: FoundImage): ViewInput {
    const references = this.#table.referencesOf(id);
    return { id, row, references, layers: this.#options.layers };
  }

  tag(name: string, target: { repo: string; tag: string }): Promise<void> {
    return this.#changes.run("", async () => this.#tag(name, tagTarget(target)));
  }

  async #tag(name: string, reference: Reference): Promise<void> {
    const { id, row, by } = this.#table.find(name);
    const changed: ImageRow = { ...row, lastTagNs: this.#options.clock.nowNs().toString() };
    // A second name of an index stands for all of it.
    const target = by.kind === "reference" ? this.#table.reference(by.key)?.target : undefined;
    const value: ReferenceRow = { image: id, target: target ?? row.manifest.digest };
    await this.#table.write({
      images: new Map([[id, changed]]),
      references: new Map([[formatReference(reference), value]]),
    });
    this.#publish("tag", id, formatFamiliar(reference));
  }

  remove(name: string, options: { force: boolean; noprune: boolean }): Promise<ImageDeleteItem[]> {
    // noprune is about parents that only a builder leaves; layers without an image are nobody's.
    return this.#changes.run("", () => this.#remove(name, options.force));
  }

  async #remove(name: string, force: boolean): Promise<ImageDeleteItem[]> {
    const found = this.#table.find(name);
    const { id, row } = found;
    const users = this.#options.users.usersOf(id);
    const references = this.#table.referencesOf(id);
    const plan = planRemoval(found, references, { users, force });
    const used = this.#inUse(id);
    const labels = labelsOf(row);
    const gone = plan.untag.map((reference) => [formatReference(reference), undefined] as const);
    await this.#table.write({
      references: new Map(gone),
      // Containers that were made of it keep its layers, and it keeps its row for as long.
      images: new Map(plan.deleteImage ? [[id, used ? { ...row, removed: true } : undefined]] : []),
    });
    crashPoint("untag.after-commit");
    for (const _ of plan.untag) this.#publishWith("untag", id, id, labels);
    const items: ImageDeleteItem[] = plan.untag.map((reference) => ({
      Untagged: formatFamiliar(reference),
    }));
    if (!plan.deleteImage) return items;
    this.#publishWith("delete", id, id, {});
    items.push({ Deleted: id });
    if (!used && this.#inUse(id)) {
      // A container was begun while that was written: its layers must stay known.
      await this.#table.write({ images: new Map([[id, { ...row, removed: true }]]) });
      return items;
    }
    const chainIds = chainIdsOf(row.config.rootfs.diff_ids);
    const layers = used ? [] : await this.#removeUnneeded(chainIds, row.blobs);
    return [...items, ...layers.map((chainId) => ({ Deleted: chainId }))];
  }

  #inUse(id: Digest): boolean {
    return this.#leasedImages.has(id) || this.#options.users.usersOf(id).length > 0;
  }

  count(): number {
    return this.#table.visible().length;
  }

  lease(id: Digest): Disposable {
    const row = this.#table.image(id);
    if (row === undefined) {
      throw new NaruError("not_found", `No such image: ${id}`, { id });
    }
    const group = this.#leases.open();
    for (const digest of row.blobs) group.add(digest);
    for (const chainId of chainIdsOf(row.config.rootfs.diff_ids)) group.add(chainId);
    this.#leasedImages.set(id, (this.#leasedImages.get(id) ?? 0) + 1);
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        group[Symbol.dispose]();
        const count = (this.#leasedImages.get(id) ?? 1) - 1;
        if (count > 0) this.#leasedImages.set(id, count);
        else this.#leasedImages.delete(id);
      },
    };
  }

  verify({ repair, credentials, signal }: ImageVerifyOptions): AsyncIterable<BlobCheck> {
    const { registry: client, blobs } = this.#options;
    return verifyBlobs({
      ...{ client, blobs, repair, table: this.#table },
      access: { credentials, signal },
    });
  }

  stored(): AsyncIterable<StoredThing> {
    return storedThings({ ...this.#garbageInput(), users: this.#options.users });
  }

  async collectGarbage(): Promise<Freed> {
    await this.#kept.dropOld();
    const unused = this.#table.hidden().filter((id) => !this.#inUse(id));
    await this.#table.write({ images: new Map(unused.map((id) => [id, undefined])) });
    return removeUnreachable(this.#garbageInput());
  }

  /** Docker's attributes: the image's labels and `name`, which is the id for all but `tag`. */
  #publish(action: string, id: Digest, name: string = id): void {
    const row = this.#table.image(id);
    this.#publishWith(action, id, name, row === undefined ? {} : labelsOf(row));
  }

  #publishWith(action: string, id: string, name: string, labels: Record<string, string>): void {
    const attributes = { ...labels, name };
    this.#options.events.publish({ type: "image", action, id, attributes });
  }
}

function labelsOf(row: ImageRow): Record<string, string> {
  return { ...containerConfigOf(row.config).Labels };
}

/** Docker's rules for `repo` and `tag`: the tag parameter wins over one in the repository. */
function tagTarget(target: { repo: string; tag: string }): Reference {
  if (/^sha256(?::|$)/.test(target.repo) || /^[0-9a-f]{64}$/.test(target.repo)) {
    throw new NaruError(
      "invalid_argument",
      "refusing to create an ambiguous tag using digest algorithm as name",
    );
  }
  const named = parseReference(target.repo);
  if (named.digest !== undefined) {
    throw new NaruError("invalid_argument", "refusing to create a tag with a digest reference");
  }
  return target.tag === "" ? withDefaultTag(named) : withTag(named, target.tag);
}
