/** Health checks and restart policies, across the end of the engine and of the host. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import type Dockerode from "dockerode";
import { cli, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxLayer, dockerArchive } from "../harness/rootfs.ts";
import { connect, execIn, followed, idle, loadBusybox } from "./dockerode-client.ts";

const TEST_TIMEOUT_MS = 40_000;
const GROUPS = "/sys/fs/cgroup";
const INTERVAL_NS = 100_000_000;

let engine: TestEngine;
let docker: Dockerode;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 15_000;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 15 s: ${what}`);
    await Bun.sleep(20);
  }
}

/** Healthy while /sick is not there. */
const CHECK: Dockerode.HealthConfig = {
  Test: ["CMD-SHELL", "echo looked; test ! -e /sick"],
  Interval: INTERVAL_NS,
  Retries: 3,
} as Dockerode.HealthConfig;

async function statusOf(container: Dockerode.Container): Promise<string> {
  return (await container.inspect()).State.Health?.Status ?? "";
}

function checked(action?: string, more: Dockerode.HostConfig = {}): Promise<Dockerode.Container> {
  const Annotations = action === undefined ? {} : { "naru.on-unhealthy": action };
  const HostConfig = { ...more, Annotations } as unknown as Dockerode.HostConfig;
  return idle(docker, { Healthcheck: CHECK, HostConfig });
}

async function pidOf(container: Dockerode.Container): Promise<number> {
  return (await container.inspect()).State.Pid;
}

describe.skipIf(!privileged())("health and restarts", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    await loadBusybox(docker);
  }, TEST_TIMEOUT_MS);
  afterAll(() => engine?.destroy(), TEST_TIMEOUT_MS);
  afterEach(() => engine.removeContainers(), TEST_TIMEOUT_MS);

  describe("checks", checks);
  describe("on-unhealthy", unhealthy);
  describe("restart policies", policies);
});

