import { afterAll, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import fc from "fast-check";
import { systemClock } from "../../../base/mod.ts";
import { silentLogger } from "../../../observe/mod.ts";
import { ShippingFeed } from "./feed.ts";
import type { ShipMessage } from "./message.ts";
import { OffsetFile, type ShippedState } from "./offset-file.ts";
import type { ShippingPlan } from "./plan.ts";
import { Shipper, type ShippingSource } from "./shipper.ts";

const dir = mkdtempSync("/tmp/naru-ship-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let count = 0;
function newPath(): string {
  count += 1;
  return `${dir}/${count}.log`;
}

function k8s(stream: string, letter: "P" | "F", text: string): string {
  return `2026-01-01T00:00:00.000000001+00:00 ${stream} ${letter} ${text}\n`;
}

function source(path: string): ShippingSource {
  return {
    ...{ path, liveSerial: 1, liveInode: undefined, version: 1, atRest: true },
    segmentFrom: () => undefined,
    damaged: () => undefined,
    liveFile: () => ({ liveSerial: 1, liveInode: "7" }),
    change: () => Promise.resolve(),
  };
}

const plan: ShippingPlan = {
  target: { kind: "journald", path: "" },
  origin: {
    ...{ containerId: "c", containerName: "n", imageId: "", imageName: "", command: "" },
    ...{ createdNs: "0", hostname: "", tag: "", attributes: {} },
  },
  ...{ batchBytesMax: 100, retryWaitMs: 1, triesMax: null, blocking: true, bufferBytesMax: 1 },
};

const START = { serial: 0, offset: 0, partial: null };
const idOf = (stream: string, serial: number, offset: number): string =>
  `${stream}-${serial}-${offset}`;

function texts(messages: readonly ShipMessage[]): string[] {
  return messages.map(({ stream, line }) => `${stream[3]}:${Buffer.from(line).toString()}`);
}

/** Ships what is there with an engine that dies after `sends` sends, the last one not written down. */
async function shipUntilKilled(path: string, sends: number, got: ShipMessage[]): Promise<void> {
  const offsets = new OffsetFile(`${path}.shipped`);
  const from = (await offsets.read()) ?? { stdout: START, stderr: START };
  const feed = new ShippingFeed(source(path), from, idOf);
  for (let sent = 1; ; sent += 1) {
    const batch = (await feed.next(50)) ?? feed.rest();
    if (batch === undefined) break;
    got.push(...batch.messages);
    if (sent > sends) break;
    const state: ShippedState = { ...batch.after, liveSerial: 1, liveInode: "7" };
    await offsets.write(state, 0);
  }
  await feed.close();
  await offsets.close();
}

test("each stream goes on from its own place: killed anywhere, only the last batch comes twice", async () => {
  const piece = fc.record({
    stream: fc.constantFrom("stdout" as const, "stderr" as const),
    letter: fc.constantFrom("P" as const, "F" as const),
    size: fc.integer({ min: 0, max: 30 }),
  });
  const seed = Number(process.env["NARU_SEED"] ?? fc.sample(fc.nat(), 1)[0]);
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 40 }), fc.nat(6), async (pieces, sends) => {
      const path = newPath();
      const written = pieces.map(({ stream, letter, size }, index) =>
        k8s(stream, letter, `${index}${"x".repeat(size)}`),
      );
      writeFileSync(path, written.join(""));
      const whole: ShipMessage[] = [];
      await shipUntilKilled(path, Number.MAX_SAFE_INTEGER, whole);
      rmSync(`${path}.shipped`, { force: true });
      const parts: ShipMessage[][] = [[], []];
      await shipUntilKilled(path, sends, parts[0] as ShipMessage[]);
      await shipUntilKilled(path, Number.MAX_SAFE_INTEGER, parts[1] as ShipMessage[]);
      for (const stream of ["stdout", "stderr"] as const) {
        const of = (list: readonly ShipMessage[] = []): string[] =>
          texts(list.filter((one) => one.stream === stream));
        const all = of(whole);
        const [first, second] = [of(parts[0]), of(parts[1])];
        expect(all.slice(0, first.length)).toEqual(first);
        // Nothing is missing; what comes twice was in the last, unacknowledged batch.
        expect(second).toEqual(all.slice(all.length - second.length));
        expect(first.length + second.length).toBeGreaterThanOrEqual(all.length);
      }
    }),
    { numRuns: 60, seed },
  );
});

