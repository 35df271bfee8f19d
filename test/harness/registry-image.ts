import { createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type TarEntry, tarArchive } from "../../scripts/tar-writer.ts";

/** A blob as a manifest names it. */
export interface BlobDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [more: string]: unknown;
}

/** An image made by code and put into a registry by plain HTTP: no client that is tested has a part in it. */
export interface MadeImage {
  readonly manifest: Buffer;
  readonly mediaType: string;
  readonly digest: string;
  readonly config: BlobDescriptor;
  readonly layers: readonly BlobDescriptor[];
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

export interface MadeLayer {
  readonly entries?: readonly TarEntry[];
  /** Instead of entries. */
  readonly tar?: Uint8Array;
  readonly compression?: "gzip" | "zstd" | "none";
  /** More of the descriptor, such as urls of a foreign layer. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export const OCI = "application/vnd.oci.image";
const SUFFIX = { gzip: "+gzip", zstd: "+zstd", none: "" } as const;

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Bytes that no compression makes smaller, the same for the same seed. */
export function noise(sizeBytes: number, seed: string): Buffer {
  const key = createHash("sha256").update(seed).digest();
  const out = Buffer.alloc(sizeBytes);
  for (let offset = 0, block = key; offset < sizeBytes; offset += block.length) {
    block = createHash("sha512").update(block).digest();
    block.copy(out, offset, 0, Math.min(block.length, sizeBytes - offset));
  }
  return out;
}

/** A layer with one file. */
export function fileLayer(path: string, data: Uint8Array | string): MadeLayer {
  return { entries: [{ path, kind: "file", data }] };
}

export function makeImage(
  layers: readonly MadeLayer[],
  options: {
    architecture?: string;
    config?: Readonly<Record<string, unknown>>;
    manifest?: Readonly<Record<string, unknown>>;
  } = {},
): MadeImage {
  const blobs = new Map<string, Uint8Array>();
  const keep = (mediaType: string, data: Uint8Array, more: object = {}): BlobDescriptor => {
    const digest = sha256(data);
    blobs.set(digest, data);
    return { mediaType, digest, size: data.length, ...more };
  };
  const tars = layers.map((layer) => layer.tar ?? tarArchive(layer.entries ?? []));
  const descriptors = layers.map((layer, index) => {
    const compression = layer.compression ?? "gzip";
    const mediaType = `${OCI}.layer.v1.tar${SUFFIX[compression]}`;
    return keep(mediaType, compress(tars[index] as Uint8Array, compression), layer.more);
  });
  const config = {
    architecture: options.architecture ?? (process.arch === "x64" ? "amd64" : process.arch),
    os: "linux",
    created: "2024-01-01T00:00:00Z",
    config: { Cmd: ["sh"], Env: ["PATH=/bin"], ...options.config },
    rootfs: { type: "layers", diff_ids: tars.map((tar) => sha256(tar)) },
  };
  const mediaType = `${OCI}.manifest.v1+json`;
  const body = {
    schemaVersion: 2,
    mediaType,
    config: keep(`${OCI}.config.v1+json`, Buffer.from(JSON.stringify(config))),
    layers: descriptors,
    ...options.manifest,
  };
  const manifest = Buffer.from(JSON.stringify(body, null, 1)); // spaces that must survive
  const digest = sha256(manifest);
  return { manifest, mediaType, digest, config: body.config, layers: descriptors, blobs };
}

function compress(tar: Uint8Array, how: "gzip" | "zstd" | "none"): Uint8Array {
  if (how === "none") return tar;
  return how === "zstd" ? zstdCompressSync(tar) : gzipSync(tar, { level: 1 });
}

/** Puts blobs and manifest into a registry's repository. Throws with what the registry says. */
export async function putImage(
  url: string,
  repository: string,
  tag: string,
  image: MadeImage,
): Promise<void> {
  for (const [digest, bytes] of image.blobs) await putBlob(url, repository, digest, bytes);
  await putManifest(url, repository, tag, image);
}

export async function putBlob(
  url: string,
  repository: string,
  digest: string,
  bytes: Uint8Array,
): Promise<void> {
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: "POST" });
  const place = new URL(begun.headers.get("location") ?? "", url);
  place.searchParams.set("digest", digest);
  const headers = { "content-type": "application/octet-stream" };
  const put = await fetch(place, { method: "PUT", headers, body: bytes.slice() });
  if (put.status !== 201) throw new Error(`blob: ${put.status} ${await put.text()}`);
}

export async function putManifest(
  url: string,
  repository: string,
  target: string,
  { manifest, mediaType }: { readonly manifest: Uint8Array; readonly mediaType: string },
): Promise<void> {
  const put = await fetch(`${url}/v2/${repository}/manifests/${target}`, {
    method: "PUT",
    headers: { "content-type": mediaType },
    body: manifest.slice(),
  });
  if (put.status !== 201) throw new Error(`manifest: ${put.status} ${await put.text()}`);
}

/** An index of images, each with what its entry says besides. */
export function makeIndex(
  entries: readonly (readonly [image: Pick<MadeImage, "manifest" | "mediaType">, more: object])[],
): { manifest: Buffer; mediaType: string; digest: string } {
  const mediaType = `${OCI}.index.v1+json`;
  const manifests = entries.map(([{ manifest, mediaType: type }, more]) => ({
    ...{ mediaType: type, digest: sha256(manifest), size: manifest.length },
    ...more,
  }));
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  return { manifest, mediaType, digest: sha256(manifest) };
}
