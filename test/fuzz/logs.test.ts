/** Corrupt log files: what is whole is read, in its order, and nothing crashes, hangs or is invented. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { systemClock } from "../../src/base/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import { DEFAULT_LOG_LIMITS, openContainerLog, type SpooledLog } from "../../src/runtime/mod.ts";
import { ANY_DAMAGE, type Damage, damaged } from "./damage.ts";
import { FUZZ_FACTOR, FUZZ_LIMIT_MS, fuzzSeed } from "./seed.ts";

const seed = fuzzSeed("logs.test.ts");
const RUNS = 150 * FUZZ_FACTOR;
const LINES_OF_FILE = 400;
const dir = mkdtempSync("/tmp/naru-fuzz-logs-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The files of one log, oldest first. */
const NAMES = ["container.log.1.gz", "container.log.2.gz", "container.log.3", "container.log"];

function textOf(file: number): Buffer {
  let text = "";
  for (let line = 0; line < LINES_OF_FILE; line += 1) {
    const stamp = `2026-01-01T00:0${file}:00.${String(line).padStart(9, "0")}+00:00`;
    const stream = line % 100 < 50 ? "stderr" : "stdout";
    // Some come in parts, as long lines and prompts do.
    const tag = line % 10 === 4 ? "P" : "F";
    text += `${stamp} ${stream} ${tag} <${file}.${line}>${"x".repeat(line % 90)}\n`;
  }
  return Buffer.from(text);
}

const WHOLE: readonly Buffer[] = NAMES.map((name, index) => {
  const text = textOf(index);
  return name.endsWith(".gz") ? gzipSync(text) : text;
});

/** What is read: the marks of the lines, in order. */
async function marksOf(log: SpooledLog, options: Record<string, unknown> = {}): Promise<string[]> {
  let text = "";
  const all = { stdout: true, stderr: true, follow: false, sinceNs: undefined };
  const entries = log.read({
    ...{ ...all, untilNs: undefined, tailLines: undefined },
    ...{ signal: AbortSignal.timeout(20_000), ...options },
  });
  for await (const { bytes } of entries) text += Buffer.from(bytes).toString("latin1");
  return [...text.matchAll(/<(\d\.\d+)>/g)].map((match) => match[1] ?? "");
}

test(
  "corrupt files",
  async () => {
    const damages = fc.array(fc.tuple(fc.nat(NAMES.length - 1), ANY_DAMAGE), {
      minLength: 1,
      maxLength: 4,
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(damages, fc.nat(2000), async (list, tailLines) => {
        round += 1;
        const folder = mkdtempSync(join(dir, `${round}-`));
        write(folder, list);
        const path = join(folder, "container.log");
        const logger = silentLogger;
        const log = await openContainerLog(path, DEFAULT_LOG_LIMITS, {
          clock: systemClock,
          logger,
        });
        const marks = await marksOf(log);
        checkWhole(marks, new Set(list.map(([file]) => file)));
        checkOrder(marks, list);
        const tail = await marksOf(log, { tailLines });
        expect(tail.length).toBeLessThanOrEqual(2 * tailLines + 2); // a line that came in two parts has two
        await marksOf(log, { sinceNs: 1_767_225_660_000_000_000n, stdout: false });
        await log.rotateIfNeeded(join(folder, "no-bundle"));
        await log.close();
        rmSync(folder, { recursive: true });
      }),
      { seed, numRuns: RUNS },
    );
  },
  FUZZ_LIMIT_MS,
);

function write(folder: string, list: readonly (readonly [number, Damage])[]): void {
  for (const [index, name] of NAMES.entries()) {
    const bytes = list
      .filter(([file]) => file === index)
      .reduce((now, [, damage]) => damaged(now, damage), WHOLE[index] ?? Buffer.alloc(0));
    writeFileSync(join(folder, name), bytes);
  }
}

/** Every line of a file that nothing happened to, in one piece. */
function checkWhole(marks: readonly string[], hit: ReadonlySet<number>): void {
  const text = ` ${marks.join(" ")} `;
  for (const file of NAMES.keys()) {
    if (hit.has(file)) continue;
    const wanted = Array.from({ length: LINES_OF_FILE }, (_, line) => `${file}.${line}`).join(" ");
    // Not "only there": damage elsewhere may have made another line's mark look like one of these.
    if (!text.includes(` ${wanted} `)) expect(marks.join("\n")).toContain(wanted);
  }
}

/** Files come one after the other, whatever is in them, unless a mark may have become another. */
function checkOrder(marks: readonly string[], list: readonly (readonly [number, Damage])[]): void {
  const changed = list.some(
    ([file, damage]) =>
      (NAMES[file] ?? "").endsWith(".gz") ||
      damage.kind === "flip" ||
      (damage.kind === "fill" && damage.byte !== 0),
  );
  const files = marks.map((mark) => mark.split(".")[0] ?? "");
  if (!changed) expect(files).toEqual(files.toSorted());
}

test("the files are as whole as the test believes", async () => {
  const folder = mkdtempSync(join(dir, "whole-"));
  write(folder, []);
  const path = join(folder, "container.log");
  expect(readFileSync(path).byteLength).toBe(WHOLE.at(-1)?.byteLength ?? 0);
  const options = { clock: systemClock, logger: silentLogger };
  const log = await openContainerLog(path, DEFAULT_LOG_LIMITS, options);
  checkWhole(await marksOf(log), new Set());
  await log.close();
});
