import { expect, test } from "bun:test";
import { usageRows } from "./disk-usage.ts";

test("rows as docker's: a share of what can be had back, not for the build cache", () => {
  const sums = { ActiveCount: 1, TotalCount: 3, Reclaimable: 1_000_000, TotalSize: 3_000_000 };
  const rows = usageRows({ ImageUsage: sums, BuildCacheUsage: sums });
  expect(rows.map((row) => Object.values(row))).toEqual([
    ["Images", "3", "1", "3MB", "1MB (33%)"],
    ["Containers", "0", "0", "0B", "0B"],
    ["Local Volumes", "0", "0", "0B", "0B"],
    ["Build Cache", "3", "1", "3MB", "1MB"],
  ]);
});
