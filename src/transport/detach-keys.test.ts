import { expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import fc from "fast-check";
import { DEFAULT_DETACH_KEYS, DetachMatcher, parseDetachKeys } from "./detach-keys.ts";

const seed = Number(process.env["NARU_FUZZ_SEED"] ?? randomInt(2 ** 31));
console.log(`detach-keys.test.ts seed ${seed}`);

test.each([
  [DEFAULT_DETACH_KEYS, [16, 17]],
  ["ctrl-@", [0]],
  ["a,ctrl-A,b", [97, 1, 98]],
  ["ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", [27, 28, 29, 30, 31]],
])("%s", (text, bytes) => {
  expect([...parseDetachKeys(text)]).toEqual(bytes);
});

test.each([
  "",
  "ctrl-",
  "ctrl-1",
  "ab",
  "ctrl-p,",
  "ctrl-p,,q",
  "ü",
  "a".repeat(500),
  Array(99).fill("a").join(),
])("%p is refused by name", (text) => {
  expect(() => parseDetachKeys(text)).toThrow(/^Invalid detach keys \(/);
});

function feed(keys: string, pieces: readonly string[]): { passed: string; detached: boolean } {
  const matcher = new DetachMatcher(parseDetachKeys(keys));
  let passed = "";
  for (const piece of pieces) {
    const got = matcher.push(Buffer.from(piece, "latin1"));
    passed += Buffer.from(got.passed).toString("latin1");
    if (got.detached) return { passed, detached: true };
  }
  return { passed: passed + Buffer.from(matcher.flush()).toString("latin1"), detached: false };
}

test("the sequence may be split, start falsely and overlap itself", () => {
  expect(feed("ctrl-p,ctrl-q", ["x\x10", "\x11y"])).toEqual({ passed: "x", detached: true });
  expect(feed("ctrl-p,ctrl-q", ["\x10", "a\x10", "\x10\x11"])).toEqual({
    passed: "\x10a\x10",
    detached: true,
  });
  expect(feed("a,a,b", ["aaab"])).toEqual({ passed: "a", detached: true });
  expect(feed("ctrl-p,ctrl-q", ["abc\x10"])).toEqual({ passed: "abc\x10", detached: false });
});

test("nothing is lost and the first occurrence ends it, wherever the input is cut", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 40 });
  const keys = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(letters, keys, fc.integer({ min: 1, max: 5 }), (input, sequence, cut) => {
      const pieces = input.match(new RegExp(`.{1,${cut}}`, "g")) ?? [];
      const at = input.indexOf(sequence);
      const want =
        at < 0
          ? { passed: input, detached: false }
          : { passed: input.slice(0, at), detached: true };
      expect(feed(sequence.split("").join(","), pieces)).toEqual(want);
    }),
    { seed, numRuns: 500 },
  );
});
