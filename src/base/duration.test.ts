import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseDurationNs, parseInstantOrAge } from "./duration.ts";

test.each([
  ["1h2m3.5s", 3_723_500_000_000],
  ["1m30s", 90e9],
  ["100ms", 1e8],
  ["1.5h", 5400e9],
  ["3us2µs1ns", 5001],
  ["0", 0],
  ["-1ms", -1_000_000],
  ["+2s", 2e9],
])("duration %s", (text, wanted) => {
  expect(parseDurationNs(text)).toBe(wanted);
});

test.each(["", "1", "s", "1d", "1 s", "1..2s", ".s", "--1s", "abc"])("no duration: %p", (text) => {
  expect(parseDurationNs(text)).toBeUndefined();
});

test("a whole number of seconds reads back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000 }), (seconds) => {
      expect(parseDurationNs(`${seconds}s`)).toBe(seconds * 1e9);
    }),
  );
});

test("an age counts back from now, an instant stands for itself", () => {
  const nowNs = 1_000_000_000_000n;
  expect(parseInstantOrAge("10s", nowNs)).toBe(990_000_000_000n);
  expect(parseInstantOrAge("0", nowNs)).toBe(0n);
  expect(parseInstantOrAge("5.5", nowNs)).toBe(5_500_000_000n);
  expect(parseInstantOrAge("1970-01-01T00:00:01Z", nowNs)).toBe(1_000_000_000n);
  expect(() => parseInstantOrAge("yesterday", nowNs)).toThrow("invalid time");
});
