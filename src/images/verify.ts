import { createHash } from "node:crypto";
import { type Digest, errorMessage, isNaruError, NaruError } from "../base/mod.ts";
import { decodeManifest, formatFamiliar, MANIFEST_BYTES_MAX, type Reference } from "../oci/mod.ts";
import type { RegistryAccess, RegistryClient } from "../registry-client/mod.ts";
import type { BlobCheck } from "../spec/mod.ts";
import type { BlobStore } from "../storage/mod.ts";
import type { ImageRow } from "./image-row.ts";
import type { ImageTable } from "./image-table.ts";
import { single } from "./install.ts";

export interface VerifyInput {
  readonly client: RegistryClient;
  readonly table: ImageTable;
  readonly blobs: BlobStore;
  readonly repair: boolean;
  readonly access: RegistryAccess;
}

/** What needs a blob. */
interface Needed {
  readonly images: string[];
  /** Where it came from or went to once: these registries may have it. */
  readonly repositories: Reference[];
}

/**
 * Reads every blob of every image and compares it with its digest; with `repair`, fetches what is
 * missing or damaged from the registries that the images have names in. A repaired blob takes the place
 * of the damaged one in one step. Manifests come first: they tell the sizes of the rest.
 */
export async function* verifyBlobs(input: VerifyInput): AsyncGenerator<BlobCheck, void, undefined> {
  const manifests = new Set(input.table.visible().map(([, row]) => row.manifest.digest));
  const all = [...neededBlobs(input.table)];
  const inOrder = all.toSorted(([a], [b]) => Number(manifests.has(b)) - Number(manifests.has(a)));
  for (const [digest, needed] of inOrder) {
    if (input.access.signal.aborted) throw new NaruError("cancelled", "the check was cancelled");
    const { state, sizeBytes } = await look(digest, input);
    const found = { Digest: digest, Size: sizeBytes, Images: needed.images };
    if (state === "good" || !input.repair) yield { ...found, State: state };
    else yield { ...found, State: state, ...(await repair(digest, needed, input)) };
  }
}

function neededBlobs(table: ImageTable): Map<Digest, Needed> {
  const needed = new Map<Digest, Needed>();
  for (const [id, row] of table.visible()) {
    const references = table.referencesOf(id);
    for (const digest of row.blobs) {
      const known = needed.get(digest) ?? { images: [], repositories: [] };
      const names = references.filter((one) => one.digest === undefined).map(formatFamiliar);
      known.images.push(...(names.length === 0 ? [id] : names));
      known.repositories.push(...references);
      needed.set(digest, known);
    }
  }
  return needed;
}

async function look(
  digest: Digest,
  { blobs, access }: VerifyInput,
): Promise<{ state: "good" | "missing" | "damaged"; sizeBytes: number }> {
  const info = await blobs.stat(digest);
  if (info === undefined) return { state: "missing", sizeBytes: 0 };
  const hash = createHash("sha256");
  try {
    for await (const chunk of blobs.read(digest)) {
      if (access.signal.aborted) break;
      hash.update(chunk);
    }
  } catch (error) {
    if (isNaruError(error, "not_found")) return { state: "missing", sizeBytes: 0 };
    return { state: "damaged", sizeBytes: info.sizeBytes }; // the disk cannot read it
  }
  const same = `sha256:${hash.digest("hex")}` === digest;
  return { state: same ? "good" : "damaged", sizeBytes: info.sizeBytes };
}

async function repair(
  digest: Digest,
  { repositories }: Needed,
  input: VerifyInput,
): Promise<Pick<BlobCheck, "Problem"> | Pick<BlobCheck, "State" | "Size">> {
  const tried = new Set<string>();
  let problem = "no name of the image says which registry has it";
  const pulled = repositories.filter((one) => one.digest !== undefined); // pushed or pulled
  for (const repository of [...pulled, ...repositories]) {
    const key = `${repository.domain}/${repository.path}`;
    if (tried.has(key)) continue;
    tried.add(key);
    try {
      return { State: "repaired", Size: await fetchAgain(digest, repository, input) };
    } catch (error) {
      if (input.access.signal.aborted || isNaruError(error, "exhausted")) throw error;
      problem = errorMessage(error);
    }
  }
  return { Problem: problem };
}

async function fetchAgain(
  digest: Digest,
  repository: Reference,
  { client, table, blobs, access }: VerifyInput,
): Promise<number> {
  const { signal } = access;
  const size = await sizeOf(digest, table, blobs);
  if (size === undefined) {
    const { bytes } = await client.manifest(repository, digest, access);
    return (await blobs.ingest(single(bytes), { expectDigest: digest, signal })).sizeBytes;
  }
  const source = client.blob(repository, { digest, size }, { access });
  const made = await blobs.ingest(source, { expectDigest: digest, expectSizeBytes: size, signal });
  return made.sizeBytes;
}

/** Of a configuration or layer, as a manifest says. Undefined: it is a manifest or index itself. */
async function sizeOf(
  digest: Digest,
  table: ImageTable,
  blobs: BlobStore,
): Promise<number | undefined> {
  for (const [, row] of table.visible()) {
    if (!row.blobs.includes(digest) || row.manifest.digest === digest) continue;
    const found = await partsOf(row, blobs);
    const part = found.find((one) => one.digest === digest);
    if (part !== undefined) return part.size;
  }
  return undefined;
}

async function partsOf(
  { manifest }: ImageRow,
  blobs: BlobStore,
): Promise<readonly { digest: Digest; size: number }[]> {
  try {
    const bytes = await blobs.readAll(manifest.digest, MANIFEST_BYTES_MAX);
    const { config, layers } = decodeManifest(bytes, manifest.digest);
    return [config, ...layers];
  } catch {
    return []; // told as a finding of its own
  }
}