function checks(): void {
  its("the check of an image is run, and its state is there after a kill -9", async () => {
    const config = { Cmd: ["sleep", "60"], Env: ["PATH=/bin"], Healthcheck: CHECK };
    const plan = { reference: "checked:1", config, layers: [await busyboxLayer()] };
    await followed(docker, await docker.loadImage(Readable.from([dockerArchive([plan])])));
    const container = await docker.createContainer({ Image: "checked:1" });
    await container.start();
    await until("healthy", async () => (await statusOf(container)) === "healthy");
    await execIn(docker, container, "touch /sick");
    await until("unhealthy", async () => (await statusOf(container)) === "unhealthy");
    const before = (await container.inspect()).State.Health;
    await engine.kill9();
    await engine.start();
    const after = (await container.inspect()).State.Health;
    expect(after?.Status).toBe("unhealthy");
    expect(after?.FailingStreak).toBeGreaterThanOrEqual(before?.FailingStreak ?? 3);
    expect(after?.Log[0]?.Output).toBe("looked\n");
    await execIn(docker, container, "rm /sick");
    await until("healthy again", async () => (await statusOf(container)) === "healthy");
    await container.stop({ t: 0 });
    await engine.kill9();
    await engine.start();
    expect(await statusOf(container)).toBe("healthy");
  });

  its("probes are execs to those who watch", async () => {
    const since = (Date.now() / 1000).toFixed(3);
    const container = await checked();
    await until("healthy", async () => (await statusOf(container)) === "healthy");
    await container.kill();
    const window = `since=${since}&until=${(Date.now() / 1000 + 0.1).toFixed(3)}`;
    const filters = encodeURIComponent(JSON.stringify({ container: [container.id] }));
    const answer = await engine.fetch(`/events?${window}&filters=${filters}`);
    const events = (await answer.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const actions = events.map(({ Action }) => Action as string);
    const command = "/bin/sh -c echo looked; test ! -e /sick";
    const wanted = [`exec_create: ${command}`, `exec_start: ${command}`, "exec_die"];
    const first = actions.indexOf(wanted[0] ?? "");
    expect(actions.slice(first, first + 3)).toEqual(wanted);
    expect(events[first + 2].Actor.Attributes).toMatchObject({ exitCode: "0" });
    expect(actions).toContain("health_status: healthy");
  });
}

function unhealthy(): void {
  its("nothing by default", async () => {
    const container = await checked();
    await execIn(docker, container, "touch /sick");
    await until("unhealthy", async () => (await statusOf(container)) === "unhealthy");
    expect((await container.inspect()).State.Running).toBe(true);
  });

  its("restart: another process, counted, and checked anew", async () => {
    const container = await checked("restart");
    const pid = await pidOf(container);
    await execIn(docker, container, "touch /tmp/once; touch /sick");
    await until("another run", async () => ![0, pid].includes(await pidOf(container)));
    expect((await container.inspect()).RestartCount).toBeGreaterThan(0);
    await until("healthy", async () => {
      // It may be on its way into the next run, where the file still is.
      await execIn(docker, container, "rm -f /sick").catch(() => undefined);
      return (await statusOf(container)) === "healthy";
    });
  });

  its("stop: it stays stopped whatever the policy", async () => {
    const container = await checked("stop", { RestartPolicy: { Name: "always" } });
    await execIn(docker, container, "touch /sick");
    await until("stopped", async () => !(await container.inspect()).State.Running);
    await Bun.sleep(500); // a restart would have been after 100 ms
    expect((await container.inspect()).State).toMatchObject({ Status: "exited", ExitCode: 0 });
  });

  its("kill: the restart policy decides, and the CLI's flag asks for it", async () => {
    const { stdout } = await cli(engine, [
      ...["run", "-d", "--on-unhealthy", "kill", "--restart", "on-failure:1"],
      ...["--health-cmd", "test ! -e /sick", "--health-interval", "100ms"],
      ...["busybox", "sleep", "60"],
    ]);
    const container = docker.getContainer(stdout.trim());
    const pid = await pidOf(container);
    await execIn(docker, container, "touch /sick");
    await until("another run", async () => ![0, pid].includes(await pidOf(container)));
    await until("its end", async () => (await container.inspect()).State.Status === "exited");
    const { State, RestartCount } = await container.inspect();
    expect({ code: State.ExitCode, RestartCount }).toEqual({ code: 137, RestartCount: 1 });
  });
}

function withPolicy(Name: string, MaximumRetryCount = 0): Promise<Dockerode.Container> {
  return idle(docker, { HostConfig: { RestartPolicy: { Name, MaximumRetryCount } } });
}

function policies(): void {
  its("an end while the engine is dead is followed by what the policy says", async () => {
    const kept = await withPolicy("always");
    const goesOn = await withPolicy("always");
    const stopped = await withPolicy("unless-stopped");
    const failing = await withPolicy("on-failure", 3);
    const once = await withPolicy("no");
    await stopped.stop({ t: 0 });
    const steady = await pidOf(goesOn);
    const pids = await Promise.all([kept, failing, once].map(pidOf));
    await engine.kill9();
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await engine.start();
    await until("the restarts", async () => (await pidOf(kept)) > 0 && (await pidOf(failing)) > 0);
    expect(await pidOf(goesOn)).toBe(steady);
    expect((await stopped.inspect()).State.Status).toBe("exited");
    expect((await once.inspect()).State).toMatchObject({ Status: "exited", ExitCode: 137 });
    expect((await failing.inspect()).RestartCount).toBe(1);
  });

  its(
    "after the host's restart: always, unless-stopped and on-failure run, the others do not",
    async () => {
      const always = await withPolicy("always");
      const stoppedAlways = await withPolicy("always");
      const unless = await withPolicy("unless-stopped");
      const stoppedUnless = await withPolicy("unless-stopped");
      const failing = await withPolicy("on-failure", 3);
      const once = await withPolicy("no");
      await stoppedAlways.stop({ t: 0 });
      await stoppedUnless.stop({ t: 0 });
      const running = [always, unless, failing, once];
      await endHost(await Promise.all(running.map(pidOf)));
      await engine.start();
      const runs = [always, stoppedAlways, unless, failing];
      await until("the restarts", async () => (await Promise.all(runs.map(pidOf))).every(Boolean));
      for (const container of runs) {
        expect((await execIn(docker, container, "echo fine")).stdout).toBe("fine\n");
      }
      expect((await stoppedUnless.inspect()).State.Status).toBe("exited");
      expect((await once.inspect()).State).toMatchObject({ Status: "exited", ExitCode: 137 });
    },
  );
}

/** What a host's restart leaves: the data root. Processes, mounts and the run root are gone. */
async function endHost(pids: readonly number[]): Promise<void> {
  await engine.kill9();
  const monitors = new Set(pids.map((pid) => parentOf(pid)));
  for (const monitor of monitors) process.kill(monitor, "SIGKILL");
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await until("their end", async () => pids.every((pid) => !isAlive(pid)));
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const targets = mounts.map((line) => line.split(" ")[4] ?? "");
  for (const target of targets.filter((path) => path.startsWith(`${engine.execRoot}/`)).reverse()) {
    execFileSync("umount", ["-l", target]);
  }
  for (const hierarchy of ["", ...readdirSync(GROUPS)]) removeGroups(join(GROUPS, hierarchy));
  rmSync(engine.execRoot, { recursive: true, force: true });
  rmSync(join(engine.root, "naru.pid"), { force: true });
}

/** The engine's control groups in one hierarchy; a restart has none. */
function removeGroups(hierarchy: string): void {
  const parent = join(hierarchy, engine.cgroupParent);
  if (!existsSync(parent)) return;
  for (const entry of readdirSync(parent, { withFileTypes: true })) {
    if (entry.isDirectory()) rmdirSync(join(parent, entry.name));
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
