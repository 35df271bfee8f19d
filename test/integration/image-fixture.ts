import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Digest, digestHex, digestOf, systemClock } from "../../src/base/mod.ts";
import { type EngineEvent } from "../../src/events/mod.ts";
import {
  createImageService,
  type ImageImportOptions,
  type ImageService,
} from "../../src/images/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import { encodeTarEntry, type TarEntryInput, tarPadding, tarTrailer } from "../../src/oci/mod.ts";
import { createRegistryClient, type RegistryClient } from "../../src/registry-client/mod.ts";
import type { ImageSummary, ProgressMessage } from "../../src/spec/mod.ts";
import {
  createWorkQueue,
  type LayerStore,
  type LayerStoreControl,
  type Metadata,
  openBlobStore,
  openLayerStore,
  openMetadata,
  type WorkQueue,
} from "../../src/storage/mod.ts";

/** An image service of its own in a temporary folder, and image archives made by code. */
export const base: string = mkdtempSync(join(tmpdir(), "naru-images-"));
let serial = 0;
export let root: string;
export let metadata: Metadata;
export let work: WorkQueue;
export let layers: LayerStore & LayerStoreControl;
export let images: ImageService;
export let events: EngineEvent[];
export let users: Map<Digest, { containerId: string; running: boolean }[]>;

/** Tests of images on disk ask no registry. */
function offlineRegistry(): RegistryClient {
  return createRegistryClient({
    hosts: () => ({
      mirrors: new Map(),
      insecure: [],
      certsDirs: [],
      proxies: { httpProxy: "", httpsProxy: "", noProxy: "" },
      offline: true,
      attemptsMax: 1,
    }),
    clock: systemClock,
    logger: silentLogger,
    userAgent: "naru-test",
  });
}

export async function openAll(path: string): Promise<void> {
  root = path;
  mkdirSync(root, { recursive: true });
  events = [];
  users = new Map();
  metadata = await openMetadata(join(root, "naru.db"));
  work = createWorkQueue(metadata, { clock: systemClock, logger: silentLogger });
  layers = await openLayerStore({
    root: join(root, "layers"),
    metadata,
    work,
    logger: silentLogger,
  });
  const blobs = await openBlobStore(root);
  images = await createImageService({
    metadata,
    blobs,
    layers,
    events: { publish: (event) => void events.push(event) },
    users: { usersOf: (id) => users.get(id) ?? [] },
    clock: systemClock,
    logger: silentLogger,
    registry: offlineRegistry(),
    downloadsMax: () => 3,
    uploadsMax: () => 5,
  });
  work.start();
}

export async function closeAll(): Promise<void> {
  layers.close();
  await work.idle();
  await work.stop();
  await metadata.close();
}

/** Registers the hooks of a test file. */
export function useStore(): void {
  beforeAll(() => openAll(join(base, "first")));
  beforeEach(async () => {
    await closeAll();
    await openAll(join(base, String((serial += 1))));
  });
  afterAll(async () => {
    await closeAll();
    rmSync(base, { recursive: true, force: true });
  });
}

// --- archives made here ------------------------------------------------------------------------

export function entry(input: TarEntryInput, content: string | Uint8Array = ""): Buffer {
  const body = Buffer.from(content as Uint8Array);
  const sizeBytes = input.sizeBytes ?? body.byteLength;
  return Buffer.concat([
    encodeTarEntry({ ...input, sizeBytes }),
    body,
    tarPadding(body.byteLength),
  ]);
}

export const archive = (...entries: Uint8Array[]): Buffer =>
  Buffer.concat([...entries, tarTrailer()]);
export const layerTar = (name: string, content = "content"): Buffer =>
  archive(entry({ name }, content));
export const hex = (bytes: string | Uint8Array): string => digestHex(digestOf(bytes));

export function configJson(
  layerTars: readonly Uint8Array[],
  config: unknown = {},
  more: object = {},
): string {
  return JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created: "2026-01-02T03:04:05.678901234Z",
    config,
    rootfs: { type: "layers", diff_ids: layerTars.map((tar) => digestOf(tar)) },
    history: [
      ...layerTars.map((_, index) => ({
        created: "2026-01-02T03:04:05Z",
        created_by: `ADD ${index}`,
        comment: "c",
      })),
      { created: "2026-01-02T03:04:05Z", created_by: "CMD", empty_layer: true },
    ],
    ...more,
  });
}

