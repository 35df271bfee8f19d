import { type Digest, NaruError } from "../base/mod.ts";
import {
  CONFIG_BYTES_MAX,
  decodeImageConfig,
  decodeIndex,
  decodeJson,
  decodeManifest,
  hostPlatform,
  INDEX_DEPTH_MAX,
  isImageConfigType,
  isIndexType,
  isManifestType,
  MANIFEST_BYTES_MAX,
  parseReference,
  platformScore,
  type Reference,
  withDefaultTag,
} from "../oci/mod.ts";
import type { Descriptor, ImageConfig, ImageManifest } from "../spec/mod.ts";
import type { BlobInfo } from "../storage/mod.ts";
import { type Archive, DOCUMENT_BYTES_MAX } from "./archive.ts";

/** One image of an archive, ready to be unpacked. */
export interface ImagePlan {
  readonly id: Digest;
  readonly config: ImageConfig;
  readonly configFile: BlobInfo;
  readonly layers: readonly BlobInfo[];
  /** null: the archive has none, so one is made. */
  readonly manifest: Pick<Descriptor, "mediaType" | "digest" | "size"> | null;
  /** What its names stand for; null: the manifest. */
  readonly index: Digest | null;
  readonly blobs: readonly Digest[];
  readonly references: Reference[];
}

/** What an archive holds, OCI's index.json first because it keeps digests. Throws invalid_argument. */
export async function planArchive(archive: Archive): Promise<ImagePlan[]> {
  const index = archive.file("index.json");
  const docker = archive.file("manifest.json");
  const plans = index === undefined ? [] : await planLayout(archive, index);
  if (docker !== undefined) await addDockerArchive(archive, docker, plans);
  if (index === undefined && docker === undefined) {
    throw new NaruError(
      "invalid_argument",
      archive.file("repositories") === undefined
        ? "invalid image archive: it has neither manifest.json nor index.json"
        : "invalid image archive: the format before Docker 1.10 (repositories without manifest.json) is not supported",
    );
  }
  if (plans.length === 0) throw new NaruError("invalid_argument", "the archive holds no image");
  return plans;
}

// --- docker-archive ----------------------------------------------------------------------------

async function addDockerArchive(
  archive: Archive,
  file: BlobInfo,
  plans: ImagePlan[],
): Promise<void> {
  const items = decodeJson(await archive.read(file, DOCUMENT_BYTES_MAX), "manifest.json");
  if (!Array.isArray(items)) throw malformed("manifest.json is not a list");
  for (const [index, item] of items.entries()) {
    const what = `manifest.json[${index}]`;
    const { Config, RepoTags, Layers } = (item ?? {}) as Record<string, unknown>;
    if (typeof Config !== "string") throw malformed(`${what}: Config is not a text`);
    const references = textList(RepoTags, `${what}: RepoTags`).map((tag) =>
      withDefaultTag(parseReference(tag)),
    );
    const layerNames = textList(Layers, `${what}: Layers`);
    const configFile = archive.need(Config);
    const known = plans.find((plan) => plan.id === configFile.digest);
    if (known !== undefined) {
      addReferences(known, references);
      continue;
    }
    const bytes = await archive.read(configFile, CONFIG_BYTES_MAX);
    const config = decodeImageConfig(bytes, Config);
    const layers = layerNames.map((name) => archive.need(name));
    checkLayerCount(config, layers.length, what);
    const blobs = [configFile, ...layers].map(({ digest }) => digest);
    const id = configFile.digest;
    plans.push({ id, config, configFile, layers, manifest: null, index: null, blobs, references });
  }
}

function textList(value: unknown, what: string): string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((text) => typeof text === "string")) return value;
  throw malformed(`${what} is not a list of texts`);
}

function addReferences(plan: ImagePlan, references: readonly Reference[]): void {
  for (const reference of references) {
    const same = (other: Reference): boolean => JSON.stringify(other) === JSON.stringify(reference);
    if (!plan.references.some(same)) plan.references.push(reference);
  }
}

function checkLayerCount(config: ImageConfig, count: number, what: string): void {
  const wanted = config.rootfs.diff_ids.length;
  if (wanted !== count) {
    throw malformed(`${what} has ${count} layers and its configuration ${wanted}`);
  }
}

// --- OCI image layout --------------------------------------------------------------------------

async function planLayout(archive: Archive, file: BlobInfo): Promise<ImagePlan[]> {
  const index = decodeIndex(await archive.read(file, MANIFEST_BYTES_MAX), "index.json");
  const plans: ImagePlan[] = [];
  for (const descriptor of index.manifests) {
    const plan = await planTarget(archive, descriptor);
    if (plan === undefined) continue;
    const known = plans.find(({ id, index: top }) => id === plan.id && top === plan.index);
    if (known === undefined) plans.push(plan);
    else addReferences(known, plan.references);
  }
  return plans;
}

