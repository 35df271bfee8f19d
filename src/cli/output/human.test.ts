import { describe, expect, test } from "bun:test";
import {
  formatAgo,
  formatBinarySize,
  formatDuration,
  formatLocalTime,
  formatSize,
} from "./human.ts";
import { drawTable } from "./table.ts";

const SECOND = 1000;
const HOUR = 3600 * SECOND;

describe("docker's words for times", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "Less than a second"],
    [1 * SECOND, "1 second"],
    [59 * SECOND, "59 seconds"],
    [60 * SECOND, "About a minute"],
    [150 * SECOND, "2 minutes"],
    [60 * 60 * SECOND, "About an hour"],
    [1.6 * HOUR, "2 hours"],
    [47 * HOUR, "47 hours"],
    [49 * HOUR, "2 days"],
    [15 * 24 * HOUR, "2 weeks"],
    [61 * 24 * HOUR, "2 months"],
    [800 * 24 * HOUR, "2 years"],
  ];
  for (const [ms, wanted] of cases) {
    test(wanted, () => expect(formatDuration(ms)).toBe(wanted));
  }
  test("a clock that is behind shows no negative time", () => {
    expect(formatAgo(2000, 1000)).toBe("Less than a second ago");
  });
});

test("sizes are decimal with few digits, limits binary", () => {
  expect(formatSize(0)).toBe("0B");
  expect(formatSize(999)).toBe("999B");
  expect(formatSize(1_240_000, 3)).toBe("1.24MB");
  expect(formatSize(1_234_567_890, 4)).toBe("1.235GB");
  expect(formatBinarySize(64 * 1024 * 1024)).toBe("64MiB");
});

describe("tables", () => {
  test("columns align, the last one has no blanks behind it", () => {
    expect(
      drawTable([
        ["A", "B"],
        ["long", "x"],
      ]),
    ).toBe("A      B\nlong   x\n");
  });
  test("wide characters count as two", () => {
    expect(
      drawTable([
        ["나루", "B"],
        ["abcd", "x"],
      ]),
    ).toBe("나루   B\nabcd   x\n");
  });
  test("the widest column is cut to the terminal", () => {
    const drawn = drawTable(
      [
        ["ID", "COMMAND"],
        ["1", "x".repeat(100)],
      ],
      { columns: 30 },
    );
    for (const line of drawn.trimEnd().split("\n")) {
      expect(Bun.stringWidth(line)).toBeLessThanOrEqual(30);
    }
    expect(drawn).toContain("…");
  });
  test("a pipe gets everything", () => {
    expect(drawTable([["x".repeat(500)]])).toHaveLength(501);
  });
});

test("instants are local, with all digits", () => {
  const zone = process.env["TZ"];
  try {
    for (const [name, wanted] of [
      ["UTC", "2026-11-20T23:33:04.038501207Z"],
      ["Asia/Seoul", "2026-11-21T08:33:04.038501207+09:00"],
      ["America/St_Johns", "2026-11-20T20:03:04.038501207-03:30"],
    ] as const) {
      process.env["TZ"] = name;
      expect(formatLocalTime(1795217584038501207n)).toBe(wanted);
    }
  } finally {
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
  }
});
