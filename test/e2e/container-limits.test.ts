/**
 * What containers use and may use: stats, top, update and disk usage, through the stock docker
 * client and the API, held against what the kernel says inside the container.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type OpenedSocket, openSocket } from "../conformance/engine.ts";
import { type CliOptions, type CliResult, cli, cliOk, privileged } from "../harness/cli.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const TEST_TIMEOUT_MS = 60_000;
const MIB = 1024 * 1024;

let engine: OpenedSocket;

function docker(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return cli(engine, args, { ...options, program: "docker" });
}

async function shown(...args: string[]): Promise<string> {
  return (await cliOk(engine, args, { program: "docker" })).trim();
}

async function api(path: string, init: RequestInit = {}): Promise<Response> {
  return await fetch(`http://engine${path}`, { ...init, unix: engine.socketPath });
}

interface Sample {
  read: string;
  preread: string;
  name: string;
  id: string;
  cpu_stats: { cpu_usage: { total_usage: number }; system_cpu_usage?: number };
  precpu_stats: { cpu_usage: { total_usage: number }; system_cpu_usage?: number };
  memory_stats: { usage?: number; limit?: number };
  pids_stats: { current?: number };
  networks?: Record<string, { rx_bytes: number }>;
}

async function sample(name: string, query: string): Promise<Sample> {
  return (await (await api(`/v1.44/containers/${name}/stats?${query}`)).json()) as Sample;
}

/** A limit as the kernel has it, from within the container. */
function limit(name: string, v1: string, v2: string): Promise<string> {
  const script = `cd /sys/fs/cgroup; cat ${v1} 2>/dev/null || cat ${v2}`;
  return shown("exec", name, "sh", "-c", script);
}

