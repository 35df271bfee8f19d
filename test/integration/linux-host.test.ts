import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import * as linux from "../../src/linux/mod.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync("/tmp/naru-host-");
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("cgroups of this host", () => {
  test("a group is made, a process moved in, read, killed and removed", async () => {
    const host = linux.detectCgroups();
    const path = `/naru-test-${process.pid}/inner`;
    linux.createGroup(host, path);
    const child = Bun.spawn(["sleep", "60"]);
    try {
      linux.moveToGroup(host, path, child.pid);
      expect(linux.groupProcesses(host, path)).toEqual([child.pid]);
      expect(linux.removeGroup(host, path)).toBe(false);
      const status = linux.readGroup(host, path);
      const controllers = linux.cgroupControllers(host);
      if (controllers.includes("pids")) expect(status.processes).toBe(1);
      if (controllers.includes("memory")) expect(status.memoryBytes).toBeGreaterThanOrEqual(0);
      if (controllers.includes("cpu")) expect(status.cpuUsageNs).toBeGreaterThanOrEqual(0n);
      linux.killGroup(host, path);
      await child.exited; // killed: the sleep is far from over
      expect(linux.killGroup(host, path)).toBe(true);
    } finally {
      child.kill(9);
      await child.exited;
      linux.removeGroup(host, `/naru-test-${process.pid}`);
    }
    for (const dir of linux.groupDirs(host, `/naru-test-${process.pid}`))
      expect(existsSync(dir)).toBe(false);
  });
});

describe("this kernel", () => {
  test("name and features agree with what /proc says", () => {
    expect(linux.kernelName().release).toBe(
      readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    );
    const features = linux.kernelFeatures();
    expect(features.overlay).toBe(
      readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n"),
    );
    expect(linux.readSysctl("kernel.osrelease")).toBe(linux.kernelName().release);
    expect(linux.readSysctl("kernel.no_such_thing")).toBeUndefined();
    expect(linux.writeSysctl("kernel.osrelease", linux.kernelName().release)).toBe(false);
    expect(() => linux.writeSysctl("kernel.osrelease", "x")).toThrow("cannot set sysctl");
  });

  test("the service manager hears us, by path and by abstract name", async () => {
    const code = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\\0", 1)); print("ready", flush=True)
print(s.recv(100).decode(), flush=True)`;
    for (const address of [`${root}/notify`, `@naru-test-${process.pid}`]) {
      const manager = Bun.spawn(["python3", "-c", code, address], { stdout: "pipe" });
      let heard = "";
      for await (const chunk of manager.stdout) {
        heard += Buffer.from(chunk).toString();
        if (heard !== "ready\n") continue;
        expect(linux.notifyServiceManager("READY=1", { NOTIFY_SOCKET: address })).toBe(true);
      }
      expect(heard).toBe("ready\nREADY=1\n");
    }
    expect(linux.notifyServiceManager("READY=1", {})).toBe(false);
  });
});
