import { expect, test } from "bun:test";
import { median, quantile, rounded } from "./statistics.ts";

test("the median of odd and even counts", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(() => median([])).toThrow("no samples");
});

test("quantiles lie between neighbours", () => {
  expect(quantile([0, 10], 0.25)).toBe(2.5);
  expect(quantile([0, 10, 20], 1)).toBe(20);
});

test("three significant digits", () => {
  expect([0, 1234, 12.345, 1.2345, 0.012345].map(rounded)).toEqual([
    "0",
    "1234",
    "12.3",
    "1.23",
    "0.012",
  ]);
});
