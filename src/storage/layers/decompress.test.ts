import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { rejection, rejectionMessage } from "../../../test/fakes/rejection.ts";
import { decompress } from "./decompress.ts";

async function* chunked(
  bytes: Uint8Array,
  step: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += step) yield bytes.subarray(at, at + step);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const text = Buffer.from("naru ".repeat(200_000));

describe("decompress", () => {
  test.each([
    ["plain", text],
    ["gzip", gzipSync(text)],
    ["zstd", zstdCompressSync(text)],
    [
      "two gzip members",
      Buffer.concat([gzipSync(text.subarray(0, 9)), gzipSync(text.subarray(9))]),
    ],
    [
      "two zstd frames",
      Buffer.concat([zstdCompressSync(text.subarray(0, 9)), zstdCompressSync(text.subarray(9))]),
    ],
  ])("%s, in chunks of any size", async (_name, bytes) => {
    for (const step of [1000, 65_536, bytes.byteLength]) {
      expect((await collect(decompress(chunked(bytes, step)))).equals(text)).toBe(true);
    }
  });

  test.each([
    ["gzip", gzipSync(text)],
    ["zstd", zstdCompressSync(text)],
  ])("%s that is damaged is refused", async (_name, bytes) => {
    const damaged = Buffer.from(bytes);
    damaged.fill(0xff, 20, 40);
    const broken = collect(decompress(chunked(damaged, 500)));
    expect(await rejection(broken)).toMatchObject({ kind: "invalid_argument" });
  });

  test("gzip that ends early is refused", async () => {
    const bytes = gzipSync(text);
    const cut = collect(decompress(chunked(bytes.subarray(0, bytes.byteLength - 9), 500)));
    expect(await rejection(cut)).toMatchObject({ kind: "invalid_argument" });
  });

  test("the error of the source is the error of the stream", async () => {
    async function* failing(): AsyncGenerator<Uint8Array, void, undefined> {
      yield gzipSync(text).subarray(0, 100);
      throw new Error("peer went away");
    }
    expect(await rejectionMessage(collect(decompress(failing())))).toMatch("peer went away");
  });

  test("stopping early ends the source", async () => {
    let ended = false;
    async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        for (;;) yield gzipSync(text);
      } finally {
        ended = true;
      }
    }
    for await (const chunk of decompress(endless())) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      break;
    }
    expect(ended).toBe(true);
  });

  test("a source that stalls does not hold back what was found", async () => {
    async function* stalling(): AsyncGenerator<Uint8Array, void, undefined> {
      const damaged = Buffer.from(gzipSync(text));
      damaged.fill(0xff, 20, 40);
      yield damaged;
      await new Promise(() => undefined);
    }
    const error = await rejection(collect(decompress(stalling())));
    expect(error).toMatchObject({ kind: "invalid_argument" });
  });

  test.each([
    ["gzip", gzipSync(Buffer.alloc(4_000_000))],
    ["zstd", zstdCompressSync(Buffer.alloc(4_000_000))],
  ])("%s bombs are refused, other data of any size is not", async (_name, bomb) => {
    const limit = { freeBytes: 1_000_000, ratioMax: 100 };
    const error = await rejectionMessage(collect(decompress(chunked(bomb, 100), limit)));
    expect(error).toContain("grows more than 100 times");
    const fair = gzipSync(text);
    const free = { freeBytes: 100_000, ratioMax: 10_000 };
    expect((await collect(decompress(chunked(fair, 1000), free))).equals(text)).toBe(true);
  });
});
