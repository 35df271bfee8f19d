/**
 * What runs inside the virtual machine: the engine from the outside, on a stock Debian kernel with
 * cgroup v2 only. Values are read from the kernel's own files, inside and outside of containers.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { tarArchive } from "../../../scripts/tar-writer.ts";
import { cli, cliOk } from "../../harness/cli.ts";
import { startEngine, type TestEngine } from "../../harness/engine.ts";
import { systemCheck } from "../../harness/leaks.ts";
import { busyboxFiles, busyboxLayer, dockerArchive } from "../../harness/rootfs.ts";

const LIMIT_MS = 60_000; // emulation is some ten times slower than the host

let engine: TestEngine;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, LIMIT_MS);
}

function run(...args: readonly string[]): Promise<string> {
  return cliOk(engine, ["run", "--rm", ...args]);
}

async function inspect(name: string): Promise<Inspected> {
  return (await (await engine.fetch(`/containers/${name}/json`)).json()) as Inspected;
}

interface Inspected {
  readonly Id: string;
  readonly State: {
    readonly Status: string;
    readonly OOMKilled: boolean;
    readonly ExitCode: number;
    readonly Pid: number;
    readonly FinishedAt: string;
  };
}

/** A file of the container's cgroup as the host sees it. */
function cgroupFile(pid: number, name: string): string {
  const path = readFileSync(`/proc/${pid}/cgroup`, "utf8").replace(/^0::/, "").trim();
  return readFileSync(join("/sys/fs/cgroup", path, name), "utf8").trim();
}

beforeAll(async () => {
  engine = await startEngine();
  const { dockerArchive } = await busyboxFiles();
  await cliOk(engine, ["load", "-i", dockerArchive]);
}, LIMIT_MS);

afterAll(async () => {
  await engine.destroy();
}, LIMIT_MS);

its("info says cgroup version 2", async () => {
  const info = (await (await engine.fetch("/info")).json()) as Record<string, unknown>;
  expect(info["CgroupVersion"]).toBe("2");
  expect(info["CgroupDriver"]).toBe("cgroupfs");
  expect(info["SecurityOptions"]).toContain("name=cgroupns");
  expect(info["MemoryLimit"]).toBe(true);
  expect(info["PidsLimit"]).toBe(true);
});

its("memory, cpus and pids limits are in the container's cgroup", async () => {
  const limits = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "33", "--cpu-shares", "512"];
  const files = "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max; cat memory.swap.max";
  const [memory, cpu, pids, swap] = (await run(...limits, "busybox", "sh", "-c", files)).split(
    "\n",
  );
  expect(memory).toBe(String(64 * 1024 * 1024));
  expect(cpu).toBe("50000 100000");
  expect(pids).toBe("33");
  expect(swap).toBe(String(64 * 1024 * 1024)); // as much swap as memory, as Docker gives
});

its("cgroup namespaces: private by default, host when asked", async () => {
  const own = await run("busybox", "cat", "/proc/self/cgroup");
  expect(own).toBe("0::/");
  const host = await run("--cgroupns", "host", "busybox", "cat", "/proc/self/cgroup");
  expect(host).toContain(engine.cgroupParent);
});

