import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, systemClock } from "../../src/base/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import { encodeTarEntry, type TarEntryInput, tarPadding, tarTrailer } from "../../src/oci/mod.ts";
import {
  createWorkQueue,
  type LayerStore,
  type LayerStoreControl,
  type Metadata,
  openLayerStore,
  openMetadata,
  type WorkQueue,
} from "../../src/storage/mod.ts";

/** A layer store of its own in a temporary folder. */
export const base: string = mkdtempSync(join(tmpdir(), "naru-storage-"));
export const canary: string = join(base, "canary");
export let root: string;
export let metadata: Metadata;
export let work: WorkQueue;
export let layers: LayerStore & LayerStoreControl;
let serial = 0;

export async function openAll(path: string): Promise<void> {
  root = path;
  mkdirSync(root, { recursive: true });
  metadata = await openMetadata(join(root, "naru.db"));
  work = createWorkQueue(metadata, { clock: systemClock, logger: silentLogger });
  layers = await openLayerStore({
    root: join(root, "layers"),
    metadata,
    work,
    logger: silentLogger,
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
  beforeAll(async () => {
    mkdirSync(canary, { recursive: true });
    writeFileSync(join(canary, "file"), "untouched");
    await openAll(join(base, "store"));
  });

  afterAll(async () => {
    await closeAll();
    rmSync(base, { recursive: true, force: true });
  });
}

export function entry(input: TarEntryInput, content = ""): Buffer {
  const sizeBytes = input.sizeBytes ?? content.length;
  const body = Buffer.from(content, "latin1");
  return Buffer.concat([
    encodeTarEntry({ ...input, sizeBytes }),
    body,
    tarPadding(body.byteLength),
  ]);
}

export const archive = (...entries: Uint8Array[]): Buffer =>
  Buffer.concat([...entries, tarTrailer()]);

export async function* stream(
  bytes: Uint8Array,
  step = 10_000,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += step) yield bytes.subarray(at, at + step);
}

/** Applies an archive, gives the directory that it became. */
export async function unpack(
  bytes: Uint8Array,
  parent: Digest | null = null,
): Promise<{ dir: string; chainId: Digest }> {
  const { chainId } = await layers.apply(parent, stream(bytes));
  const rows = layers.describe(await writable(chainId), "/x");
  return { dir: (rows["LowerDir"] as string).split(":")[0] as string, chainId };
}

export async function writable(parent: Digest | null): Promise<string> {
  const id = `w${(serial += 1)}`;
  await layers.createWritable(id, parent);
  return id;
}

/** Nothing half-made is left, and nothing outside was touched. */
export async function expectClean(): Promise<void> {
  await work.idle();
  expect(readdirSync(join(root, "layers/unpack"))).toEqual([]);
  expect(readdirSync(join(root, "layers/trash"))).toEqual([]);
  expect(readdirSync(canary)).toEqual(["file"]);
  expect(readFileSync(join(canary, "file"), "utf8")).toBe("untouched");
}
