import { formatTimestamp, NaruError } from "../base/mod.ts";
import {
  applyChanges,
  encodeJson,
  hostPlatform,
  parsePlatform,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from "../oci/mod.ts";
import type { ContainerConfig, ImageConfig } from "../spec/mod.ts";
import { decodeContainerConfig } from "../spec/mod.ts";
import type { ByteStream } from "../storage/mod.ts";
import type { ImagePlan } from "./archive-plan.ts";
import type { ImageImportOptions } from "./contract.ts";
import { type InstallInput, single } from "./install.ts";

/** What of an import can be checked before a byte of the archive is read. Throws invalid_argument. */
export interface ImportRequest {
  readonly reference: Reference | undefined;
  readonly config: ContainerConfig;
  readonly platform: { os: string; architecture: string; variant?: string };
  readonly comment: string;
}

export function checkImport(options: ImageImportOptions): ImportRequest {
  let reference: Reference | undefined;
  if (options.repo !== "") {
    const named = parseReference(options.repo);
    if (named.digest !== undefined) {
      throw new NaruError("invalid_argument", "cannot import digest reference");
    }
    reference = options.tag === "" ? withDefaultTag(named) : withTag(named, options.tag);
  }
  const platform = parsePlatform(options.platform);
  if (platform.os !== hostPlatform().os) {
    throw new NaruError("invalid_argument", `operating system is not supported: ${platform.os}`);
  }
  return {
    reference,
    config: applyChanges(decodeContainerConfig({}, "config"), options.changes),
    platform,
    comment: options.message === "" ? "Imported from -" : options.message,
  };
}

/** Keeps the archive as a blob, unpacks it and describes it as an image of one layer. */
export async function planImport(
  source: ByteStream,
  request: ImportRequest,
  input: InstallInput,
): Promise<ImagePlan> {
  const { blobs, layers, leases, signal, clock } = input;
  const beforeVisible = (digest: Parameters<typeof leases.add>[0]): void => leases.add(digest);
  const file = await blobs.ingest(source, { signal, beforeVisible });
  if (file.sizeBytes === 0) {
    throw new NaruError("invalid_argument", "the archive to import is empty");
  }
  const layer = await layers.apply(null, blobs.read(file.digest), { signal });
  leases.add(layer.chainId);
  const created = formatTimestamp(clock.nowNs());
  const config: ImageConfig = {
    created,
    ...request.platform,
    comment: request.comment,
    config: { ...request.config },
    rootfs: { type: "layers", diff_ids: [layer.diffId] },
    history: [{ created, comment: request.comment }],
  };
  const configFile = await blobs.ingest(single(encodeJson(config)), { beforeVisible });
  return {
    id: configFile.digest,
    config,
    configFile,
    layers: [file],
    manifest: null,
    index: null,
    blobs: [file.digest, configFile.digest],
    references: request.reference === undefined ? [] : [request.reference],
  };
}
