import { afterAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import type { RuntimeSpec } from "../../spec/mod.ts";
import { SeccompFilterCache } from "./filter-cache.ts";

const dir: string = mkdtempSync("/tmp/naru-filter-cache-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const KEY = "key";
const PROGRAM: Uint8Array = Uint8Array.from({ length: 64 }, (_, index) => index);
const SPEC = {
  linux: { seccomp: { defaultAction: "SCMP_ACT_ERRNO" } },
} as unknown as RuntimeSpec;

/** A folder with one learned entry, and the file that holds it. */
function learned(): { folder: string; file: string } {
  const folder = mkdtempSync(`${dir}/cache-`);
  writeFileSync(`${folder}/seccomp.bpf`, PROGRAM);
  new SeccompFilterCache(folder).learn(KEY, folder);
  return { folder, file: `${folder}/${KEY}` };
}

test("a learned program takes the profile's place, also for the next engine", () => {
  const applied = new SeccompFilterCache(learned().folder).apply(SPEC, KEY);
  expect(applied?.linux.seccomp).toBeUndefined();
  expect(Object.values(applied?.annotations ?? {})).toEqual([
    Buffer.from(PROGRAM).toString("base64"),
  ]);
});

test("every damaged byte, a cut and a foreign key throw the entry away", () => {
  const { length } = readFileSync(learned().file);
  for (let at = 0; at < length; at += 1) {
    const { folder, file } = learned();
    const bytes = readFileSync(file);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    expect([at, new SeccompFilterCache(folder).apply(SPEC, KEY)]).toEqual([at, undefined]);
    expect(existsSync(file)).toBe(false);
  }
  const cut = learned();
  truncateSync(cut.file, length - 8);
  expect(new SeccompFilterCache(cut.folder).apply(SPEC, KEY)).toBeUndefined();
  const moved = learned();
  writeFileSync(`${moved.folder}/other`, readFileSync(moved.file));
  expect(new SeccompFilterCache(moved.folder).apply(SPEC, "other")).toBeUndefined();
});

test("what is no program is not learned", () => {
  const folder = mkdtempSync(`${dir}/cache-`);
  for (const bytes of [new Uint8Array(0), new Uint8Array(7), new Uint8Array(8 * 4097)]) {
    writeFileSync(`${folder}/seccomp.bpf`, bytes);
    const cache = new SeccompFilterCache(folder);
    cache.learn(KEY, folder);
    expect(cache.apply(SPEC, KEY)).toBeUndefined();
    expect(existsSync(`${folder}/${KEY}`)).toBe(false);
  }
});
