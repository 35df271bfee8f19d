import { existsSync, writeFileSync } from "node:fs";
import type { GroupPlace } from "./group-stats.ts";

/** Takes the limit of processes away. crun 1.8 writes `-1`, which the kernel refuses. */
export function liftPidsLimit(place: GroupPlace): void {
  if (place.pids !== undefined) writeFileSync(`${place.pids.dir}/pids.max`, "max");
}

/** A rate in bytes or operations a second, 0 for none; or a weight from 10 to 1000. */
export interface DeviceLimit {
  readonly major: number;
  readonly minor: number;
  readonly kind: "readBps" | "writeBps" | "readIops" | "writeIops" | "weight";
  readonly value: number;
}

const V1_FILES: Readonly<Record<DeviceLimit["kind"], readonly string[]>> = {
  readBps: ["blkio.throttle.read_bps_device"],
  writeBps: ["blkio.throttle.write_bps_device"],
  readIops: ["blkio.throttle.read_iops_device"],
  writeIops: ["blkio.throttle.write_iops_device"],
  weight: ["blkio.weight_device", "blkio.bfq.weight_device"],
};
const V2_KEYS = { readBps: "rbps", writeBps: "wbps", readIops: "riops", writeIops: "wiops" };

/**
 * Sets limits of single devices in a group that exists. Written here since `runc update` takes them
 * and does nothing. Throws what the kernel says: ENODEV for no such device, ENOENT where it has no
 * such limit. @see blkio-controller.rst, cgroup-v2.rst io.max
 */
export function setDeviceLimits(place: GroupPlace, limits: readonly DeviceLimit[]): void {
  if (place.io === undefined) return;
  const { dir, v1 } = place.io;
  for (const { major, minor, kind, value } of limits) {
    const device = `${major}:${minor}`;
    if (v1) {
      const [first = "", other = first] = V1_FILES[kind];
      const file = existsSync(`${dir}/${first}`) ? first : other;
      writeFileSync(`${dir}/${file}`, `${device} ${value}`);
    } else if (kind === "weight") {
      const bfq = `${dir}/io.bfq.weight`;
      if (existsSync(bfq)) writeFileSync(bfq, `${device} ${value}`);
      else writeFileSync(`${dir}/io.weight`, `${device} ${unifiedWeight(value)}`);
    } else {
      const rate = value === 0 ? "max" : String(value);
      writeFileSync(`${dir}/io.max`, `${device} ${V2_KEYS[kind]}=${rate}`);
    }
  }
}

/** 10..1000 as 1..10000, the way that the runtimes do it. */
export function unifiedWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}
