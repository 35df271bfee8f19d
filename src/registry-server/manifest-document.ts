import {
  DOCKER_INDEX,
  DOCKER_MANIFEST,
  decodeJson,
  isIndexType,
  isManifestType,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../oci/mod.ts";
import { DESCRIPTORS_MAX, MEDIA_TYPE_CHARACTERS_MAX } from "./limits.ts";
import { type ContentDigest, isContentDigest, shown } from "./names.ts";
import { refusal } from "./refusal.ts";

/** What the registry reads of a manifest or an index; the bytes stay as they came. */
export interface ManifestDocument {
  readonly mediaType: string;
  /** Of the referrers API: `artifactType`, or the configuration's type. "" where there is none. */
  readonly artifactType: string;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  readonly subject: ContentDigest | undefined;
  /** Configuration and layers. */
  readonly blobs: readonly ContentDigest[];
  /** Those of `blobs` that live elsewhere and need not be here. */
  readonly foreign: readonly ContentDigest[];
  /** Manifests of an index. They need not be here: an index may be copied in part. */
  readonly manifests: readonly ContentDigest[];
}

type Fields = Readonly<Record<string, unknown>>;

const FOREIGN_TYPE = /\.(?:foreign|nondistributable)\./;

/**
 * Reads a manifest. `contentType` is the header that it came with, "" where it had none. Throws
 * MANIFEST_INVALID naming the field.
 */
export function readManifest(bytes: Uint8Array, contentType: string): ManifestDocument {
  const fields = objectOf(parsed(bytes), "the manifest");
  const mediaType = typeOf(fields, contentType);
  if (fields["schemaVersion"] !== 2) {
    const version = fields["schemaVersion"] === 1 ? "1 is no longer taken" : "is not 2";
    throw invalid(`schemaVersion ${version}: push a manifest of Docker schema 2 or OCI`);
  }
  const isIndex = isIndexType(mediaType);
  if (isIndex && ("layers" in fields || "config" in fields)) {
    throw invalid("it has both manifests and layers");
  }
  if (!isIndex && "manifests" in fields) throw invalid("it has both layers and manifests");
  const config = isIndex ? undefined : descriptorOf(fields["config"], "config");
  const layers = isIndex ? [] : descriptorsOf(fields["layers"], "layers");
  const children = isIndex ? descriptorsOf(fields["manifests"], "manifests") : [];
  const subject = isAbsent(fields["subject"])
    ? undefined
    : descriptorOf(fields["subject"], "subject");
  const artifactType = shortText(fields["artifactType"], "artifactType");
  return {
    mediaType,
    artifactType: artifactType === "" ? (config?.mediaType ?? "") : artifactType,
    annotations: annotationsOf(fields["annotations"]),
    subject: subject?.digest,
    blobs: [...(config === undefined ? [] : [config]), ...layers].map(({ digest }) => digest),
    foreign: layers.filter(({ isForeign }) => isForeign).map(({ digest }) => digest),
    manifests: children.map(({ digest }) => digest),
  };
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return decodeJson(bytes, "the manifest");
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : "it is not JSON");
  }
}

/** The header decides; the field must not contradict it. */
function typeOf(fields: Fields, contentType: string): string {
  const header = (contentType.split(";")[0] ?? "").trim();
  const field = shortText(fields["mediaType"], "mediaType");
  if (header !== "" && field !== "" && header !== field) {
    throw invalid(`its mediaType is "${shown(field)}" and its Content-Type "${shown(header)}"`);
  }
  const type = header || field || ("manifests" in fields ? OCI_INDEX : OCI_MANIFEST);
  if (isIndexType(type) || isManifestType(type)) return type;
  const known = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
  throw invalid(`its type "${shown(type)}" is none of ${known}`);
}

interface Described {
  readonly digest: ContentDigest;
  readonly mediaType: string;
  readonly isForeign: boolean;
}

function descriptorsOf(value: unknown, what: string): readonly Described[] {
  if (value === null || value === undefined) return []; // Go's encoding of an empty list
  if (!Array.isArray(value)) throw invalid(`${what} is not a list`);
  if (value.length > DESCRIPTORS_MAX) {
    throw invalid(`${what} has more than ${DESCRIPTORS_MAX} elements`);
  }
  return value.map((element, index) => descriptorOf(element, `${what}[${index}]`));
}

function descriptorOf(value: unknown, what: string): Described {
  const fields = objectOf(value, what);
  const { digest, size, urls } = fields as Record<string, unknown>;
  if (typeof digest !== "string" || !isContentDigest(digest)) {
    throw invalid(`${what}: digest is not a sha256 or sha512 digest`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${what}: size is not a number of bytes`);
  }
  const mediaType = shortText(fields["mediaType"], `${what}: mediaType`);
  const isForeign = FOREIGN_TYPE.test(mediaType) || (Array.isArray(urls) && urls.length > 0);
  return { digest, mediaType, isForeign };
}

function annotationsOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (value === null || value === undefined) return undefined;
  const fields = objectOf(value, "annotations");
  for (const [key, text] of Object.entries(fields)) {
    if (typeof text !== "string") throw invalid(`annotation "${shown(key)}" is not a text`);
  }
  return fields as Readonly<Record<string, string>>;
}

function isAbsent(value: unknown): boolean {
  return value === null || value === undefined;
}

function objectOf(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(`${what} is not a JSON object`);
}

function shortText(value: unknown, what: string): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") throw invalid(`${what} is not a text`);
  if (value.length > MEDIA_TYPE_CHARACTERS_MAX) {
    throw invalid(`${what} has more than ${MEDIA_TYPE_CHARACTERS_MAX} characters`);
  }
  return value;
}

function invalid(reason: string): Error {
  return refusal("MANIFEST_INVALID", `the manifest is refused: ${reason}`);
}
