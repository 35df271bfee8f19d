import { type Digest, NaruError } from "../base/mod.ts";
import {
  chainIdsOf,
  decodeIndex,
  decodeJson,
  decodeManifest,
  formatPlatform,
  hostPlatform,
  MANIFEST_BYTES_MAX,
  parsePlatform,
  platformScore,
} from "../oci/mod.ts";
import {
  type AttestationStatement,
  type Descriptor,
  type ImageManifestSummary,
  isObject,
} from "../spec/mod.ts";
import type { BlobStore, LayerStore } from "../storage/mod.ts";
import type { AttestationOptions, ImageUsers } from "./contract.ts";
import type { FoundImage, ImageTable } from "./image-table.ts";
import { isAttestation } from "./pull/remote-plan.ts";
import { imageSizeBytes } from "./view.ts";

export interface VariantPlace {
  readonly table: ImageTable;
  readonly blobs: BlobStore;
}

export interface VariantInput extends VariantPlace {
  readonly layers: LayerStore;
  readonly users: ImageUsers;
}

const REFERENCE_DIGEST = "vnd.docker.reference.digest";
const PREDICATE = "in-toto.io/predicate-type";
const IN_TOTO = "application/vnd.in-toto+json";
const STATEMENT_BYTES_MAX: number = 16 * 1024 * 1024; // a large image's SBOM has some megabytes

/**
 * What `name` stands for on a platform: every image of its index that is here counts. "" is the image
 * that the name is for. Throws not_found in Docker's words.
 */
export async function findVariant(
  input: VariantPlace,
  name: string,
  platform: string,
): Promise<FoundImage> {
  const found = input.table.find(name);
  if (platform === "") return found;
  const wanted = parsePlatform(platform);
  const members = new Set((await manifestsOf(input, found)).map(({ digest }) => digest));
  const candidates = input.table
    .visible()
    .filter(([id, row]) => id === found.id || members.has(row.manifest.digest));
  let best: { readonly image: FoundImage; readonly score: number } | undefined;
  for (const [id, row] of candidates) {
    const score = platformScore(wanted, row.config);
    if (score <= (best?.score ?? 0)) continue;
    best = { image: id === found.id ? found : { id, row, by: { kind: "id" } }, score };
  }
  if (best !== undefined) return best.image;
  throw new NaruError(
    "not_found",
    `image with reference ${name} was found but does not provide the specified platform (${formatPlatform(wanted)})`,
  );
}

/** The entries of the index that a name stands for; of a lone manifest, that one. */
async function manifestsOf(
  { table, blobs }: VariantPlace,
  { row, by }: FoundImage,
): Promise<readonly Descriptor[]> {
  const own = [row.manifest];
  const named = by.kind === "reference" ? table.reference(by.key)?.target : undefined;
  // By its id an image is found without a name: whatever index it came with is among its blobs.
  const targets = named === undefined ? row.blobs : [named];
  for (const target of targets) {
    if (target === row.manifest.digest) continue;
    const info = await blobs.stat(target);
    if (info === undefined || info.sizeBytes > MANIFEST_BYTES_MAX) continue;
    if (named === undefined && !(await isIndex(target, blobs))) continue;
    return decodeIndex(await blobs.readAll(target, MANIFEST_BYTES_MAX), target).manifests;
  }
  return own;
}

async function isIndex(digest: Digest, blobs: BlobStore): Promise<boolean> {
  for await (const chunk of blobs.read(digest, { end: 1 })) if (chunk[0] !== 0x7b) return false; // "{"
  try {
    const document = decodeJson(await blobs.readAll(digest, MANIFEST_BYTES_MAX), digest);
    return isObject(document) && Array.isArray(document["manifests"]);
  } catch {
    return false;
  }
}

/** `manifests=true`: what the index names, and how much of it is here. */
export async function manifestSummaries(
  input: VariantInput,
  found: FoundImage,
): Promise<ImageManifestSummary[]> {
  const all: ImageManifestSummary[] = [];
  for (const descriptor of await manifestsOf(input, found)) {
    all.push(await summaryOfManifest(input, descriptor));
  }
  return all;
}

async function summaryOfManifest(
  { table, blobs, layers, users }: VariantInput,
  descriptor: Descriptor,
): Promise<ImageManifestSummary> {
  const { digest } = descriptor;
  const parts = await presentParts(blobs, digest);
  const image = table.visible().find(([, row]) => row.manifest.digest === digest);
  const attestation = isAttestation(descriptor);
  const unpacked = image === undefined ? 0 : imageSizeBytes(image[1].config, layers);
  const config = image?.[1].config;
  const platform =
    descriptor.platform ??
    (config === undefined
      ? { os: "", architecture: "" }
      : {
          os: config.os,
          architecture: config.architecture,
          ...(config.variant ? { variant: config.variant } : {}),
        });
  const about = descriptor.annotations?.[REFERENCE_DIGEST];
  const complete =
    parts.complete &&
    (attestation ||
      (config !== undefined &&
        chainIdsOf(config.rootfs.diff_ids).every((id) => layers.get(id) !== undefined)));
  return {
    ID: digest,
    Descriptor: descriptor,
    Available: complete,
    Size: { Content: parts.bytes, Total: parts.bytes + unpacked },
    Kind: attestation ? "attestation" : "image",
    ...(attestation
      ? { AttestationData: { For: about ?? "" } }
      : {
          ImageData: {
            Platform: platform,
            Containers:
              image === undefined ? [] : users.usersOf(image[0]).map((user) => user.containerId),
            Size: { Unpacked: unpacked },
          },
        }),
  };
}

/** Of a manifest and what it names: the bytes that are here, and whether that is all. */
async function presentParts(
  blobs: BlobStore,
  digest: Digest,
): Promise<{ bytes: number; complete: boolean }> {
  const own = await blobs.stat(digest);
  if (own === undefined) return { bytes: 0, complete: false };
  const { config, layers } = decodeManifest(
    await blobs.readAll(digest, MANIFEST_BYTES_MAX),
    digest,
  );
  let [bytes, complete] = [own.sizeBytes, true];
  for (const part of [config, ...layers]) {
    const info = await blobs.stat(part.digest);
    if (info === undefined) complete = false;
    else bytes += info.sizeBytes;
  }
  return { bytes, complete };
}

/** The statements about one variant; none when nothing is attested. */
export async function attestationsOf(
  input: VariantInput,
  name: string,
  options: AttestationOptions,
): Promise<AttestationStatement[]> {
  const { blobs } = input;
  const named = input.table.find(name);
  const host = formatPlatform(hostPlatform());
  const variant = await findVariant(input, name, options.platform || host);
  const statements: AttestationStatement[] = [];
  for (const entry of await manifestsOf(input, named)) {
    if (entry.annotations?.[REFERENCE_DIGEST] !== variant.row.manifest.digest) continue;
    if ((await blobs.stat(entry.digest)) === undefined) continue;
    const bytes = await blobs.readAll(entry.digest, MANIFEST_BYTES_MAX);
    for (const layer of decodeManifest(bytes, entry.digest).layers) {
      const type = layer.annotations?.[PREDICATE] ?? "";
      if (layer.mediaType !== IN_TOTO) continue;
      if (options.types.length > 0 && !options.types.includes(type)) continue;
      const text = options.statement ? await blobs.readAll(layer.digest, STATEMENT_BYTES_MAX) : "";
      statements.push({
        Descriptor: layer,
        PredicateType: type,
        ...(text === "" ? {} : { Statement: decodeJson(text, layer.digest) }),
      });
    }
  }
  return statements;
}
