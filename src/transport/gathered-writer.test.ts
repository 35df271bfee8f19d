import { expect, test } from "bun:test";
import { PassThrough, Writable } from "node:stream";
import { GatheredWriter } from "./gathered-writer.ts";

/** Keeps what it was given, write by write. */
class Kept extends Writable {
  readonly writes: string[] = [];

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.writes.push(chunk.toString());
    done();
  }
}

const turn = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test("pieces of one turn are one write, in order", async () => {
  const stream = new Kept();
  const writer = new GatheredWriter(stream);
  for (const piece of ["a", "b", "c"]) await writer.write(Buffer.from(piece));
  await turn();
  expect(stream.writes).toEqual(["abc"]);
});

test("what came is sent although nothing follows it", async () => {
  const stream = new Kept();
  const writer = new GatheredWriter(stream);
  await writer.write(Buffer.from("line\n"));
  await turn();
  expect(stream.writes).toEqual(["line\n"]);
  await writer.write(Buffer.from("next\n"));
  await writer.flush();
  expect(stream.writes).toEqual(["line\n", "next\n"]);
});

test("a reader that does not read holds the writer back", async () => {
  const stream = new PassThrough({ highWaterMark: 1024 });
  const writer = new GatheredWriter(stream);
  let taken = 0;
  const fill = (async () => {
    for (; taken < 100; taken += 1) await writer.write(Buffer.alloc(16 * 1024));
  })();
  await turn();
  expect(taken).toBeLessThan(10);
  stream.resume();
  await fill;
  await writer.flush();
  expect(taken).toBe(100);
});

test("a reader that has gone is told to whoever writes", async () => {
  const stream = new PassThrough();
  const writer = new GatheredWriter(stream);
  await writer.write(Buffer.from("a"));
  stream.destroy();
  await turn();
  expect(writer.write(Buffer.from("b"))).rejects.toThrow("the client is gone");
  expect(writer.flush()).rejects.toThrow("the client is gone");
});
