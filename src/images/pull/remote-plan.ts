import { type Digest, digestOf, isNaruError, MiB, NaruError } from "../../base/mod.ts";
import {
  CONFIG_BYTES_MAX,
  decodeImageConfig,
  decodeIndex,
  decodeManifest,
  formatPlatform,
  hostPlatform,
  INDEX_DEPTH_MAX,
  isImageConfigType,
  isIndexType,
  parsePlatform,
  platformScore,
} from "../../oci/mod.ts";
import type {
  RegistryAccess,
  RegistryClient,
  RemoteManifest,
  RepositoryName,
  SizedDigest,
} from "../../registry-client/mod.ts";
import type { Descriptor, ImageConfig, ImageManifest } from "../../spec/mod.ts";

/** A document that was read whole, to be kept as a blob. */
export interface RemoteDocument {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** What of a registry's image is going to be here. */
export interface RemotePlan {
  /** The configuration's digest. */
  readonly id: Digest;
  readonly config: ImageConfig;
  /** What the name stands for: an index, or the manifest. */
  readonly target: Pick<Descriptor, "mediaType" | "digest" | "size">;
  readonly manifest: Pick<Descriptor, "mediaType" | "digest" | "size">;
  readonly image: ImageManifest;
  readonly layers: readonly Descriptor[];
  /** Manifests, indexes, the configuration, attestations. */
  readonly documents: readonly RemoteDocument[];
}

export interface RemotePlanInput {
  readonly client: RegistryClient;
  readonly repository: RepositoryName;
  readonly access: RegistryAccess;
  /** `os[/arch[/variant]]`; "" for the host's. */
  readonly platform: string;
}

/** Attestations are statements of some kilobytes; an SBOM of a large image has some megabytes. */
const ATTESTATION_BYTES_MAX = 16 * MiB;

/** Reads everything but the layers. Throws not_found, unauthorized, forbidden, unsupported, damaged. */
export async function planRemote(target: string, input: RemotePlanInput): Promise<RemotePlan> {
  const { client, repository, access } = input;
  const documents: RemoteDocument[] = [];
  const top = await client.manifest(repository, target, access);
  documents.push(top);
  const found = await findImage(top, input, documents, 0);
  const { manifest } = found;
  if (!isImageConfigType(manifest.config.mediaType)) {
    throw new NaruError(
      "unsupported",
      `${target} is no image that can run: its configuration has the type ${(manifest.artifactType ?? manifest.config.mediaType).slice(0, 200)}`,
    );
  }
  const configBytes = await readSmall(
    manifest.config,
    CONFIG_BYTES_MAX,
    "the configuration",
    input,
  );
  documents.push({ digest: manifest.config.digest, bytes: configBytes });
  const config = decodeImageConfig(configBytes, `the configuration of ${target}`);
  checkPlatform(config, input.platform, target);
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    const counts = `${manifest.layers.length} layers and its configuration ${config.rootfs.diff_ids.length}`;
    throw new NaruError("invalid_argument", `${target} has ${counts}`);
  }
  for (const { mediaType } of manifest.layers) checkLayerType(mediaType);
  if (found.index !== undefined) {
    documents.push(...(await attestationsOf(found.index, found.document.digest, input)));
  }
  return {
    id: manifest.config.digest,
    config,
    target: descriptorOf(top),
    manifest: descriptorOf(found.document),
    image: manifest,
    layers: manifest.layers,
    documents,
  };
}

function descriptorOf({
  mediaType,
  digest,
  bytes,
}: RemoteManifest): Pick<Descriptor, "mediaType" | "digest" | "size"> {
  return { mediaType, digest, size: bytes.byteLength };
}

interface FoundManifest {
  readonly document: RemoteManifest;
  readonly manifest: ImageManifest;
  /** Whose manifest it is: attestations are its neighbours. */
  readonly index: readonly Descriptor[] | undefined;
}

async function findImage(
  document: RemoteManifest,
  input: RemotePlanInput,
  documents: RemoteDocument[],
  depth: number,
  siblings?: readonly Descriptor[],
): Promise<FoundManifest> {
  const what = `manifest ${document.digest}`;
  if (!isIndexType(document.mediaType)) {
    return { document, manifest: decodeManifest(document.bytes, what), index: siblings };
  }
  if (depth >= INDEX_DEPTH_MAX) {
    throw new NaruError(
      "invalid_argument",
      `${what}: indexes are nested deeper than ${INDEX_DEPTH_MAX}`,
    );
  }
  const { manifests } = decodeIndex(document.bytes, what);
  const chosen = choosePlatform(manifests, input.platform);
  const next = await input.client.manifest(input.repository, chosen.digest, input.access);
  documents.push(next);
  return findImage(next, input, documents, depth + 1, manifests);
}

