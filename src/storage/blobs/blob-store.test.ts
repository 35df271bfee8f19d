import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection, rejectionMessage } from "../../../test/fakes/rejection.ts";
import { digestHex, digestOf } from "../../base/mod.ts";
import type { BlobStore, ByteStream } from "../contract.ts";
import { openBlobStore } from "./blob-store.ts";

const base = mkdtempSync(join(tmpdir(), "naru-blobs-"));
let root: string;
let store: BlobStore;
let serial = 0;

beforeEach(async () => {
  root = join(base, String((serial += 1)));
  store = await openBlobStore(root);
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

async function* stream(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

async function collect(source: ByteStream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const temporaries = (): string[] => readdirSync(join(root, "ingest"));

describe("blob store", () => {
  test("keeps bytes under their digest, in chunks of any size", async () => {
    const bytes = Buffer.alloc(3_500_001, "0123456789abcdef!");
    const chunks = [bytes.subarray(0, 1), bytes.subarray(1, 2_500_000), bytes.subarray(2_500_000)];
    const info = await store.ingest(stream(...chunks));
    expect(info).toEqual({ digest: digestOf(bytes), sizeBytes: bytes.length });
    expect((await collect(store.read(info.digest))).equals(bytes)).toBe(true);
    expect(await collect(store.read(info.digest, { start: 5, end: 9 }))).toEqual(
      bytes.subarray(5, 9),
    );
    expect(readFileSync(join(root, "blobs/sha256", digestHex(info.digest))).equals(bytes)).toBe(
      true,
    );
    expect(temporaries()).toEqual([]);
    expect(JSON.parse(readFileSync(join(root, "oci-layout"), "utf8"))).toEqual({
      imageLayoutVersion: "1.0.0",
    });
  });

  test("the chunk may be used again after write", async () => {
    const writer = await store.create();
    const chunk = Buffer.from("aaaa");
    await writer.write(chunk);
    chunk.fill("b");
    await writer.write(chunk);
    expect((await writer.commit()).digest).toBe(digestOf("aaaabbbb"));
  });

  test("a wrong digest or size leaves nothing", async () => {
    const wrong = store.ingest(stream(Buffer.from("a")), { expectDigest: digestOf("b") });
    expect(await rejection(wrong)).toMatchObject({ kind: "invalid_argument" });
    const short = store.ingest(stream(Buffer.from("a")), { expectSizeBytes: 2 });
    expect(await rejectionMessage(short)).toMatch("blob has 1 bytes instead of 2");
    const long = store.ingest(stream(Buffer.from("abc")), { expectSizeBytes: 2 });
    expect(await rejection(long)).toMatchObject({ kind: "invalid_argument" });
    const large = store.ingest(stream(Buffer.from("abc")), { sizeBytesMax: 2 });
    expect(await rejection(large)).toMatchObject({ kind: "too_large" });
    expect(temporaries()).toEqual([]);
    expect(await store.stat(digestOf("a"))).toBeUndefined();
  });

  test("a source that fails or an abort leaves nothing", async () => {
    async function* failing(): AsyncGenerator<Uint8Array, void, undefined> {
      yield Buffer.alloc(2_000_000);
      throw new Error("peer went away");
    }
    expect(await rejectionMessage(store.ingest(failing()))).toMatch("peer went away");
    const aborter = new AbortController();
    const writer = await store.create({ signal: aborter.signal });
    await writer.write(Buffer.from("x"));
    aborter.abort();
    expect(await rejection(writer.write(Buffer.from("y")))).toMatchObject({ kind: "cancelled" });
    await writer.abort();
    await writer.abort();
    expect(temporaries()).toEqual([]);
  });

  test("what a killed engine was writing is swept at open", async () => {
    writeFileSync(join(root, "ingest", "1"), "half");
    await openBlobStore(root);
    expect(temporaries()).toEqual([]);
  });

  test("readAll finds damage and refuses what is too large or missing", async () => {
    const { digest } = await store.ingest(stream(Buffer.from("hello")));
    expect(Buffer.from(await store.readAll(digest, 5)).toString()).toBe("hello");
    expect(await rejection(store.readAll(digest, 4))).toMatchObject({ kind: "too_large" });
    writeFileSync(join(root, "blobs/sha256", digestHex(digest)), "hellO");
    expect(await rejection(store.readAll(digest, 5))).toMatchObject({ kind: "damaged" });
    expect(await rejection(store.readAll(digestOf("?"), 5))).toMatchObject({ kind: "not_found" });
    expect(await rejection(collect(store.read(digestOf("?"))))).toMatchObject({
      kind: "not_found",
    });
  });

  test("a removal gives way to a lease taken when the blob comes back", async () => {
    const bytes = Buffer.from("wanted");
    const { digest } = await store.ingest(stream(bytes));
    const leases = new Set<string>();
    const [, removed] = await Promise.all([
      store.ingest(stream(bytes), { beforeVisible: (seen) => leases.add(seen) }),
      store.remove(digest, { unless: () => leases.has(digest) }),
    ]);
    expect(typeof removed).toBe("boolean");
    expect(await store.stat(digest)).toBeDefined();
    expect(await store.remove(digest, { unless: () => leases.has(digest) })).toBe(false);
    expect(await store.remove(digest)).toBe(true);
    expect(await store.remove(digest)).toBe(true);
    expect(existsSync(join(root, "blobs/sha256", digestHex(digest)))).toBe(false);
  });

  test("lists blobs and nothing else", async () => {
    const { digest } = await store.ingest(stream(Buffer.from("one")));
    writeFileSync(join(root, "blobs/sha256/README"), "foreign");
    const listed = await Array.fromAsync(store.list());
    expect(listed).toEqual([{ digest, sizeBytes: 3 }]);
  });
});
