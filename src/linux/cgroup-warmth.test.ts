import { expect, test } from "bun:test";
import { ownGroupDir } from "./cgroup-warmth.ts";

const v1 = new Map([
  ["memory", "/sys/fs/cgroup/memory"],
  ["cpu", "/sys/fs/cgroup/cpu,cpuacct"],
]);

test("the own cgroup is found in whatever hierarchy comes first", () => {
  const host = { mode: "hybrid", v1, unified: undefined, unifiedControllers: [] } as const;
  expect(ownGroupDir(host, "9:name=systemd:/\n4:memory:/a:b/c\n3:cpu,cpuacct:/\n")).toBe(
    "/sys/fs/cgroup/memory/a:b/c",
  );
  expect(ownGroupDir(host, "3:cpu,cpuacct:/\n")).toBe("/sys/fs/cgroup/cpu,cpuacct");
});

test("on version 2 it is the only one, and where none is mounted there is none", () => {
  const host = {
    mode: "v2",
    v1: new Map(),
    unified: "/sys/fs/cgroup",
    unifiedControllers: [],
  } as const;
  expect(ownGroupDir(host, "0::/system.slice/naru.service\n")).toBe(
    "/sys/fs/cgroup/system.slice/naru.service",
  );
  expect(ownGroupDir({ ...host, unified: undefined }, "0::/x\n")).toBeUndefined();
});