its("the cgroup files are read-only inside", async () => {
  const result = await cli(engine, ["run", "--rm", "busybox", "mkdir", "/sys/fs/cgroup/x"]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain("Read-only file system");
});

its("an OOM kill is reported, and 137 alone is not one", async () => {
  const eat = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
  const limits = ["-m", "32m", "--memory-swap", "32m"];
  const eaten = await cli(engine, ["run", "--name", "oom", ...limits, "busybox", ...eat]);
  expect(eaten.exitCode).toBe(137);
  expect((await inspect("oom")).State).toMatchObject({ OOMKilled: true, ExitCode: 137 });
  await cliOk(engine, ["run", "-d", "--name", "killed", "busybox", "sleep", "1000"]);
  await cliOk(engine, ["kill", "killed"]);
  await cli(engine, ["wait", "killed"]);
  expect((await inspect("killed")).State).toMatchObject({ OOMKilled: false, ExitCode: 137 });
  await cliOk(engine, ["rm", "oom", "killed"]);
});

its("exec is in the container's cgroup; logs, stop, rm", async () => {
  await cliOk(engine, ["run", "-d", "--name", "web", "busybox", "sh", "-c", "echo hi; sleep 1000"]);
  expect(await cliOk(engine, ["exec", "web", "cat", "/proc/self/cgroup"])).toBe("0::/");
  expect(await cliOk(engine, ["logs", "web"])).toBe("hi");
  const pid = (await inspect("web")).State.Pid;
  expect(cgroupFile(pid, "cgroup.procs").split("\n")).toContain(String(pid));
  await cliOk(engine, ["stop", "-t", "1", "web"]);
  expect((await inspect("web")).State.Status).toBe("exited");
  await cliOk(engine, ["rm", "web"]);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

its("devices that were not given are refused", async () => {
  const read = "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem";
  const result = await cli(engine, ["run", "--rm", "busybox", "sh", "-c", read]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain("Operation not permitted");
  await run("--device", "/dev/rtc0:/dev/clock", "busybox", "sh", "-c", ": < /dev/clock");
  await run("--privileged", "busybox", "sh", "-c", ": < /dev/rtc0");
});

its("runc runs the same", async () => {
  const files = "cat /sys/fs/cgroup/memory.max /proc/self/cgroup";
  const limits = ["--runtime", "runc", "-m", "64m"];
  expect(await run(...limits, "busybox", "sh", "-c", files)).toBe("67108864\n0::/");
});

its("the default seccomp profile and capabilities hold", async () => {
  const status = await run("busybox", "cat", "/proc/self/status");
  expect(status).toMatch(/^Seccomp:\t2$/m);
  expect(status).toMatch(/^CapEff:\t00000000a80425fb$/m);
  const denied = await cli(engine, ["run", "--rm", "busybox", "unshare", "-U", "true"]);
  expect(denied.exitCode).not.toBe(0);
  expect(denied.stderr).toContain("Operation not permitted");
  await run("--security-opt", "seccomp=unconfined", "busybox", "unshare", "-U", "true");
});

its("two containers on the bridge reach each other", async () => {
  await cliOk(engine, ["run", "-d", "--name", "peer", "busybox", "sleep", "1000"]);
  const address = await cliOk(engine, [
    ...["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "peer"],
  ]);
  expect(address.startsWith(`${engine.subnet}.`)).toBe(true);
  const ping = await run("busybox", "ping", "-c", "2", "-W", "5", address);
  expect(ping).toContain("2 packets transmitted, 2 packets received");
  await cliOk(engine, ["rm", "-f", "peer"]);
});

its("an image of 126 layers is mounted in one page of options", async () => {
  const added = Array.from({ length: 125 }, (_, index) =>
    tarArchive([{ path: `f${index}`, kind: "file", data: String(index) }]),
  );
  const plan = { reference: "deep:latest", layers: [await busyboxLayer(), ...added] };
  const archive = dockerArchive([plan]);
  await cliOk(engine, ["load"], { stdin: archive, limitMs: LIMIT_MS });
  expect(await run("deep", "sh", "-c", "ls -d /f* | wc -l; cat /f0 /f124")).toBe("125\n0124");
});

its("containers outlive a killed engine, and it takes them up again", async () => {
  const counting = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.2; done";
  await cliOk(engine, [
    "run",
    "-d",
    "--name",
    "alive",
    "-m",
    "64m",
    "busybox",
    "sh",
    "-c",
    counting,
  ]);
  await cliOk(engine, ["run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 4; exit 7"]);
  const { Pid } = (await inspect("alive")).State;
  await engine.kill9();
  await Bun.sleep(5000); // `ends` ends with no engine alive
  await engine.start();
  expect((await inspect("alive")).State).toMatchObject({ Status: "running", Pid });
  expect((await inspect("ends")).State).toMatchObject({ Status: "exited", ExitCode: 7 });
  expect(await cliOk(engine, ["exec", "alive", "echo", "again"])).toBe("again");
  expect(cgroupFile(Pid, "memory.max")).toBe(String(64 * 1024 * 1024));
  const lines = (await cliOk(engine, ["logs", "alive"])).split("\n");
  expect(lines.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => `line ${i + 1}`));
  await cliOk(engine, ["rm", "-f", "alive", "ends"]);
});

its("the leak check is clean", async () => {
  expect(await systemCheck(engine)).toEqual([]);
});
