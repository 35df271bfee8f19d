import { expect, test } from "bun:test";
import type { Row } from "./rows.ts";
import { aligned, markdownTable, resultOf } from "./table.ts";

const row = (less: boolean): Row => ({
  name: "run",
  unit: less ? "ms" : "per s",
  less,
  command: "run --rm",
  samples: new Map([
    ["naru", [40, 50, 60]],
    ["docker", [200, 250, 300]],
  ]),
});

test("above one is better than docker, for times and for rates", () => {
  const [naru, docker] = resultOf(row(true)).figures;
  expect(naru?.timesBetterThanDocker).toBe(5);
  expect(docker?.timesBetterThanDocker).toBeUndefined();
  expect(resultOf(row(false)).figures[0]?.timesBetterThanDocker).toBe(0.2);
});

test("columns line up and numbers stand on the right", () => {
  expect(
    aligned([
      ["a", "n"],
      ["bbb", "12"],
      ["c", "1.5"],
    ]),
  ).toBe("a    n\nbbb   12\nc    1.5");
});

test("markdown has one line per figure", () => {
  expect(markdownTable([resultOf(row(true))]).split("\n")).toHaveLength(4);
});
