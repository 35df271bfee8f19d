import { expect, test } from "bun:test";
import fc from "fast-check";
import { gathered } from "./gathered.ts";

async function* piecesOf(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let next = 0;
  for (const size of sizes) yield new Uint8Array(size).map(() => next++ & 0xff);
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const piece of source) all.push(piece);
  return all;
}

test("small pieces come as few, and all bytes in order", async () => {
  const pieces = await bytesOf(gathered(piecesOf(Array.from({ length: 1000 }, () => 512))));
  expect(pieces.length).toBe(4);
  expect(Buffer.concat(pieces)).toEqual(
    Buffer.concat(await bytesOf(piecesOf(Array.from({ length: 1000 }, () => 512)))),
  );
});

test("pieces of any size keep their bytes and order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 300_000 }), { maxLength: 12 }),
      async (sizes) => {
        const whole = Buffer.concat(await bytesOf(piecesOf(sizes)));
        expect(Buffer.concat(await bytesOf(gathered(piecesOf(sizes)))).equals(whole)).toBe(true);
      },
    ),
    { numRuns: 40 },
  );
});
