import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { liftPidsLimit, setDeviceLimits, unifiedWeight } from "./group-limits.ts";
import type { GroupPlace } from "./group-stats.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync("/tmp/naru-group-limits-");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function place(v1: boolean): GroupPlace {
  const here = { dir, v1 };
  return { memory: here, cpu: here, cpuacct: undefined, io: here, pids: here };
}

function written(file: string): string {
  return readFileSync(`${dir}/${file}`, "utf8");
}

test("v1 has a file for each kind, bfq's weights where the old ones are not", () => {
  writeFileSync(`${dir}/blkio.bfq.weight_device`, "");
  setDeviceLimits(place(true), [
    { major: 8, minor: 0, kind: "readBps", value: 1024 },
    { major: 8, minor: 16, kind: "writeIops", value: 0 },
    { major: 8, minor: 0, kind: "weight", value: 300 },
  ]);
  expect(written("blkio.throttle.read_bps_device")).toBe("8:0 1024");
  expect(written("blkio.throttle.write_iops_device")).toBe("8:16 0");
  expect(written("blkio.bfq.weight_device")).toBe("8:0 300");
});

test("v2 has one file of rates, where none is max, and weights of its own scale", () => {
  const device = { major: 8, minor: 0 };
  setDeviceLimits(place(false), [{ ...device, kind: "writeBps", value: 5 }]);
  expect(written("io.max")).toBe("8:0 wbps=5");
  setDeviceLimits(place(false), [{ ...device, kind: "readIops", value: 0 }]);
  expect(written("io.max")).toBe("8:0 riops=max");
  setDeviceLimits(place(false), [{ ...device, kind: "weight", value: 1000 }]);
  expect(written("io.weight")).toBe("8:0 10000");
  expect([10, 505, 1000].map(unifiedWeight)).toEqual([1, 5000, 10_000]);
});

test("no limit of processes is max", () => {
  liftPidsLimit(place(false));
  expect(written("pids.max")).toBe("max");
});