test("long lines go in pieces of 16 KiB that say so, also over a restart", async () => {
  const path = newPath();
  const part = k8s("stdout", "P", "p".repeat(8192));
  writeFileSync(path, part.repeat(5) + k8s("stderr", "F", "between") + k8s("stdout", "F", "end"));
  const first: ShipMessage[] = [];
  await shipUntilKilled(path, 1, first);
  const second: ShipMessage[] = [];
  await shipUntilKilled(path, 100, second);
  const marks = [first[0], ...second]
    .filter((one) => one?.stream === "stdout")
    .map((one) => [one?.line.byteLength, one?.partial?.ordinal, one?.partial?.last]);
  expect(marks).toEqual([
    [16_384, 1, false],
    [16_384, 2, false],
    [8195, 3, true],
  ]);
  const ids = new Set([...first, ...second].flatMap(({ partial }) => partial?.id ?? []));
  expect(ids.size).toBe(1);
});

test("a peer that fails gets the rest again, and a file at rest is shipped to its end", async () => {
  const path = newPath();
  writeFileSync(path, ["a", "b", "c"].map((text) => k8s("stdout", "F", text)).join(""));
  appendFileSync(path, k8s("stderr", "P", "no newline"));
  const got: string[] = [];
  let failures = 2;
  const offsets = new OffsetFile(`${path}.shipped`);
  const shipper = new Shipper(
    {
      ...{ source: source(path), plan: () => plan, offsets, onMoved: () => undefined },
      ...{ clock: systemClock, logger: silentLogger },
      openSink: () => ({
        send: async (messages, taken) => {
          for (const one of messages) {
            if (failures > 0 && got.length === 3 - failures) {
              failures -= 1;
              throw new Error("down");
            }
            got.push(...texts([one]));
            taken(1);
          }
        },
        close: () => undefined,
      }),
    },
    { stdout: START, stderr: START },
  );
  shipper.start();
  expect(await shipper.drained(5000)).toBe(true);
  expect(got).toEqual(["o:a", "o:b", "o:c", "e:no newline"]);
  expect(shipper.serial).toBe(1);
  shipper.start(); // nothing new: nothing is sent again
  expect(await shipper.drained(5000)).toBe(true);
  expect(got.length).toBe(4);
  await shipper.close();
});

test("a peer that never takes anything is not waited for beyond patience", async () => {
  const path = newPath();
  writeFileSync(path, k8s("stdout", "F", "a"));
  const shipper = new Shipper(
    {
      ...{ source: source(path), plan: () => plan, onMoved: () => undefined },
      ...{ clock: systemClock, logger: silentLogger },
      offsets: new OffsetFile(`${path}.shipped`),
      openSink: () => ({ send: () => Promise.reject(new Error("down")), close: () => undefined }),
    },
    { stdout: START, stderr: START },
  );
  shipper.start();
  expect(await shipper.drained(20)).toBe(false);
  await shipper.close();
});

test("the offset file survives a torn slot and a file that is cut short", async () => {
  const path = newPath();
  const state = (offset: number): ShippedState => ({
    stdout: { serial: 3, offset, partial: null },
    stderr: { serial: 3, offset: 0, partial: { id: "x", ordinal: 1 } },
    liveSerial: 3,
    liveInode: "9",
  });
  const file = new OffsetFile(path);
  expect(await file.read()).toBeUndefined();
  for (const offset of [1, 2, 3]) await file.write(state(offset), 0);
  await file.close();
  expect(await new OffsetFile(path).read()).toEqual(state(3));
  const bytes = readFileSync(path);
  bytes[512 + 40] = 0; // of the third write
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
  expect(await new OffsetFile(path).read()).toEqual(state(2));
  writeFileSync(path, "short");
  expect(await new OffsetFile(path).read()).toBeUndefined();
});
