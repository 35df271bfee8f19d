import { expect, test } from "bun:test";
import { kernelAtLeast } from "./kernel.ts";
import { parseProcessStatus } from "./process.ts";
import { errnoOf, SyscallError, syscallErrorFrom, syscallErrorRecord } from "./syscall-error.ts";
import { sysctlPath } from "./sysctl.ts";
import { passedSockets } from "./systemd.ts";

test("a command with brackets and blanks does not shift the fields of stat", () => {
  const fields = Array.from({ length: 30 }, (_, index) => String(index + 100));
  const status = parseProcessStatus(`77 (a) b (c)) S 5 ${fields.join(" ")}\n`);
  expect(status).toEqual({ pid: 77, state: "S", parentPid: 5, startTime: 117 });
});

test("a syscall error keeps call, number and name, also across a Worker", () => {
  const error = new SyscallError("mount", errnoOf("EBUSY"), "/x");
  expect(error.message).toBe("mount /x: EBUSY");
  expect(error.code).toBe("EBUSY");
  const copy = syscallErrorFrom(structuredClone(syscallErrorRecord(error)));
  expect(copy.message).toBe(error.message);
  expect(new SyscallError("x", 4242).code).toBe("E4242");
});

test("sysctl names become paths below /proc/sys only", () => {
  expect(sysctlPath("net.ipv4.ip_forward")).toBe("/proc/sys/net/ipv4/ip_forward");
  expect(sysctlPath("net/ipv4/conf/eth0.100/rp_filter")).toBe(
    "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
  );
  expect(sysctlPath("net.ipv4.conf.eth0/100.rp_filter")).toBe(
    "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
  );
  for (const bad of [
    "",
    "kernel",
    "net/../../etc/passwd",
    "a..b",
    "/etc/passwd",
    "a.b\0c",
    "./x",
  ]) {
    expect(() => sysctlPath(bad)).toThrow("invalid sysctl name");
  }
});

test("sockets are taken only when they are meant for this process", () => {
  const environment = { LISTEN_PID: "42", LISTEN_FDS: "2", LISTEN_FDNAMES: "api:" };
  expect(passedSockets(environment, 42)).toEqual([
    { fd: 3, name: "api" },
    { fd: 4, name: "" },
  ]);
  expect(passedSockets(environment, 43)).toEqual([]);
  expect(passedSockets({ ...environment, LISTEN_FDS: "-1" }, 42)).toEqual([]);
  expect(passedSockets({ ...environment, LISTEN_FDS: "x" }, 42)).toEqual([]);
});

test("kernel releases compare as numbers", () => {
  expect(kernelAtLeast("6.1.0-18-amd64", 5, 19)).toBe(true);
  expect(kernelAtLeast("6.1.0-18-amd64", 6, 5)).toBe(false);
  expect(kernelAtLeast("5.19-rc1", 5, 19)).toBe(true);
  expect(kernelAtLeast("6.18.44-fc", 6, 18)).toBe(true);
});
