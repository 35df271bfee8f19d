import { type Digest, digestHex, NaruError } from "../base/mod.ts";
import {
  decodeJson,
  decodeManifest,
  encodeJson,
  formatFamiliar,
  formatReference,
  isIndexType,
  MANIFEST_BYTES_MAX,
  OCI_INDEX,
  parseReference,
  type Reference,
  repositoryOf,
  type TarFileInput,
  withDefaultTag,
  writeTar,
} from "../oci/mod.ts";
import type { Descriptor, ImageIndex } from "../spec/mod.ts";
import type { BlobInfo, BlobStore, ByteStream } from "../storage/mod.ts";
import type { ImageRow } from "./image-row.ts";
import type { ImageTable } from "./image-table.ts";

/** An image to be saved, with the names that were asked for. */
export interface ChosenImage {
  readonly id: Digest;
  readonly row: ImageRow;
  readonly references: readonly { readonly reference: Reference; readonly target: Digest }[];
}

/**
 * Docker's reading of the names: a repository without a tag stands for all its tags, an id for the
 * image without a name. Throws not_found, invalid_argument.
 */
export function chooseImages(table: ImageTable, names: readonly string[]): ChosenImage[] {
  if (names.length === 0) throw new NaruError("invalid_argument", "no image was named");
  const chosen = new Map<Digest, { row: ImageRow; references: Map<string, Digest> }>();
  const choose = (id: Digest, row: ImageRow): Map<string, Digest> => {
    const known = chosen.get(id) ?? { row, references: new Map<string, Digest>() };
    chosen.set(id, known);
    return known.references;
  };
  for (const name of names) {
    const tags = tagsOfRepository(table, name);
    for (const key of tags) {
      const found = table.find(key);
      const target = table.reference(key)?.target ?? found.row.manifest.digest;
      choose(found.id, found.row).set(key, target);
    }
    if (tags.length > 0) continue;
    const { id, row, by } = table.find(name);
    const references = choose(id, row);
    if (by.kind !== "reference") continue;
    references.set(by.key, table.reference(by.key)?.target ?? row.manifest.digest);
  }
  return [...chosen].map(([id, { row, references }]) => ({
    id,
    row,
    references: [...references].map(([key, target]) => ({
      reference: parseReference(key),
      target,
    })),
  }));
}

/** Keys of all tags when `name` is nothing but a repository that has some. */
function tagsOfRepository(table: ImageTable, name: string): string[] {
  let reference: Reference;
  try {
    reference = parseReference(name);
  } catch {
    return []; // an id, or what the table has words for
  }
  if (reference.tag !== undefined || reference.digest !== undefined) return [];
  const wanted = repositoryOf(withDefaultTag(reference));
  return table
    .visible()
    .flatMap(([id]) => table.referencesOf(id))
    .filter((other) => other.digest === undefined && repositoryOf(other) === wanted)
    .map((other) => formatReference(other))
    .sort();
}

/** The archive's documents and the blobs that go with them. */
export interface SavePlan {
  readonly documents: ReadonlyMap<string, Uint8Array>;
  readonly blobs: readonly BlobInfo[];
}

