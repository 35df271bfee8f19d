import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseCpus, parseDuration, parseSize } from "./quantity.ts";

test("sizes are binary whatever the spelling", () => {
  expect(["64m", "64M", "64mb", "64MiB"].map(parseSize)).toEqual(Array(4).fill(67_108_864));
  expect(parseSize("1.5g")).toBe(1_610_612_736);
  expect(parseSize("512")).toBe(512);
  for (const bad of ["", "m", "-1", "1x", "1 2", "1..2"]) expect(() => parseSize(bad)).toThrow();
});

test("durations are Go's", () => {
  expect(parseDuration("1m30s")).toBe(90e9);
  expect(parseDuration("100ms")).toBe(1e8);
  expect(parseDuration("1.5h")).toBe(5400e9);
  expect(parseDuration("-2s")).toBe(-2e9);
  for (const bad of ["", "5", "s", "1d", "1 s"]) expect(() => parseDuration(bad)).toThrow();
});

test("cpus are billionths", () => {
  expect(parseCpus("0.5")).toBe(5e8);
  expect(() => parseCpus("0.0000000001")).toThrow("too precise");
});

test("a whole number of seconds reads back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000 }), (seconds) => {
      expect(parseDuration(`${seconds}s`)).toBe(seconds * 1e9);
    }),
  );
});
