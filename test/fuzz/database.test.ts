/**
 * The database from torn and truncated files: it opens with what was committed, whole commits up to
 * some moment, or says that it is damaged and changes nothing. Never other rows, never half a commit.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { isNaruError } from "../../src/base/mod.ts";
import { type Change, openMetadata } from "../../src/storage/mod.ts";
import { ANY_DAMAGE, type Damage, damaged, TORN } from "./damage.ts";
import { FUZZ_FACTOR, FUZZ_LIMIT_MS, fuzzSeed } from "./seed.ts";

const seed = fuzzSeed("database.test.ts");
const RUNS = 60 * FUZZ_FACTOR;
const COMMITS = 40;
const PAGE_BYTES = 4096;
const dir = mkdtempSync("/tmp/naru-fuzz-database-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Each commit writes all of these rows: a half one shows. Some are longer than a page. */
const KEYS = ["a", "b", "long"] as const;

function commitOf(number: number): Change[] {
  const text = `value ${number} `.repeat(number % 7 === 0 ? 900 : 9);
  const rows = KEYS.map((key): Change => {
    const value = { number, text: key === "long" ? text.repeat(3) : text };
    return { table: "volumes", key, value };
  });
  // And rows that stay, so that the file has many pages.
  return [...rows, { table: "events", key: `kept-${number}`, value: { number, text } }];
}

/** The database before the log was folded back, its log, and the database afterwards. */
let before: Buffer;
let log: Buffer;
let after: Buffer;

beforeAll(async () => {
  const path = join(dir, "naru.db");
  const metadata = await openMetadata(path);
  for (let number = 0; number < COMMITS / 2; number += 1) await metadata.commit(commitOf(number));
  await metadata.close(); // folds the log back
  const again = await openMetadata(path);
  for (let number = COMMITS / 2; number < COMMITS; number += 1) {
    await again.commit(commitOf(number));
  }
  before = readFileSync(path);
  log = readFileSync(`${path}-wal`);
  await again.close();
  after = readFileSync(path);
  expect(log.byteLength).toBeGreaterThan(20 * PAGE_BYTES);
  expect(after.byteLength).toBeGreaterThan(before.byteLength);
}, FUZZ_LIMIT_MS);

interface Opened {
  /** The last commit that is there; -1 for none. */
  readonly last: number;
}

/** Opens what is given. Undefined when it says that it is damaged; throws for anything else. */
async function open(database: Buffer, wal: Buffer | undefined): Promise<Opened | undefined> {
  const folder = mkdtempSync(join(dir, "case-"));
  const path = join(folder, "naru.db");
  writeFileSync(path, database);
  if (wal !== undefined) writeFileSync(`${path}-wal`, wal);
  try {
    const metadata = await openMetadata(path);
    try {
      return { last: check(metadata.rows("volumes"), metadata.rows("events")) };
    } finally {
      await metadata.close();
    }
  } catch (error) {
    if (!isNaruError(error) || !["damaged", "unsupported"].includes(error.kind)) throw error;
    expect(error.message).toContain(path);
    expect(readFileSync(path).equals(database)).toBe(true);
    return undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

type Rows = readonly (readonly [string, unknown])[];

function check(rows: Rows, kept: Rows): number {
  const [first] = rows;
  if (first === undefined) return -1;
  const { number } = first[1] as { number: number };
  const wanted = commitOf(number);
  expect(rows).toEqual(
    wanted.filter(({ table }) => table === "volumes").map(({ key, value }) => [key, value]),
  );
  const all = Array.from({ length: number + 1 }, (_, index) => commitOf(index).at(-1));
  const sorted = all.map((change) => [change?.key ?? "", change?.value] as const).toSorted(byKey);
  expect(kept).toEqual(sorted);
  return number;
}

function byKey(left: readonly [string, unknown], right: readonly [string, unknown]): number {
  return left[0] < right[0] ? -1 : 1;
}

test(
  "a log that is cut off or torn ends with a whole commit",
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(TORN, { minLength: 1, maxLength: 3 }), async (list) => {
        const torn = list.reduce((now: Buffer, one: Damage) => damaged(now, one), log);
        const opened = await open(before, torn);
        expect(opened?.last).toBeGreaterThanOrEqual(COMMITS / 2 - 1);
      }),
      { seed, numRuns: RUNS },
    );
  },
  FUZZ_LIMIT_MS,
);

test(
  "a database that was being written when the power went is made whole by its log",
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.boolean()), async (choices) => {
        // Any of the pages may have reached the disk already, in any order; the file has grown.
        const mixed = Buffer.from(after);
        for (let at = 0; at < before.byteLength; at += PAGE_BYTES) {
          if (choices.next().value === true) before.copy(mixed, at, at, at + PAGE_BYTES);
        }
        expect(await open(mixed, log)).toEqual({ last: COMMITS - 1 });
      }),
      { seed, numRuns: RUNS },
    );
  },
  FUZZ_LIMIT_MS,
);

test(
  "a damaged database without its log is refused, or is what it was",
  async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(TORN, async (damage) => {
        const torn = damaged(after, damage);
        if (torn.byteLength === 0) return; // an engine that was killed before its first row
        const opened = await open(torn, undefined);
        if (opened === undefined) refused += 1;
        else expect(opened.last).toBe(COMMITS - 1);
      }),
      { seed, numRuns: RUNS },
    );
    expect(refused).toBeGreaterThan(0);
  },
  FUZZ_LIMIT_MS,
);

test(
  "any damage to the log never crashes the engine",
  async () => {
    await fc.assert(
      fc.asyncProperty(ANY_DAMAGE, async (damage) => {
        const opened = await open(before, damaged(log, damage));
        if (opened !== undefined) expect(opened.last).toBeGreaterThanOrEqual(COMMITS / 2 - 1);
      }),
      { seed, numRuns: RUNS },
    );
  },
  FUZZ_LIMIT_MS,
);
