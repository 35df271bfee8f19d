import { expect, test } from "bun:test";
import fc from "fast-check";
import type { OutputStream } from "../contract.ts";
import { EntryJoiner } from "./entry-joiner.ts";
import { LineSplitter, type LogLine } from "./line.ts";

const everything = {
  stdout: true,
  stderr: true,
  follow: false,
  sinceNs: undefined,
  untilNs: undefined,
  tailLines: undefined,
  signal: new AbortController().signal,
};

function lines(text: string | Buffer): LogLine[] {
  return new LineSplitter().push(Buffer.from(text));
}

test("a line's parts", () => {
  const [full, part] = lines(
    "2026-01-31T23:59:59.123456789+09:00 stdout F héllo wörld\n" +
      "2026-01-31T14:59:59.000000001Z stderr P no newline\n",
  );
  expect(full?.stream).toBe("stdout");
  expect(full?.partial).toBe(false);
  expect(full?.timeNs).toBe(BigInt(Date.UTC(2026, 0, 31, 14, 59, 59)) * 1_000_000n + 123_456_789n);
  expect(Buffer.from(full?.bytes ?? []).toString()).toBe("héllo wörld\n");
  expect(part?.stream).toBe("stderr");
  expect(part?.timeNs).toBe(BigInt(Date.UTC(2026, 0, 31, 14, 59, 59)) * 1_000_000n + 1n);
  expect(Buffer.from(part?.bytes ?? []).toString()).toBe("no newline");
});

test("empty lines, text of blanks, raw bytes", () => {
  const stamp = "2026-01-31T23:59:59.123456789+00:00";
  expect(Buffer.from(lines(`${stamp} stdout F \n`)[0]?.bytes ?? []).toString()).toBe("\n");
  expect(Buffer.from(lines(`${stamp} stdout F   x \n`)[0]?.bytes ?? []).toString()).toBe("  x \n");
  const raw = Buffer.concat([Buffer.from(`${stamp} stdout F `), Buffer.from([0, 0xff, 0x80, 10])]);
  expect([...(lines(raw)[0]?.bytes ?? [])]).toEqual([0, 0xff, 0x80, 10]);
});

test("what is no line is passed over", () => {
  const good = "2026-01-31T23:59:59.123456789+00:00 stdout F good\n";
  const bad = [
    "2026-01-31T23:59:59.1234567892026-01-31T23:59:59.1+00:00 stdout F torn\n",
    "\n",
    "nonsense\n",
    "2026-01-31T23:59:59.123456789+00:00 stdlog F x\n",
    "2026-01-31T23:59:59.123456789+00:00 stdout X x\n",
    "2026-99-31T23:59:59.123456789+00:00 stdout F x\n",
  ];
  for (const line of bad) {
    expect(lines(line + good).map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([
      "good\n",
    ]);
  }
});

test("a torn last line waits, and is never invented", () => {
  const splitter = new LineSplitter();
  expect(splitter.push(Buffer.from("2026-01-31T23:59:59.123456789+00:00 std"))).toEqual([]);
  expect(splitter.push(Buffer.from("out F x\n")).length).toBe(1);
});

/** What conmon writes for one read of a container's output. @see conmon src/ctr_logging.c */
function conmonLines(stream: OutputStream, output: Buffer): Buffer[] {
  const written: Buffer[] = [];
  let start = 0;
  while (start < output.byteLength) {
    const newline = output.indexOf(10, start);
    const end = newline === -1 ? output.byteLength : newline;
    const tag = newline === -1 ? "P" : "F";
    const head = Buffer.from(`2026-11-20T22:48:59.661792820+00:00 ${stream} ${tag} `);
    written.push(Buffer.concat([head, output.subarray(start, end), Buffer.from("\n")]));
    start = end + 1;
  }
  return written;
}

const output = fc.record({
  stream: fc.constantFrom<OutputStream>("stdout", "stderr"),
  bytes: fc
    .array(fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 255 }) }, fc.constant(10)), {
      minLength: 1,
      maxLength: 40,
    })
    .map((values) => Buffer.from(values)),
});

test("whatever is written in whatever pieces comes back, stream by stream", () => {
  fc.assert(
    fc.property(
      fc.array(output, { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 10 }),
      (writes, cuts) => {
        const file = Buffer.concat(
          writes.flatMap(({ stream, bytes }) => conmonLines(stream, bytes)),
        );
        const splitter = new LineSplitter();
        const joiner = new EntryJoiner(everything);
        const seen: Record<OutputStream, Uint8Array[]> = { stdout: [], stderr: [] };
        for (let at = 0, turn = 0; at < file.byteLength; turn += 1) {
          const size = cuts[turn % cuts.length] ?? 1;
          for (const line of splitter.push(file.subarray(at, at + size))) {
            for (const entry of joiner.push(line)) {
              expect(Buffer.from(entry.bytes).indexOf(10)).toBe(entry.bytes.byteLength - 1);
              seen[entry.stream].push(entry.bytes);
            }
          }
          at += size;
        }
        for (const entry of joiner.rest()) seen[entry.stream].push(entry.bytes);
        for (const stream of ["stdout", "stderr"] as const) {
          const wanted = writes.filter((write) => write.stream === stream);
          const all = Buffer.concat(wanted.map(({ bytes }) => bytes));
          expect(Buffer.concat(seen[stream]).equals(all)).toBe(true);
        }
      },
    ),
  );
});

test("since, until, streams and lines passed over", () => {
  const text = [1, 2, 3, 4]
    .map(
      (second) =>
        `2026-01-01T00:00:0${second}.0+00:00 ${second % 2 ? "stdout" : "stderr"} F ${second}\n`,
    )
    .join("");
  const at = (second: number): bigint => BigInt(Date.UTC(2026, 0, 1, 0, 0, second)) * 1_000_000n;
  const read = (
    options: Partial<typeof everything> & { sinceNs?: bigint; untilNs?: bigint },
    skip = 0,
  ) => {
    const joiner = new EntryJoiner({ ...everything, ...options });
    joiner.skip(skip);
    return lines(text)
      .flatMap((line) => [...joiner.push(line)])
      .map(({ bytes }) => Buffer.from(bytes).toString().trim())
      .join("");
  };
  expect(read({})).toBe("1234");
  expect(read({ sinceNs: at(2) } as never)).toBe("234");
  expect(read({ untilNs: at(3) } as never)).toBe("123");
  expect(read({ stderr: false })).toBe("13");
  expect(read({}, 3)).toBe("4");
});
