import { digestOf, NaruError } from "../base/mod.ts";
import {
  CONFIG_BYTES_MAX,
  decodeImageConfig,
  decodeIndex,
  decodeManifest,
  isImageConfigType,
  isIndexType,
} from "../oci/mod.ts";
import type { Platform } from "../spec/mod.ts";
import type { ClientParts } from "./across.ts";
import { readBlob } from "./blob-reader.ts";
import type { RegistryAccess, RemoteImage, RepositoryName, SizedDigest } from "./contract.ts";
import { fetchManifest, targetName } from "./manifests.ts";

/** Descriptor and platforms of a tag or digest; the configuration of a single image says its own. */
export async function inspectRemote(
  parts: ClientParts,
  repository: RepositoryName,
  target: string,
  access: RegistryAccess,
): Promise<RemoteImage> {
  const { mediaType, digest, bytes } = await fetchManifest(parts, repository, target, access);
  const what = targetName(repository, target);
  const descriptor = { mediaType, digest, size: bytes.length };
  if (isIndexType(mediaType)) {
    const rows = decodeIndex(bytes, what).manifests;
    return { descriptor, platforms: rows.flatMap(({ platform }) => platform ?? []) };
  }
  const { config } = decodeManifest(bytes, what);
  if (!isImageConfigType(config.mediaType)) return { descriptor, platforms: [] };
  const platform = await configPlatform(parts, repository, config, access);
  return { descriptor, platforms: [platform] };
}

async function configPlatform(
  parts: ClientParts,
  repository: RepositoryName,
  blob: SizedDigest,
  access: RegistryAccess,
): Promise<Platform> {
  const what = `the configuration ${blob.digest}`;
  if (blob.size > CONFIG_BYTES_MAX) {
    throw new NaruError("too_large", `${what} has more than ${CONFIG_BYTES_MAX} bytes`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob(parts, repository, blob, { access })) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (digestOf(bytes) !== blob.digest) {
    throw new NaruError("damaged", `${what} does not match its digest`, { digest: blob.digest });
  }
  const { architecture, os, variant } = decodeImageConfig(bytes, what) as Platform;
  return { architecture, os, ...(variant === undefined ? {} : { variant }) };
}