describe.skipIf(!privileged() || Bun.which("docker") === null)("limits and use", () => {
  beforeAll(async () => {
    engine = await openSocket();
    await shown("load", "-i", (await busyboxFiles()).dockerArchive);
    await shown(
      "run",
      "-d",
      "--name",
      "busy",
      "-m",
      "64m",
      "busybox",
      "sh",
      "-c",
      "while :; do :; done",
    );
    await shown(
      "run",
      "-d",
      "--name",
      "idle",
      "-v",
      "kept:/kept",
      "busybox",
      "sh",
      "-c",
      "echo hello > /kept/file; echo more > /tmp/x; exec sleep 1000",
    );
    await shown("create", "--name", "never", "busybox", "true");
  }, TEST_TIMEOUT_MS);

  // Closing checks for leaks.
  afterAll(async () => {
    await docker(["rm", "-f", "busy", "idle", "never", "again", "brief"]);
    await engine?.close();
  }, TEST_TIMEOUT_MS);

  test(
    "docker stats shows use and limit of each",
    async () => {
      const lines = await shown(
        "stats",
        "--no-stream",
        "--format",
        "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}",
      );
      const busy = /^busy (\d+)\.\d+% [\d.]+[KM]iB \/ 64MiB 1$/m.exec(lines);
      expect(Number(busy?.[1])).toBeGreaterThan(5); // the machine has other work
      expect(lines).toMatch(/^idle \d\.\d\d% .* 1$/m);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "one sample has two readings a second apart, one-shot has one at once",
    async () => {
      const two = await sample("busy", "stream=0");
      expect(Date.parse(two.read) - Date.parse(two.preread)).toBeGreaterThan(900);
      const used = two.cpu_stats.cpu_usage.total_usage - two.precpu_stats.cpu_usage.total_usage;
      expect(used).toBeGreaterThan(0);
      const one = await sample("busy", "stream=0&one-shot=1");
      expect(one.preread).toBe("0001-01-01T00:00:00Z");
      expect(one.precpu_stats.cpu_usage.total_usage).toBe(0);
      expect(one.memory_stats.limit).toBe(64 * MIB);
      expect(one.pids_stats.current).toBe(1);
      expect(Object.keys(one.networks ?? {})).toEqual(["eth0"]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a container that does not run has its names",
    async () => {
      expect(await sample("never", "stream=0")).toMatchObject({
        name: "/never",
        read: "0001-01-01T00:00:00Z",
        memory_stats: {},
        pids_stats: {},
      });
      expect((await api("/v1.44/containers/nothing/stats")).status).toBe(404);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a stream goes on when the run ends, and ends with the container",
    async () => {
      await shown("run", "-d", "--name", "brief", "busybox", "sleep", "1000");
      const response = await api("/v1.44/containers/brief/stats");
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const next = async (): Promise<Sample | undefined> => {
        const { value } = await reader.read();
        return value === undefined ? undefined : JSON.parse(Buffer.from(value).toString());
      };
      const first = await next();
      expect(first?.precpu_stats.cpu_usage.total_usage).toBe(0);
      expect((await next())?.preread).toBe(first?.read ?? "");
      await shown("kill", "brief");
      let dead = await next();
      while (dead?.memory_stats.usage !== undefined) dead = await next();
      expect(dead?.name).toBe("/brief");
      await shown("rm", "-f", "brief");
      let last = await next();
      while (last !== undefined) last = await next();
      expect(last).toBeUndefined();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "top shows the container's processes and no others",
    async () => {
      const lines = (await shown("top", "idle", "-o", "pid,args")).split("\n");
      expect(lines).toHaveLength(2);
      expect(lines[1]).toMatch(/^\d+\s+sleep 1000$/);
      expect(await shown("top", "idle")).toMatch(/^UID\s+PID\s+PPID\s+C\s+STIME/);
      const renamed = await docker(["top", "idle", "-eo", "ppid=PID"]);
      expect(renamed.stderr).toContain('specifying "ppid=PID" is not allowed');
      expect((await docker(["top", "never"])).stderr).toContain("is not running");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "update is seen by the kernel, and by a run after it",
    async () => {
      const flags = ["--memory", "96m", "--memory-swap", "192m", "--cpu-shares", "512"];
      await shown(
        "update",
        ...flags,
        "--pids-limit",
        "50",
        "--cpu-quota",
        "50000",
        "--cpuset-cpus",
        "0",
        "idle",
      );
      const check = async (): Promise<void> => {
        const memory = await limit("idle", "memory/memory.limit_in_bytes", "memory.max");
        expect(memory).toBe(String(96 * MIB));
        expect(await limit("idle", "pids/pids.max", "pids.max")).toBe("50");
        expect(await limit("idle", "cpu/cpu.cfs_quota_us", "cpu.max")).toMatch(/^50000( 100000)?$/);
        expect(await limit("idle", "cpuset/cpuset.cpus", "cpuset.cpus")).toBe("0");
      };
      await check();
      await shown("restart", "-t", "0", "idle");
      await check();
      await shown("update", "--pids-limit", "-1", "idle");
      expect(await limit("idle", "pids/pids.max", "pids.max")).toBe("max");
      const format = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CpuShares}}";
      expect(await shown("inspect", "-f", format, "idle")).toBe(`${96 * MIB} ${192 * MIB} 512`);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "what the kernel refuses leaves everything as it was",
    async () => {
      const refused = await docker(["update", "--cpuset-mems", "999", "idle"]);
      expect(refused.exitCode).not.toBe(0);
      expect(await shown("inspect", "-f", "{{.HostConfig.CpusetMems}}", "idle")).toBe("");
      const body = JSON.stringify({ Ulimits: [{ Name: "nofile", Soft: 1, Hard: 1 }] });
      const headers = { "Content-Type": "application/json" };
      const answer = await api("/v1.44/containers/idle/update", { method: "POST", body, headers });
      expect(await answer.json()).toEqual({ message: "Ulimits: cannot be changed by an update" });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "an updated restart policy takes effect, and is told as an event",
    async () => {
      await shown("run", "-d", "--name", "again", "busybox", "sleep", "1000");
      await shown("update", "--restart", "always", "again");
      const pid = await shown("inspect", "-f", "{{.State.Pid}}", "again");
      process.kill(Number(pid), "SIGKILL");
      let now = pid;
      for (let tries = 0; tries < 100 && (now === pid || now === "0"); tries += 1) {
        await Bun.sleep(50);
        now = await shown("inspect", "-f", "{{.State.Pid}}", "again");
      }
      expect(["0", pid]).not.toContain(now);
      // The client cuts times to whole seconds: the one that is running must be over.
      const until = String(Math.ceil(Date.now() / 1000) + 1);
      const filter = ["--filter", "event=update", "--filter", "container=again"];
      const shape = ["--format", "{{.Actor.Attributes.name}}"];
      const events = await shown("events", "--since", "1m", "--until", until, ...filter, ...shape);
      expect(events.split("\n")).toContain("again");
      await shown("rm", "-f", "again");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "system df adds up images, containers and volumes",
    async () => {
      const lines = await shown("system", "df");
      expect(lines).toMatch(/^Images\s+1\s+1\s+[\d.]+MB\s+0B \(0%\)$/m);
      expect(lines).toMatch(/^Containers\s+3\s+2\s+/m);
      expect(lines).toMatch(/^Local Volumes\s+1\s+1\s+6B\s+0B \(0%\)$/m);
      const only = await (await api("/v1.56/system/df?type=volume&verbose=1")).json();
      expect(Object.keys(only as object)).toEqual(["VolumeUsage"]);
      expect(only).toMatchObject({
        VolumeUsage: { Items: [{ Name: "kept", UsageData: { Size: 6 } }] },
      });
      expect((await api("/v1.44/system/df?type=nonsense")).status).toBe(400);
    },
    TEST_TIMEOUT_MS,
  );
});
