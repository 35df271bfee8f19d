import { expect, test } from "bun:test";
import { parseCpus, parseDuration, parseSize } from "./quantity.ts";

test("a size that is none is refused with docker's words", () => {
  expect(parseSize("64m")).toBe(67_108_864);
  expect(() => parseSize("1x")).toThrow("invalid size: '1x'");
});

test("a duration that is none is refused with Go's words", () => {
  expect(parseDuration("1m30s")).toBe(90e9);
  expect(() => parseDuration("1d")).toThrow('time: invalid duration "1d"');
});

test("cpus are billionths", () => {
  expect(parseCpus("0.5")).toBe(5e8);
  expect(() => parseCpus("0.0000000001")).toThrow("too precise");
});