/** An image of the layout's index; undefined for artifacts. */
async function planTarget(archive: Archive, target: Descriptor): Promise<ImagePlan | undefined> {
  const blobs = new Set<Digest>();
  const manifests: { descriptor: Descriptor; manifest: ImageManifest }[] = [];
  await collect(archive, target, { blobs, manifests, depth: 0 });
  const chosen = choose(manifests);
  if (chosen === undefined) return undefined;
  const { manifest, descriptor } = chosen;
  const what = `manifest ${descriptor.digest}`;
  const configFile = needBlob(archive, manifest.config, what);
  const bytes = await archive.read(configFile, CONFIG_BYTES_MAX);
  const config = decodeImageConfig(bytes, `config ${manifest.config.digest}`);
  const layers = manifest.layers.map((layer) => needBlob(archive, layer, what));
  checkLayerCount(config, layers.length, what);
  return {
    id: configFile.digest,
    config,
    configFile,
    layers,
    manifest: {
      mediaType: descriptor.mediaType,
      digest: descriptor.digest,
      size: descriptor.size,
    },
    index: target.digest === descriptor.digest ? null : target.digest,
    blobs: [...blobs],
    references: namesOf(target),
  };
}

interface Collected {
  readonly blobs: Set<Digest>;
  readonly manifests: { descriptor: Descriptor; manifest: ImageManifest }[];
  readonly depth: number;
}

/** All that `descriptor` refers to and the archive carries; other platforms may be left out of it. */
async function collect(archive: Archive, descriptor: Descriptor, into: Collected): Promise<void> {
  if (into.blobs.has(descriptor.digest)) return;
  const file = archive.blob(descriptor.digest);
  if (file === undefined) {
    if (into.depth > 0) return;
    throw malformed(`blob ${descriptor.digest} is missing`);
  }
  if (file.sizeBytes !== descriptor.size) {
    throw malformed(
      `blob ${descriptor.digest} has ${file.sizeBytes} bytes, not ${descriptor.size}`,
    );
  }
  into.blobs.add(descriptor.digest);
  const what = `blob ${descriptor.digest}`;
  if (isIndexType(descriptor.mediaType)) {
    if (into.depth >= INDEX_DEPTH_MAX) {
      throw malformed(`indexes are nested deeper than ${INDEX_DEPTH_MAX}`);
    }
    const index = decodeIndex(await archive.read(file, MANIFEST_BYTES_MAX), what);
    const below = { ...into, depth: into.depth + 1 };
    for (const child of index.manifests) await collect(archive, child, below);
  } else if (isManifestType(descriptor.mediaType)) {
    const manifest = decodeManifest(await archive.read(file, MANIFEST_BYTES_MAX), what);
    into.manifests.push({ descriptor, manifest });
    for (const child of [manifest.config, ...manifest.layers]) {
      if (archive.blob(child.digest) !== undefined) into.blobs.add(child.digest);
    }
  }
}

/** The host's image, or the only one that there is. */
function choose(
  manifests: readonly { descriptor: Descriptor; manifest: ImageManifest }[],
): { descriptor: Descriptor; manifest: ImageManifest } | undefined {
  const images = manifests.filter(
    ({ descriptor, manifest }) =>
      isImageConfigType(manifest.config.mediaType) &&
      descriptor.platform?.os !== "unknown" && // attestations
      descriptor.annotations?.["vnd.docker.reference.type"] === undefined,
  );
  if (images.length <= 1) return images[0];
  const wanted = hostPlatform();
  const scored = images
    .map((image) => ({
      image,
      score:
        image.descriptor.platform === undefined
          ? 1
          : platformScore(wanted, image.descriptor.platform),
    }))
    .sort((a, b) => b.score - a.score);
  const best = scored[0];
  if (best !== undefined && best.score > 0) return best.image;
  const text = `the archive has no image for ${wanted.os}/${wanted.architecture}`;
  throw new NaruError("invalid_argument", text);
}

function needBlob(archive: Archive, descriptor: Descriptor, what: string): BlobInfo {
  const file = archive.blob(descriptor.digest);
  if (file === undefined) throw malformed(`${what}: blob ${descriptor.digest} is missing`);
  if (file.sizeBytes === descriptor.size) return file;
  throw malformed(
    `${what}: blob ${descriptor.digest} has ${file.sizeBytes} bytes, not ${descriptor.size}`,
  );
}

/** containerd's annotation is the whole name; OCI's may be one, or a tag that means nothing alone. */
function namesOf(descriptor: Descriptor): Reference[] {
  const full = descriptor.annotations?.["io.containerd.image.name"];
  const name = full ?? descriptor.annotations?.["org.opencontainers.image.ref.name"];
  if (name === undefined || (full === undefined && !/[:/]/.test(name))) return [];
  return [withDefaultTag(parseReference(name))];
}

function malformed(what: string): NaruError {
  return new NaruError("invalid_argument", `invalid image archive: ${what}`);
}