/** Throws damaged when a blob that an image needs is not there. */
export async function planSave(
  images: readonly ChosenImage[],
  store: BlobStore,
): Promise<SavePlan> {
  const blobs = new Map<Digest, BlobInfo>();
  const manifests: Descriptor[] = [];
  const items: { Config: string; RepoTags: string[] | null; Layers: string[] }[] = [];
  const repositories: Record<string, Record<string, string>> = {};
  for (const image of images) {
    for (const digest of image.row.blobs) {
      const info = await store.stat(digest);
      if (info === undefined) {
        throw new NaruError("damaged", `image ${image.id}: blob ${digest} is missing`);
      }
      blobs.set(digest, info);
    }
    manifests.push(...(await descriptorsOf(image, store)));
    const manifest = decodeManifest(
      await store.readAll(image.row.manifest.digest, MANIFEST_BYTES_MAX),
      image.row.manifest.digest,
    );
    const layers = manifest.layers.map(({ digest }) => blobName(digest));
    const tags = image.references.filter(({ reference }) => reference.digest === undefined);
    const names = tags.map(({ reference }) => formatFamiliar(reference));
    const top = manifest.layers.at(-1)?.digest;
    for (const { reference } of tags) {
      const { repo, tag } = splitTag(reference);
      repositories[repo] = { ...repositories[repo], [tag]: digestHex(top ?? image.id) };
    }
    items.push({
      Config: blobName(image.id),
      RepoTags: names.length === 0 ? null : names,
      Layers: layers,
    });
  }
  const index: ImageIndex = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
  const documents = new Map<string, Uint8Array>([
    ["index.json", encodeJson(index)],
    ["manifest.json", encodeJson(items)],
    ["oci-layout", encodeJson({ imageLayoutVersion: "1.0.0" })],
  ]);
  if (Object.keys(repositories).length > 0) {
    documents.set("repositories", encodeJson(repositories));
  }
  return { documents, blobs: [...blobs.values()] };
}

function splitTag(reference: Reference): { repo: string; tag: string } {
  const name = formatFamiliar(reference);
  const colon = name.lastIndexOf(":");
  return { repo: name.slice(0, colon), tag: name.slice(colon + 1) };
}

/** One for each name: what it stands for (an index stays one), and how containerd and OCI name it. */
async function descriptorsOf(image: ChosenImage, store: BlobStore): Promise<Descriptor[]> {
  const { manifest } = image.row;
  const { mediaType, digest, size } = manifest;
  if (image.references.length === 0) return [{ mediaType, digest, size }];
  const found: Descriptor[] = [];
  for (const { reference, target } of image.references) {
    const annotations: Record<string, string> = {
      "io.containerd.image.name": formatReference(reference),
    };
    if (reference.tag !== undefined) {
      annotations["org.opencontainers.image.ref.name"] = reference.tag;
    }
    const same = target === digest || !image.row.blobs.includes(target);
    const shown = same ? { mediaType, digest, size } : await describe(target, store);
    found.push({ ...shown, annotations });
  }
  return found;
}

async function describe(
  digest: Digest,
  store: BlobStore,
): Promise<Pick<Descriptor, "mediaType" | "digest" | "size">> {
  const bytes = await store.readAll(digest, MANIFEST_BYTES_MAX);
  const document = decodeJson(bytes, digest) as { mediaType?: unknown };
  const said = typeof document.mediaType === "string" ? document.mediaType : OCI_INDEX;
  return { mediaType: isIndexType(said) ? said : OCI_INDEX, digest, size: bytes.byteLength };
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

/** The same images give the same bytes: times are zero, and blobs are in order of their digests. */
export function writeSave(plan: SavePlan, store: BlobStore): ByteStream {
  return writeTar(filesOf(plan, store));
}

async function* filesOf(
  plan: SavePlan,
  store: BlobStore,
): AsyncGenerator<TarFileInput, void, undefined> {
  yield { entry: { name: "blobs/", type: "directory" } };
  yield { entry: { name: "blobs/sha256/", type: "directory" } };
  for (const { digest, sizeBytes } of plan.blobs.toSorted((a, b) =>
    a.digest < b.digest ? -1 : 1,
  )) {
    yield { entry: { name: blobName(digest), sizeBytes }, content: store.read(digest) };
  }
  for (const [name, bytes] of plan.documents) {
    yield { entry: { name, sizeBytes: bytes.byteLength }, content: [bytes] };
  }
}

/** `source`, with the leases given back when it ends or is left. */
export async function* leased(
  source: ByteStream,
  leases: readonly Disposable[],
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source;
  } finally {
    for (const lease of leases) lease[Symbol.dispose]();
  }
}
