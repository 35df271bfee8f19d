/** What containers see of an engine's end: a clean stop, a crash, a crash of their monitor, neighbours. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { systemCheck } from "../harness/leaks.ts";
import { terminal } from "../harness/pty.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const LIMIT_MS = 60_000;
const DETACH = "\x10\x11"; // ctrl-p ctrl-q

interface State {
  readonly Status: string;
  readonly ExitCode: number;
  readonly Error: string;
  readonly Pid: number;
  readonly StartedAt: string;
  readonly FinishedAt: string;
}

async function stateOf(engine: TestEngine, name: string): Promise<State> {
  const answer = await engine.fetch(`/containers/${name}/json`);
  if (!answer.ok) throw new Error(`inspect ${name}: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { State: State }).State;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error(`not within 10 s: ${what}`);
    await Bun.sleep(20);
  }
}

async function withBusybox(): Promise<TestEngine> {
  const engine = await startEngine();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
  return engine;
}

function its(name: string, body: () => Promise<void>): void {
  test(name, body, LIMIT_MS);
}

let engine: TestEngine;

function naru(...args: readonly string[]): Promise<string> {
  return cliOk(engine, args);
}

/** Every `line N` from 1 on, in order, nothing twice and nothing missing. */
function expectWhole(log: string): number {
  const lines = log.split("\n").filter((line) => line !== "");
  expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
  return lines.length;
}

const COUNTING = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done";

