import { expect, test } from "bun:test";
import { parseSizeBytes } from "./size.ts";

test("sizes are binary whatever the spelling", () => {
  for (const text of ["64m", "64M", "64mb", "64MiB", "64 m", " 65536k "]) {
    expect([text, parseSizeBytes(text)]).toEqual([text, 67_108_864]);
  }
  expect(parseSizeBytes("1.5g")).toBe(1_610_612_736);
  expect(parseSizeBytes("512")).toBe(512);
});

test.each(["", "m", "-1", "1x", "1 2", "1..2", "9999999p"])("no size: %p", (text) => {
  expect(parseSizeBytes(text)).toBeUndefined();
});
