import { describe, expect, test } from "bun:test";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { rejection } from "../../test/fakes/rejection.ts";
import { type Clock, systemClock } from "../base/mod.ts";
import { bodyAtRate, exactly } from "./body.ts";
import { Metrics } from "./metrics.ts";

/** Goes on by `stepMs` each time it is looked at. */
function steppingClock(stepMs: number): Clock {
  let nowMs = 0;
  return { ...systemClock, nowMs: () => (nowMs += stepMs) };
}

function body(chunks: readonly Uint8Array[]): IncomingMessage {
  return Readable.from(chunks, { objectMode: false }) as IncomingMessage;
}

async function sizeOf(source: AsyncIterable<Uint8Array>): Promise<number> {
  let sizeBytes = 0;
  for await (const chunk of source) sizeBytes += chunk.byteLength;
  return sizeBytes;
}

describe("body of an upload", () => {
  const drops = Array.from({ length: 20 }, () => Buffer.from("x"));

  test("a sender that drips is ended with 408", async () => {
    const parts = { clock: steppingClock(10_000), metrics: new Metrics() };
    const error = await rejection(sizeOf(bodyAtRate(body(drops), parts)));
    expect(error).toMatchObject({ details: { code: "BLOB_UPLOAD_INVALID", status: 408 } });
  });

  test("one that is slow and steady is not", async () => {
    const parts = { clock: steppingClock(10_000), metrics: new Metrics() };
    const chunks = drops.map(() => Buffer.alloc(20_000));
    expect(await sizeOf(bodyAtRate(body(chunks), parts))).toBe(400_000);
  });

  test("a chunk must be as long as its range", async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(3);
      yield Buffer.alloc(2);
    }
    expect(await sizeOf(exactly(source(), 5))).toBe(5);
    for (const wrong of [4, 6]) {
      const error = await rejection(sizeOf(exactly(source(), wrong)));
      expect(error).toMatchObject({ details: { code: "SIZE_INVALID" } });
    }
  });
});
