import { expect, test } from "bun:test";
import { idMapOf } from "./idmap.ts";

test("two ids change places, all others stay, and every id is there once", () => {
  expect(idMapOf({ onDisk: 0, seenAs: 0 })).toBe("0 0 4294967295\n");
  expect(idMapOf({ onDisk: 1000, seenAs: 0 })).toBe(
    "0 1000 1\n1 1 999\n1000 0 1\n1001 1001 4294966294\n",
  );
  expect(idMapOf({ onDisk: 5, seenAs: 6 })).toBe("0 0 5\n5 6 1\n6 5 1\n7 7 4294967288\n");
});
