import { type Clock, type Digest, isNaruError, NaruError } from "../../base/mod.ts";
import { chainIdsOf, formatFamiliar, formatReference, type Reference } from "../../oci/mod.ts";
import type { RegistryAccess, RegistryClient } from "../../registry-client/mod.ts";
import type { BlobStore, LayerStore } from "../../storage/mod.ts";
import type { ImagePlan } from "../archive-plan.ts";
import type { ImageTable } from "../image-table.ts";
import { installImage, single } from "../install.ts";
import type { KeptDigests } from "../kept-digests.ts";
import type { LeaseGroup } from "../leases.ts";
import type { Emit } from "../progress.ts";
import type { BlobDownloads } from "./blob-downloads.ts";
import { LayerFetch } from "./layer-fetch.ts";
import { planRemote, type RemotePlan } from "./remote-plan.ts";

export interface PullInput {
  readonly client: RegistryClient;
  readonly downloads: BlobDownloads;
  readonly table: ImageTable;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly kept: KeptDigests;
  readonly leases: LeaseGroup;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly access: RegistryAccess;
  readonly platform: string;
}

/**
 * Pulls one tag or digest. Durable when resolved. A crash or an error midway leaves verified blobs,
 * unpacked layers and parts of blobs, which the next pull of the same name goes on with.
 */
export async function pullImage(
  reference: Reference,
  input: PullInput,
): Promise<{ id: Digest; isNew: boolean }> {
  const { emit, table } = input;
  const target = reference.digest ?? reference.tag ?? "latest";
  const plan = await readPlan(reference, target, input);
  emit({ status: `Pulling from ${reference.path}`, id: target });
  const isNew = !(await isHere(reference, plan, input));
  if (isNew) await fetchAndInstall(reference, plan, input);
  else await nameDigest(reference, plan, table);
  emit({ status: `Digest: ${plan.target.digest}` });
  const familiar = formatFamiliar(reference);
  emit({
    status: isNew
      ? `Status: Downloaded newer image for ${familiar}`
      : `Status: Image is up to date for ${familiar}`,
  });
  return { id: plan.id, isNew };
}

async function readPlan(
  reference: Reference,
  target: string,
  input: PullInput,
): Promise<RemotePlan> {
  const { client, access, platform } = input;
  return await planRemote(target, { client, repository: reference, access, platform });
}

/** The name stands for this image already, and nothing of it is missing. */
async function isHere(
  reference: Reference,
  plan: RemotePlan,
  { table, blobs, layers }: PullInput,
): Promise<boolean> {
  const row = table.image(plan.id);
  const named = table.reference(formatReference(reference));
  if (row === undefined || row.removed === true) return false;
  if (named?.image !== plan.id || named.target !== plan.target.digest) return false;
  if (row.manifest.digest !== plan.manifest.digest) return false;
  if (chainIdsOf(plan.config.rootfs.diff_ids).some((id) => layers.get(id) === undefined)) {
    return false;
  }
  for (const digest of blobsOf(plan)) if ((await blobs.stat(digest)) === undefined) return false;
  return true;
}

function blobsOf(plan: RemotePlan): Digest[] {
  return [
    ...new Set([
      ...plan.documents.map(({ digest }) => digest),
      ...plan.layers.map(({ digest }) => digest),
    ]),
  ];
}

async function fetchAndInstall(
  reference: Reference,
  plan: RemotePlan,
  input: PullInput,
): Promise<void> {
  const { table, blobs, layers, leases, kept, clock, access } = input;
  const key = `pull ${formatReference(reference)}`;
  const digests = [...blobsOf(plan), ...chainIdsOf(plan.config.rootfs.diff_ids)];
  for (const digest of digests) leases.add(digest);
  await kept.keep(key, digests);
  try {
    await fetchAll(reference, plan, input);
  } catch (error) {
    // On a full disk nothing is kept for later: the space is what others need.
    if (isNaruError(error, "exhausted")) {
      for (const { digest } of plan.layers) await blobs.dropPartial(digest);
      await kept.drop(key);
    }
    throw error;
  }
  const { signal } = access;
  const install = { table, blobs, layers, clock, leases, signal, emit: undefined };
  await installImage(imagePlanOf(reference, plan), install);
  await kept.drop(key);
}

async function fetchAll(reference: Reference, plan: RemotePlan, input: PullInput): Promise<void> {
  const { blobs, access } = input;
  for (const { digest, bytes } of plan.documents) {
    if ((await blobs.stat(digest)) !== undefined) continue;
    await blobs.ingest(single(bytes), { expectDigest: digest, signal: access.signal });
  }
  await new LayerFetch(plan, { ...input, repository: reference }).run();
}

function imagePlanOf(reference: Reference, plan: RemotePlan): ImagePlan {
  const config = plan.documents.find(({ digest }) => digest === plan.id);
  if (config === undefined) throw new NaruError("internal", "a plan has its configuration");
  return {
    id: plan.id,
    config: plan.config,
    configFile: { digest: plan.id, sizeBytes: config.bytes.byteLength },
    layers: plan.layers.map(({ digest, size }) => ({ digest, sizeBytes: size })),
    manifest: plan.manifest,
    index: plan.target.digest === plan.manifest.digest ? null : plan.target.digest,
    blobs: blobsOf(plan),
    references: namesOf(reference, plan),
  };
}

/** The name that was asked for, and the digest that it stands for now. */
function namesOf(reference: Reference, plan: RemotePlan): Reference[] {
  const byDigest = { ...reference, tag: undefined, digest: plan.target.digest };
  return reference.digest === undefined ? [reference, byDigest] : [byDigest];
}

/** An image that was pushed from here, or loaded, has its tag and may lack the digest. */
async function nameDigest(
  reference: Reference,
  plan: RemotePlan,
  table: ImageTable,
): Promise<void> {
  const missing = namesOf(reference, plan).filter(
    (name) => table.reference(formatReference(name))?.image !== plan.id,
  );
  if (missing.length === 0) return;
  const row = { image: plan.id, target: plan.target.digest };
  await table.write({ references: new Map(missing.map((name) => [formatReference(name), row])) });
}
