import { expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import fc from "fast-check";
import { encodeStdcopy, StdcopyDecoder, type StdcopyStream } from "./stdcopy.ts";

const seed = Number(process.env["NARU_FUZZ_SEED"] ?? randomInt(2 ** 31));
console.log(`stdcopy.test.ts seed ${seed}`);

test("a frame is stream, three zeros, big-endian length, bytes", () => {
  expect([...encodeStdcopy("stderr", Buffer.from("hi"))]).toEqual([
    2, 0, 0, 0, 0, 0, 0, 2, 104, 105,
  ]);
});

test("decoding gives back what was encoded, however it is cut", () => {
  const frames = fc.array(
    fc.tuple(fc.constantFrom<StdcopyStream>("stdout", "stderr"), fc.uint8Array({ maxLength: 50 })),
  );
  fc.assert(
    fc.property(frames, fc.integer({ min: 1, max: 20 }), (sent, cut) => {
      const bytes = Buffer.concat(sent.map(([stream, one]) => encodeStdcopy(stream, one)));
      const decoder = new StdcopyDecoder();
      const got = { stdout: "", stderr: "", stdin: "", systemerr: "" };
      for (let at = 0; at < bytes.length; at += cut) {
        for (const part of decoder.push(bytes.subarray(at, at + cut))) {
          got[part.stream] += Buffer.from(part.bytes).toString("hex");
        }
      }
      const want = (stream: StdcopyStream): string =>
        sent
          .filter(([one]) => one === stream)
          .map(([, one]) => Buffer.from(one).toString("hex"))
          .join("");
      expect([got.stdout, got.stderr]).toEqual([want("stdout"), want("stderr")]);
      expect(decoder.whole).toBe(true);
    }),
    { seed },
  );
});

test("what is not this framing is refused; a cut frame is not whole", () => {
  expect(() => new StdcopyDecoder().push(Buffer.from("plain text"))).toThrow("multiplexed");
  expect(() => new StdcopyDecoder().push(Buffer.from([1, 1, 0, 0, 0, 0, 0, 0]))).toThrow(
    "multiplexed",
  );
  const decoder = new StdcopyDecoder();
  decoder.push(Buffer.from([1, 0, 0]));
  expect(decoder.whole).toBe(false);
});
