import { afterAll, expect, test } from "bun:test";
import {
  appendFileSync,
  closeSync,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { gzipSync } from "node:zlib";
import { systemClock } from "../../base/mod.ts";
import { silentLogger } from "../../observe/mod.ts";
import { DEFAULT_LOG_LIMITS, openContainerLog, type SpooledLog } from "./container-log.ts";

const dir = mkdtempSync("/tmp/naru-log-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let count = 0;
function newPath(): string {
  count += 1;
  const folder = `${dir}/${count}`;
  Bun.spawnSync(["mkdir", folder]);
  return `${folder}/container.log`;
}

function text(from: number, to: number, stream = "stdout"): string {
  let all = "";
  for (let line = from; line <= to; line += 1) {
    all += `2026-01-01T00:00:00.${String(line).padStart(9, "0")}+00:00 ${stream} F line ${line}\n`;
  }
  return all;
}

function open(path: string, segmentsMax = 5): Promise<SpooledLog> {
  const limits = { ...DEFAULT_LOG_LIMITS, segmentBytesMax: 1000, segmentsMax };
  return openContainerLog(path, limits, { clock: systemClock, logger: silentLogger });
}

async function numbers(log: SpooledLog, tailLines?: number): Promise<number[]> {
  const found: number[] = [];
  const signal = new AbortController().signal;
  const options = { stdout: true, stderr: true, follow: false, sinceNs: undefined };
  for await (const { bytes } of log.read({ ...options, untilNs: undefined, tailLines, signal })) {
    found.push(Number(/line (\d+)/.exec(Buffer.from(bytes).toString())?.[1]));
  }
  return found;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

test("compressed, plain and live files are one log; every tail is right", async () => {
  const path = newPath();
  writeFileSync(`${path}.1.gz`, gzipSync(text(1, 10)));
  writeFileSync(`${path}.2`, text(11, 30, "stderr"));
  writeFileSync(path, text(31, 35));
  const log = await open(path);
  expect(await numbers(log)).toEqual(range(1, 35));
  for (const tail of [0, 1, 4, 5, 6, 24, 25, 26, 34, 35, 36, 1000]) {
    expect([tail, await numbers(log, tail)]).toEqual([tail, range(Math.max(1, 36 - tail), 35)]);
  }
});

test("a tail over many blocks reads from the end", async () => {
  const path = newPath();
  writeFileSync(path, text(1, 5000));
  const log = await open(path);
  for (const tail of [1, 1500, 4999]) {
    expect(await numbers(log, tail)).toEqual(range(5001 - tail, 5000));
  }
});

test("a rotation that a crash cut off is finished, whatever the step", async () => {
  const path = newPath();
  writeFileSync(path, text(21, 30));
  writeFileSync(`${path}.1.gz`, gzipSync(text(1, 10)));
  writeFileSync(`${path}.1`, text(1, 10)); // compressed, original not removed yet
  writeFileSync(`${path}.2`, text(11, 20)); // reopened, not compressed
  writeFileSync(`${path}.2.gz.tmp`, "half");
  linkSync(path, `${path}.3`); // linked, not reopened
  const log = await open(path);
  expect(await numbers(log)).toEqual(range(1, 30));
  expect(existsSync(`${path}.1`)).toBe(false);
  expect(existsSync(`${path}.2.gz.tmp`)).toBe(false);
  expect(existsSync(`${path}.2.gz`)).toBe(true);
});

test("without a monitor the log rotates by itself, and the oldest go", async () => {
  const path = newPath();
  const log = await open(path, 3);
  for (let round = 0; round < 5; round += 1) {
    appendFileSync(path, text(round * 100 + 1, round * 100 + 100));
    await log.rotateIfNeeded(`${dir}/no-bundle`);
  }
  expect(await numbers(log)).toEqual(range(301, 500));
  expect(readdirSync(path.replace(/\/[^/]*$/, "")).length).toBe(3);
  await log.remove();
  expect(readdirSync(path.replace(/\/[^/]*$/, ""))).toEqual([]);
});

test("a cursor starts at any position of the run, also in a rotated segment", async () => {
  const path = newPath();
  writeFileSync(path, text(1, 3)); // of an earlier run
  const log = await open(path, 2);
  log.started();
  appendFileSync(path, text(4, 103));
  await log.rotateIfNeeded(`${dir}/no-bundle`);
  appendFileSync(path, text(104, 110));
  const whole = range(4, 110)
    .map((line) => `line ${line}\n`)
    .join("");
  for (const start of [0, 1, 7, 500, whole.length - 3, whole.length]) {
    const cursor = log.spool.openCursor({ stdout: start, stderr: 0 });
    let seen = "";
    for (;;) {
      const pieces = await cursor?.next();
      if (pieces === undefined) break;
      for (const { bytes } of pieces) seen += Buffer.from(bytes).toString();
    }
    await cursor?.close();
    expect([start, seen]).toEqual([start, whole.slice(start)]);
  }
});

test("a monitor that reopens late loses nobody a line", async () => {
  const path = newPath();
  const bundle = path.replace(/\/[^/]*$/, "/bundle");
  Bun.spawnSync(["sh", "-c", `mkdir ${bundle} && mkfifo ${bundle}/ctl`]);
  const ctl = openSync(`${bundle}/ctl`, "r+"); // somebody who takes the request and does nothing yet
  const after = (_: number, then: () => void): (() => void) => systemClock.after(0, then);
  const clock = { ...systemClock, nowNs: () => systemClock.nowNs(), after };
  const limits = { ...DEFAULT_LOG_LIMITS, segmentBytesMax: 1000, segmentsMax: 9 };
  const log = await openContainerLog(path, limits, { clock, logger: silentLogger });
  log.started();
  writeFileSync(path, text(1, 30));
  const cursor = log.spool.openCursor({ stdout: 0, stderr: 0 });
  const lines = async (): Promise<number> => {
    let count = 0;
    for (let step = await cursor?.next(); step !== undefined; step = await cursor?.next()) {
      for (const { bytes } of step) count += Buffer.from(bytes).toString().split("\n").length - 1;
    }
    return count;
  };
  await log.rotateIfNeeded(bundle);
  await log.rotateIfNeeded(bundle); // nothing while the first is under way
  expect(await lines()).toBe(30);
  appendFileSync(path, text(31, 40)); // still written to the old one
  writeFileSync(`${path}.next`, text(41, 60));
  renameSync(`${path}.next`, path);
  while (!existsSync(`${path}.1.gz`)) await new Promise((resolve) => setImmediate(resolve));
  expect(await lines()).toBe(30);
  expect(await numbers(log)).toEqual(range(1, 60));
  await log.rotateIfNeeded(`${dir}/no-bundle`);
  expect(await numbers(log)).toEqual(range(1, 60));
  await cursor?.close();
  await log.close();
  closeSync(ctl);
});

test("a cursor keeps its segments; after it they go", async () => {
  const path = newPath();
  writeFileSync(path, "");
  const log = await open(path, 2);
  log.started();
  const cursor = log.spool.openCursor({ stdout: 0, stderr: 0 });
  for (let round = 0; round < 4; round += 1) {
    appendFileSync(path, text(round * 100 + 1, round * 100 + 100));
    await log.rotateIfNeeded(`${dir}/no-bundle`);
  }
  let seen = 0;
  for (;;) {
    const pieces = await cursor?.next();
    if (pieces === undefined) break;
    expect(pieces.length).toBe(1); // neighbours of one stream come together
    for (const { bytes } of pieces) seen += Buffer.from(bytes).toString().split("\n").length - 1;
  }
  expect(seen).toBe(400);
  await cursor?.close();
  await log.rotateIfNeeded(`${dir}/no-bundle`);
  expect(readdirSync(path.replace(/\/[^/]*$/, "")).length).toBe(2);
});

test("a cursor closed while it opens a file leaves no handle", async () => {
  const path = newPath();
  writeFileSync(path, text(1, 50));
  const log = await open(path);
  log.started();
  const handles = (): number =>
    readdirSync("/proc/self/fd").filter((fd) => targetOf(fd).startsWith(path)).length;
  for (let round = 0; round < 20; round += 1) {
    const cursor = log.spool.openCursor({ stdout: 0, stderr: 0 });
    const next = cursor?.next().catch(() => undefined);
    await cursor?.close();
    await next;
  }
  expect(handles()).toBe(0);
});

function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ""; // the listing's own
  }
}

test("a follower gets what is written later, and ends with the run", async () => {
  const path = newPath();
  writeFileSync(path, text(1, 2));
  const log = await open(path);
  log.started();
  const found: string[] = [];
  const two = Promise.withResolvers<void>();
  const following = (async () => {
    const signal = new AbortController().signal;
    const options = { stdout: true, stderr: true, follow: true, sinceNs: undefined };
    for await (const { bytes } of log.read({
      ...options,
      untilNs: undefined,
      tailLines: undefined,
      signal,
    })) {
      found.push(Buffer.from(bytes).toString());
      if (found.length === 2) two.resolve();
    }
  })();
  await two.promise;
  appendFileSync(path, text(3, 4));
  log.ended();
  await following;
  expect(found).toEqual(["line 1\n", "line 2\n", "line 3\n", "line 4\n"]);
});
