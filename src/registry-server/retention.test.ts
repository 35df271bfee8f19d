import { expect, test } from "bun:test";
import { whyTagStays } from "./garbage.ts";

const DAY_MS = 24 * 3600 * 1000;
const none = { keepLast: undefined, keepDays: undefined, keepTags: [], untaggedDays: undefined };

test("without a rule on tags, all stay", () => {
  const tag = { tag: "x", rank: 99, ageMs: 999 * DAY_MS };
  expect(whyTagStays(undefined, tag)).toBeDefined();
  expect(whyTagStays({ ...none, untaggedDays: 1 }, tag)).toBeDefined();
  expect(whyTagStays({ ...none, keepTags: [/^v/] }, tag)).toBeDefined();
});

test("a tag goes when no rule keeps it", () => {
  const rules = { ...none, keepLast: 2, keepDays: 30, keepTags: [/^v/] };
  const stays = (tag: string, rank: number, days: number): boolean =>
    whyTagStays(rules, { tag, rank, ageMs: days * DAY_MS }) !== undefined;
  expect(stays("x", 1, 99)).toBe(true);
  expect(stays("x", 2, 29)).toBe(true);
  expect(stays("x", 2, 31)).toBe(false);
  expect(stays("v1", 50, 500)).toBe(true);
});