/** The manifest of an index for a platform. Throws not_found in Docker's words. */
export function choosePlatform(manifests: readonly Descriptor[], platform: string): Descriptor {
  const wanted = parsePlatform(platform);
  let best: { readonly descriptor: Descriptor; readonly score: number } | undefined;
  for (const descriptor of manifests) {
    if (isAttestation(descriptor)) continue;
    const score =
      descriptor.platform === undefined ? 0.5 : platformScore(wanted, descriptor.platform);
    if (score > (best?.score ?? 0)) best = { descriptor, score };
  }
  if (best !== undefined) return best.descriptor;
  throw new NaruError(
    "not_found",
    `no matching manifest for ${formatPlatform(wanted)} in the manifest list entries`,
  );
}

const REFERENCE_TYPE = "vnd.docker.reference.type";
const REFERENCE_DIGEST = "vnd.docker.reference.digest";

export function isAttestation(descriptor: Descriptor): boolean {
  return (
    descriptor.platform?.os === "unknown" || descriptor.annotations?.[REFERENCE_TYPE] !== undefined
  );
}

/** One manifest without an index says only in its configuration what it is for. */
function checkPlatform(config: ImageConfig, platform: string, target: string): void {
  const wanted = platform === "" ? hostPlatform() : parsePlatform(platform);
  if (config.os === "" || config.architecture === "") return; // old builders left it out
  if (platformScore(wanted, config) > 0) return;
  // Without a wish the image is taken as it is, as docker does: it may be for an emulator.
  if (platform === "" && config.os === wanted.os) return;
  throw new NaruError(
    "not_found",
    `image with reference ${target} was found but its platform (${formatPlatform(config)}) does not match the specified platform (${formatPlatform(wanted)})`,
  );
}

const LAYER_TYPES: RegExp =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+gzip|\+zstd)?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.gzip|\.zstd)?)$/;

function checkLayerType(mediaType: string): void {
  if (LAYER_TYPES.test(mediaType)) return;
  throw new NaruError("unsupported", `layers of the type ${mediaType.slice(0, 200)} are not known`);
}

/** The statements about one manifest. What cannot be had of them is left out: the image runs without. */
async function attestationsOf(
  index: readonly Descriptor[],
  about: Digest,
  input: RemotePlanInput,
): Promise<RemoteDocument[]> {
  const named = index.filter(
    ({ annotations, size }) =>
      annotations?.[REFERENCE_TYPE] === "attestation-manifest" &&
      annotations[REFERENCE_DIGEST] === about &&
      size <= ATTESTATION_BYTES_MAX,
  );
  const documents: RemoteDocument[] = [];
  try {
    for (const { digest } of named) {
      const document = await input.client.manifest(input.repository, digest, input.access);
      const { config, layers } = decodeManifest(document.bytes, `attestation ${digest}`);
      const parts = [config, ...layers];
      if (parts.reduce((bytes, { size }) => bytes + size, 0) > ATTESTATION_BYTES_MAX) continue;
      const read = parts.map(async (part) => ({
        digest: part.digest,
        bytes: await readSmall(part, ATTESTATION_BYTES_MAX, "an attestation", input),
      }));
      documents.push(document, ...(await Promise.all(read)));
    }
  } catch (error) {
    if (isNaruError(error, "cancelled") || input.access.signal.aborted) throw error;
    return [];
  }
  return documents;
}

async function readSmall(
  blob: SizedDigest,
  bytesMax: number,
  what: string,
  { client, repository, access }: RemotePlanInput,
): Promise<Uint8Array> {
  if (blob.size > bytesMax) {
    throw new NaruError("too_large", `${what} ${blob.digest} has more than ${bytesMax} bytes`);
  }
  const chunks = await Array.fromAsync(client.blob(repository, blob, { access }));
  const bytes = Buffer.concat(chunks);
  if (digestOf(bytes) === blob.digest) return bytes;
  client.damaged(blob.digest);
  throw new NaruError("damaged", `${what} does not match its digest ${blob.digest}`);
}
