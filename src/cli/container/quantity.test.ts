import { expect, test } from "bun:test";
import { parseCpus, parseDuration, parseSize } from "./quantity.ts";

test("sizes are binary whatever the spelling", () => {
  expect(["64m", "64M", "64mb", "64MiB"].map(parseSize)).toEqual(Array(4).fill(67_108_864));
  expect(parseSize("1.5g")).toBe(1_610_612_736);
  expect(parseSize("512")).toBe(512);
  for (const bad of ["", "m", "-1", "1x", "1 2", "1..2"]) expect(() => parseSize(bad)).toThrow();
});

test("a duration that is none is refused with Go's words", () => {
  expect(parseDuration("1m30s")).toBe(90e9);
  expect(() => parseDuration("1d")).toThrow('time: invalid duration "1d"');
});

test("cpus are billionths", () => {
  expect(parseCpus("0.5")).toBe(5e8);
  expect(() => parseCpus("0.0000000001")).toThrow("too precise");
});