export interface DockerArchiveOptions {
  readonly tags: readonly string[] | null;
  readonly config?: unknown;
  /** manifest.json in front instead of at the end. */
  readonly manifestFirst?: boolean;
}

export function dockerArchive(
  layerTars: readonly Uint8Array[],
  options: DockerArchiveOptions,
): Buffer {
  const config = configJson(layerTars, options.config);
  const names = layerTars.map((_, index) => `layer${index}/layer.tar`);
  const manifest = JSON.stringify([
    { Config: `${hex(config)}.json`, RepoTags: options.tags, Layers: names },
  ]);
  const files = layerTars.map((tar, index) => entry({ name: names[index] as string }, tar));
  files.unshift(entry({ name: `${hex(config)}.json` }, config));
  const manifestFile = entry({ name: "manifest.json" }, manifest);
  return archive(
    ...(options.manifestFirst === true ? [manifestFile, ...files] : [...files, manifestFile]),
  );
}

export interface LayoutImage {
  readonly tar: Uint8Array;
  readonly architecture?: string;
}

/** A layout whose index.json names one index over `list`, or the one manifest itself. */
export function ociLayout(
  list: readonly LayoutImage[],
  annotations: Record<string, string>,
  nested: boolean,
): {
  readonly bytes: Buffer;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  readonly manifests: readonly {
    digest: Digest;
    configDigest: Digest;
    platform: { architecture: string };
  }[];
} {
  const blobs = new Map<string, Uint8Array>();
  const put = (bytes: Uint8Array, mediaType: string) => {
    blobs.set(hex(bytes), bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
  };
  const manifests = list.map(({ tar, architecture = "amd64" }) => {
    const config = Buffer.from(configJson([tar], {}, { architecture }));
    const manifest = Buffer.from(
      // Blanks, so that a re-encoded manifest would have another digest.
      `${JSON.stringify({
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: put(config, "application/vnd.oci.image.config.v1+json"),
        layers: [put(gzipSync(tar), "application/vnd.oci.image.layer.v1.tar+gzip")],
      })}  \n`,
    );
    const descriptor = put(manifest, "application/vnd.oci.image.manifest.v1+json");
    return {
      ...descriptor,
      platform: { os: "linux", architecture },
      configDigest: digestOf(config),
    };
  });
  const plain = manifests.map(({ mediaType, digest, size, platform }) => ({
    mediaType,
    digest,
    size,
    platform,
  }));
  const inner = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: plain }));
  const target = nested ? put(inner, "application/vnd.oci.image.index.v1+json") : plain[0];
  const index = JSON.stringify({ schemaVersion: 2, manifests: [{ ...target, annotations }] });
  const bytes = archive(
    entry({ name: "oci-layout" }, '{"imageLayoutVersion":"1.0.0"}'),
    entry({ name: "index.json" }, index),
    ...[...blobs].map(([name, content]) => entry({ name: `blobs/sha256/${name}` }, content)),
  );
  return { bytes, blobs, manifests };
}

// --- driving the service -----------------------------------------------------------------------

export async function* stream(
  bytes: Uint8Array,
  step = 50_000,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += step) yield bytes.subarray(at, at + step);
}

export async function load(bytes: Uint8Array, quiet = true): Promise<ProgressMessage[]> {
  const signal = new AbortController().signal;
  return Array.fromAsync(images.load(stream(bytes), { quiet, signal }));
}

export function importing(
  bytes: Uint8Array,
  options: Partial<ImageImportOptions> = {},
): Promise<ProgressMessage[]> {
  const signal = new AbortController().signal;
  const full = { repo: "", tag: "", message: "", changes: [], platform: "", signal, ...options };
  return Array.fromAsync(images.import(stream(bytes), full));
}

export const list = (
  filters: Record<string, string[]> = {},
  sharedSize = false,
): Promise<ImageSummary[]> =>
  images.list({ all: false, sharedSize, filters: new Map(Object.entries(filters)) });
export const blobNames = (): string[] => readdirSync(join(root, "blobs/sha256")).sort();

export async function expectEmpty(): Promise<void> {
  await work.idle();
  expect(blobNames()).toEqual([]);
  expect(readdirSync(join(root, "ingest"))).toEqual([]);
  for (const folder of ["l", "unpack", "trash"]) {
    expect(readdirSync(join(root, "layers", folder))).toEqual([]);
  }
}