describe.skipIf(!privileged())("the life of an engine", () => {
  beforeAll(async () => {
    engine = await withBusybox();
  }, LIMIT_MS);

  afterEach(() => engine.removeContainers(), LIMIT_MS);

  afterAll(() => engine?.destroy(), LIMIT_MS);

  its("a clean stop leaves containers running; the next engine has them", async () => {
    await naru("run", "-d", "--name", "web", "busybox", "sh", "-c", COUNTING);
    const { Pid, StartedAt } = await stateOf(engine, "web");
    expect(await engine.stop()).toBe(0);
    expect(existsSync(engine.socket)).toBe(false);
    expect(existsSync(join(engine.root, "naru.pid"))).toBe(false);
    expect(existsSync(`/proc/${Pid}`)).toBe(true);
    await engine.start();
    expect(await stateOf(engine, "web")).toMatchObject({ Status: "running", Pid, StartedAt });
    expect(await naru("exec", "web", "echo", "hello")).toBe("hello");
    expect(await naru("stop", "-t", "1", "web")).toBe("web");
    expect((await stateOf(engine, "web")).Status).toBe("exited");
    expect(expectWhole(await naru("logs", "web"))).toBeGreaterThan(10);
  });

  its("kill -9: running ones are attached to and executed in again", async () => {
    await naru("run", "-dit", "--name", "tty", "busybox", "sh");
    await naru("run", "-d", "--name", "counts", "busybox", "sh", "-c", COUNTING);
    const { Pid, StartedAt } = await stateOf(engine, "tty");
    await engine.kill9();
    expect(existsSync(join(engine.root, "naru.pid"))).toBe(true); // and yet it is no obstacle
    await engine.start();
    expect(await stateOf(engine, "tty")).toMatchObject({ Status: "running", Pid, StartedAt });
    expect(await naru("exec", "tty", "sh", "-c", "echo again; exit 0")).toBe("again");
    expect((await cli(engine, ["exec", "tty", "sh", "-c", "exit 9"])).exitCode).toBe(9);
    await using session = terminal(engine, ["attach", "tty"]);
    session.type("echo pid=$$\r");
    await session.expect("pid=1");
    session.type(DETACH);
    expect(await session.exited()).toBe(0);
    expect((await stateOf(engine, "tty")).Status).toBe("running");
    expectWhole(await naru("logs", "counts"));
    await naru("kill", "counts");
    expect((await stateOf(engine, "counts")).ExitCode).toBe(137);
  });

  its("kill -9: one that ended meanwhile has its code, its time and its whole log", async () => {
    const script = "for i in $(seq 3000); do echo line $i; done; sleep 0.5; exit 7";
    await naru("run", "-d", "--name", "ends", "busybox", "sh", "-c", script);
    await naru("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "0.5");
    const { Pid } = await stateOf(engine, "ends");
    await engine.kill9();
    await until("the container's end", () => !existsSync(`/proc/${Pid}`));
    const endedMs = Date.now();
    await Bun.sleep(1000); // the time of the end is not that of the engine's start
    await engine.start();
    const state = await stateOf(engine, "ends");
    expect(state).toMatchObject({ Status: "exited", ExitCode: 7, Pid: 0 });
    expect(Math.abs(Date.parse(state.FinishedAt) - endedMs)).toBeLessThan(500);
    expect(expectWhole(await naru("logs", "ends"))).toBe(3000);
    await until("the removal that --rm asked for", async () => {
      return (await engine.fetch("/containers/gone/json")).status === 404;
    });
    const events = await eventsOf("die");
    expect(events.find((event) => event.name === "ends")?.exitCode).toBe("7");
  });

  its("kill -9 in the middle of removals and starts leaves nothing behind", async () => {
    const names = Array.from({ length: 6 }, (_, index) => `busy${index}`);
    await Promise.all(names.map((name) => naru("run", "-d", "--name", name, "busybox", "top")));
    const removing = names.slice(0, 3).map((name) => cli(engine, ["rm", "-f", name]));
    const starting = [7, 8, 9].map((n) => cli(engine, ["run", "--name", `new${n}`, "busybox"]));
    await Bun.sleep(30);
    await engine.kill9();
    await Promise.all([...removing, ...starting]);
    await engine.start();
    for (const name of names.slice(3)) {
      expect(await stateOf(engine, name)).toMatchObject({ Status: "running" });
    }
    await engine.removeContainers();
    expect(await systemCheck(engine)).toEqual([]);
    expect(readdirSync(join(engine.execRoot, "bundles"))).toEqual([]);
  });

  its("kill -9 of a container's monitor: killed, 137, the reason and an event", async () => {
    await naru("run", "-d", "--name", "orphan", "busybox", "sleep", "1000");
    const { Pid } = await stateOf(engine, "orphan");
    process.kill(parentOf(Pid), "SIGKILL");
    await until("the end", async () => (await stateOf(engine, "orphan")).Status === "exited");
    const state = await stateOf(engine, "orphan");
    expect(state.ExitCode).toBe(137);
    expect(state.Error).toContain("the monitor of this container died");
    await until("the process's end", () => isGone(Pid));
    const died = (await eventsOf("die")).find((event) => event.name === "orphan");
    expect(died?.exitCode).toBe("137");
    await naru("start", "orphan");
    expect((await stateOf(engine, "orphan")).Status).toBe("running");
  });

  its("monitor and engine both killed: the next engine ends the container", async () => {
    await naru("run", "-d", "--name", "lost", "busybox", "sleep", "1000");
    const { Pid } = await stateOf(engine, "lost");
    const monitor = parentOf(Pid);
    await engine.kill9();
    process.kill(monitor, "SIGKILL");
    await engine.start();
    await until("the end", async () => (await stateOf(engine, "lost")).Status === "exited");
    expect((await stateOf(engine, "lost")).ExitCode).toBe(137);
    await until("the process's end", () => isGone(Pid));
  });

  its("engines side by side run containers at once and do not see each other's", async () => {
    const other = await withBusybox();
    try {
      const ran = await Promise.all(
        [engine, other, engine, other].map((one) =>
          cliOk(one, ["run", "--rm", "busybox", "sh", "-c", "ip -4 -o addr show eth0"]),
        ),
      );
      for (const [index, address] of ran.entries()) {
        expect(address).toContain((index % 2 === 0 ? engine : other).subnet);
      }
      await naru("run", "-d", "--name", "same", "busybox", "sleep", "1000");
      await cliOk(other, ["run", "-d", "--name", "same", "busybox", "sleep", "1000"]);
      expect((await stateOf(engine, "same")).Pid).not.toBe((await stateOf(other, "same")).Pid);
      await naru("rm", "-f", "same");
      expect((await stateOf(other, "same")).Status).toBe("running");
      await other.kill9();
      expect(await naru("ps", "-aq")).toBe("");
    } finally {
      await other.destroy();
    }
    expect(await engine.answers()).toBe(true);
  });
});

async function eventsOf(action: string): Promise<readonly { name: string; exitCode: string }[]> {
  const endSeconds = Math.floor(Date.now() / 1000) + 1;
  const filters = encodeURIComponent(JSON.stringify({ event: [action] }));
  const answer = await engine.fetch(`/events?since=1&until=${endSeconds}&filters=${filters}`);
  const lines = (await answer.text()).split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const { Actor } = JSON.parse(line) as { Actor: { Attributes: Record<string, string> } };
    return { name: Actor.Attributes["name"] ?? "", exitCode: Actor.Attributes["exitCode"] ?? "" };
  });
}

/** Killed; without its monitor it is the host's first process that has to take note. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
