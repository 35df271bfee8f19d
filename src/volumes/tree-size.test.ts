import { afterAll, expect, test } from "bun:test";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { treeSizeBytes } from "./tree-size.ts";

const dir = mkdtempSync("/tmp/naru-tree-size-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("counts each file once and follows no link", async () => {
  mkdirSync(`${dir}/a/b`, { recursive: true });
  writeFileSync(`${dir}/a/one`, "12345");
  writeFileSync(`${dir}/a/b/two`, "123");
  linkSync(`${dir}/a/one`, `${dir}/a/b/again`);
  symlinkSync("/usr", `${dir}/a/usr`);
  expect(await treeSizeBytes(dir)).toBe(8);
  expect(await treeSizeBytes(`${dir}/nothing`)).toBe(0);
});
