import { type Digest, formatTimestamp, NaruError } from "../base/mod.ts";
import {
  chainIdOf,
  decodeManifest,
  encodeJson,
  hostPlatform,
  MANIFEST_BYTES_MAX,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from "../oci/mod.ts";
import type { ContainerConfig, ImageConfig, ImageHistory } from "../spec/mod.ts";
import type { BlobInfo, ByteStream } from "../storage/mod.ts";
import type { ImagePlan } from "./archive-plan.ts";
import type { ImageCommitOptions } from "./contract.ts";
import type { ImageRow } from "./image-row.ts";
import { type InstallInput, single } from "./install.ts";

/** Fields of a container's configuration that an image has. @see OCI image-spec config.md */
const IMAGE_FIELDS: readonly (keyof ContainerConfig)[] = [
  ...(["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir"] as const),
  ...(["Labels", "StopSignal", "StopTimeout", "Healthcheck", "OnBuild", "Shell"] as const),
  ...(["ArgsEscaped"] as const),
];

/** What can be checked before anything is read. Throws invalid_argument in Docker's words. */
export function commitReference(repo: string, tag: string): Reference | undefined {
  if (repo === "") return undefined;
  const named = parseReference(repo);
  if (named.digest !== undefined) {
    throw new NaruError("invalid_argument", "refusing to create a tag with a digest reference");
  }
  return tag === "" ? withDefaultTag(named) : withTag(named, tag);
}

/** The parent's layers with one more on top, which `source` brings as a tar. */
export async function planCommit(
  source: ByteStream,
  parent: { readonly row: ImageRow; readonly chainId: Digest | null },
  options: ImageCommitOptions,
  input: InstallInput,
): Promise<ImagePlan> {
  const { blobs, layers, leases, signal, clock } = input;
  const reference = commitReference(options.repo, options.tag);
  const { row } = parent;
  for (const digest of row.blobs) leases.add(digest);
  const below = await layersOf(row, input);
  const beforeVisible = (digest: Digest): void => leases.add(digest);
  const file = await blobs.ingest(source, { signal, beforeVisible });
  // The blob is plain: its digest is the diff id, and the chain can be leased before it is seen.
  leases.add(chainIdOf(parent.chainId, file.digest));
  const layer = await layers.apply(parent.chainId, blobs.read(file.digest), {
    expectDiffId: file.digest,
    signal,
  });
  const created = formatTimestamp(clock.nowNs());
  const config = configOf(row.config, layer.diffId, created, options);
  const configFile = await blobs.ingest(single(encodeJson(config)), { beforeVisible });
  return {
    id: configFile.digest,
    config,
    configFile,
    layers: [...below, file],
    manifest: null,
    index: null,
    blobs: [...below, file, configFile].map(({ digest }) => digest),
    references: reference === undefined ? [] : [reference],
  };
}

async function layersOf(row: ImageRow, { blobs }: InstallInput): Promise<BlobInfo[]> {
  const { digest } = row.manifest;
  const manifest = decodeManifest(await blobs.readAll(digest, MANIFEST_BYTES_MAX), digest);
  return manifest.layers.map((layer) => ({ digest: layer.digest, sizeBytes: layer.size }));
}

function configOf(
  parent: ImageConfig,
  diffId: Digest,
  created: string,
  options: ImageCommitOptions,
): ImageConfig {
  const entry: ImageHistory = { created, created_by: options.createdBy };
  if (options.author !== "") entry.author = options.author;
  if (options.comment !== "") entry.comment = options.comment;
  const host = hostPlatform();
  const config: ImageConfig = {
    created,
    architecture: parent.architecture || host.architecture,
    os: parent.os || host.os,
    config: imageFields(options.config),
    rootfs: { type: "layers", diff_ids: [...parent.rootfs.diff_ids, diffId] },
    history: [...(parent.history ?? []), entry],
  };
  if (options.author !== "") config.author = options.author;
  if (options.comment !== "") config.comment = options.comment;
  if (parent.variant !== undefined) config.variant = parent.variant;
  if (parent["os.version"] !== undefined) config["os.version"] = parent["os.version"];
  return config;
}

function imageFields(config: ContainerConfig): Record<string, unknown> {
  const given = IMAGE_FIELDS.map((field) => [field, config[field]] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined && value !== null));
}
