import { isDigest, MiB, NaruError } from "../base/mod.ts";
import type { Descriptor, ImageConfig, ImageIndex, ImageManifest } from "../spec/mod.ts";

export const MANIFEST_BYTES_MAX: number = 4 * MiB; // distribution-spec: registries accept 4 MiB
export const CONFIG_BYTES_MAX: number = 8 * MiB; // labels and history of generated images reach 1 MiB
export const INDEX_DEPTH_MAX: number = 4; // indexes in indexes; two levels are in use
const LAYERS_MAX = 1000; // beyond what overlay can mount; merging comes before it
const MANIFESTS_MAX = 10_000;
const JSON_DEPTH_MAX = 64;

/** Decodes JSON of a document `what`. Throws invalid_argument naming it. */
export function decodeJson(bytes: Uint8Array, what: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new NaruError("invalid_argument", `${what} is not JSON`, {}, { cause: error });
  }
  checkDepth(value, what, 0);
  return value;
}

function checkDepth(value: unknown, what: string, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth > JSON_DEPTH_MAX) {
    throw new NaruError("invalid_argument", `${what} is nested too deeply`);
  }
  for (const member of Object.values(value)) checkDepth(member, what, depth + 1);
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new NaruError("invalid_argument", `${what} is not a JSON object`);
}

/** Throws invalid_argument naming the field. Unknown fields stay: bytes are what counts. */
export function decodeManifest(bytes: Uint8Array, what: string): ImageManifest {
  const fields = fieldsOf(decodeJson(bytes, what), what);
  checkSchema(fields, what);
  if ("manifests" in fields) {
    throw new NaruError("invalid_argument", `${what} has both layers and manifests`);
  }
  checkDescriptor(fields["config"], `${what}: config`);
  checkList(fields["layers"], `${what}: layers`, LAYERS_MAX);
  return fields as unknown as ImageManifest;
}

export function decodeIndex(bytes: Uint8Array, what: string): ImageIndex {
  const fields = fieldsOf(decodeJson(bytes, what), what);
  checkSchema(fields, what);
  if ("layers" in fields || "config" in fields) {
    throw new NaruError("invalid_argument", `${what} has both manifests and layers`);
  }
  checkList(fields["manifests"], `${what}: manifests`, MANIFESTS_MAX);
  return fields as unknown as ImageIndex;
}

function checkSchema(fields: Fields, what: string): void {
  if (fields["schemaVersion"] === 2) return;
  throw new NaruError("invalid_argument", `${what}: schemaVersion is not 2`);
}

function checkList(value: unknown, what: string, countMax: number): void {
  if (!Array.isArray(value)) throw new NaruError("invalid_argument", `${what} is not a list`);
  if (value.length > countMax) {
    throw new NaruError("invalid_argument", `${what} has more than ${countMax} elements`);
  }
  for (const [index, element] of value.entries()) checkDescriptor(element, `${what}[${index}]`);
}

function checkDescriptor(value: unknown, what: string): asserts value is Descriptor {
  const fields = fieldsOf(value, what);
  const { digest, size, mediaType, platform, annotations } = fields as Record<string, unknown>;
  if (typeof digest !== "string" || !isDigest(digest)) {
    throw new NaruError("invalid_argument", `${what}: digest is not a sha256 digest`);
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw new NaruError("invalid_argument", `${what}: size is not a number of bytes`);
  }
  if (mediaType !== undefined && typeof mediaType !== "string") {
    throw new NaruError("invalid_argument", `${what}: mediaType is not a text`);
  }
  if (platform !== undefined && platform !== null) {
    const { os, architecture } = fieldsOf(platform, `${what}: platform`) as Record<string, unknown>;
    if (typeof os !== "string" || typeof architecture !== "string") {
      throw new NaruError("invalid_argument", `${what}: platform lacks os or architecture`);
    }
  }
  if (annotations === undefined || annotations === null) return;
  for (const [key, text] of Object.entries(fieldsOf(annotations, `${what}: annotations`))) {
    if (typeof text === "string") continue;
    throw new NaruError("invalid_argument", `${what}: annotation ${key} is not a text`);
  }
}

/** The parts of an image's configuration that the engine reads. Throws invalid_argument. */
export function decodeImageConfig(bytes: Uint8Array, what: string): ImageConfig {
  const fields = fieldsOf(decodeJson(bytes, what), what);
  for (const key of ["created", "author", "architecture", "os", "variant", "comment"]) {
    const value = fields[key];
    if (value === undefined || value === null || typeof value === "string") continue;
    throw new NaruError("invalid_argument", `${what}: ${key} is not a text`);
  }
  const rootfs = fieldsOf(fields["rootfs"], `${what}: rootfs`);
  // null is what Go writes for an image without layers.
  const diffIds = rootfs["diff_ids"] ?? [];
  if (rootfs["type"] !== "layers" || !Array.isArray(diffIds) || diffIds.length > LAYERS_MAX) {
    throw new NaruError("invalid_argument", `${what}: rootfs is not a list of layers`);
  }
  for (const [index, diffId] of diffIds.entries()) {
    if (typeof diffId === "string" && isDigest(diffId)) continue;
    const message = `${what}: rootfs.diff_ids[${index}] is not a sha256 digest`;
    throw new NaruError("invalid_argument", message);
  }
  const history = fields["history"] ?? [];
  if (!Array.isArray(history)) {
    throw new NaruError("invalid_argument", `${what}: history is not a list`);
  }
  for (const [index, item] of history.entries()) fieldsOf(item, `${what}: history[${index}]`);
  if (fields["config"] !== undefined && fields["config"] !== null) {
    fieldsOf(fields["config"], `${what}: config`);
  }
  return {
    ...(fields as unknown as ImageConfig),
    architecture: (fields["architecture"] as string | undefined) ?? "",
    os: (fields["os"] as string | undefined) ?? "",
    rootfs: { type: "layers", diff_ids: diffIds },
    history: history as NonNullable<ImageConfig["history"]>,
  };
}

/** Canonical JSON of a document that naru itself makes: the same input gives the same digest. */
export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
