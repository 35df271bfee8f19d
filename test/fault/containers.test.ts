import { afterAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { isNaruError } from "../../src/base/mod.ts";
import { CRASH_POINTS, type CrashPoint } from "../../src/containers/mod.ts";
import { listMounts, mountsBelow, umountDetached } from "../../src/linux/mod.ts";
import type { ContainerInspect } from "../../src/spec/mod.ts";
import { execBody } from "../fakes/bodies.ts";
import { removeCgroups } from "../harness/cgroups.ts";
import {
  Collector,
  cgroupParentOf,
  destroyEngine,
  type EngineRoots,
  newRoots,
  startEngine,
  type TestEngine,
} from "../integration/containers-fixture.ts";

/** The steady container passes these points first. */
const SECOND_TIME = /^(create|start)\./;
const roots: EngineRoots[] = [];
/** Those whose test did not come to its end: an engine of their own clears them away. */
const unfinished = new Set<EngineRoots>();
afterAll(async () => {
  for (const place of unfinished) {
    await startEngine(place).then(destroyEngine, () => undefined);
  }
  for (const place of roots) {
    const { dir } = place;
    removeCgroups(cgroupParentOf(place));
    for (const entry of mountsBelow(dir, listMounts())) umountDetached(entry.target);
    rmSync(dir, { recursive: true, force: true });
  }
});

interface Aftermath {
  readonly engine: TestEngine;
  readonly answered: ReadonlyMap<string, readonly string[]>;
}

/** Runs the child until it kills itself, then starts an engine on what it left. */
async function crashAt(point: CrashPoint | undefined): Promise<Aftermath> {
  const place = newRoots();
  roots.push(place);
  unfinished.add(place);
  const count = point !== undefined && SECOND_TIME.test(point) ? 2 : 1;
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "containers-child.ts"), place.dir, place.shortId],
    {
      stdout: "pipe",
      stderr: "pipe",
      env: {
        ...process.env,
        ...(point === undefined ? {} : { NARU_CRASH_AT: `${point}:${count}` }),
      },
    },
  );
  const [text, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (child.signalCode !== "SIGKILL") throw new Error(`the child ended by itself: ${errors}`);
  const lines = text
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  const answered = new Map(lines.map(([what = "", ...rest]) => [what, rest] as const));
  if (point !== undefined && answered.has("end")) throw new Error(`${point} was never reached`);
  const engine = await startEngine(place, { image: { Volumes: { "/data": {} } } });
  return { engine, answered };
}

async function find(engine: TestEngine, name: string): Promise<ContainerInspect | undefined> {
  try {
    return await engine.service.inspect(name, { size: false });
  } catch (error) {
    if (isNaruError(error, "not_found")) return undefined;
    throw error;
  }
}

function echo(engine: TestEngine, ref: string): Promise<string> {
  return output(engine, ref, ["echo", "alive"]);
}

async function output(engine: TestEngine, ref: string, command: string[]): Promise<string> {
  const execId = await engine.service.execCreate(ref, execBody({ Cmd: command }));
  const client = new Collector();
  const options = { detach: false, tty: undefined, consoleSize: undefined };
  await (await engine.service.execStart(execId, options, client)).done;
  return client.text();
}

async function untilNotRunning(engine: TestEngine, ref: string): Promise<number> {
  const wait = await engine.service.wait(ref, "not-running", new AbortController().signal);
  return (await wait.result).exitCode;
}

/** What was running runs on, with the same process, and can be used. */
async function checkSteady({ engine, answered }: Aftermath): Promise<void> {
  const [id = "", pid = ""] = answered.get("steady") ?? [];
  const view = await find(engine, "steady");
  expect(view?.Id).toBe(id);
  expect(view?.State).toMatchObject({ Running: true, Pid: Number(pid) });
  expect(await echo(engine, "steady")).toBe("alive\n");
  await engine.service.stop("steady", { signal: "", timeoutSeconds: 5 });
  expect((await find(engine, "steady"))?.State).toMatchObject({ Status: "exited", ExitCode: 9 });
}

/** What was answered is so, and what was not is one thing or the other, but whole. */
async function checkVictim(point: CrashPoint, { engine, answered }: Aftermath): Promise<void> {
  if (point.startsWith("rename.")) await checkNames(point, engine);
  const view = await find(engine, "victim");
  if (answered.has("removed") || point === "remove.after-commit") {
    expect(view).toBeUndefined();
    return;
  }
  if (!answered.has("created")) {
    if (point === "create.before-commit") expect(view).toBeUndefined();
    else expect(view?.State.Status).toBe("created");
    return;
  }
  expect(view?.Id).toBe(answered.get("created")?.[0] ?? "");
  const [execId] = answered.get("execed") ?? [];
  if (execId !== undefined) expect(engine.service.execInspect(execId).ExitCode).toBe(0);
  if (!answered.has("started")) {
    // The row may say running when the runtime was told to start, or was about to be.
    if (view?.State.Running === true) expect(await echo(engine, "victim")).toBe("alive\n");
    else {
      expect(view?.State).toMatchObject({ Status: "exited", ExitCode: 137 });
      expect(view?.State.Error).toContain("while this container started");
    }
    await engine.service.start("victim").catch(() => undefined);
    expect(await echo(engine, "victim")).toBe("alive\n");
    return;
  }
  if (answered.has("stopped") || /^(stop|exit)\./.test(point)) {
    expect(await untilNotRunning(engine, "victim")).toBe(6);
    const { entries } = await engine.service.logs("victim", {
      stdout: true,
      stderr: true,
      follow: false,
      sinceNs: undefined,
      untilNs: undefined,
      tailLines: undefined,
      signal: new AbortController().signal,
    });
    const lines: string[] = [];
    for await (const entry of entries) lines.push(Buffer.from(entry.bytes).toString());
    expect(lines).toEqual(["up\n"]);
    return;
  }
  expect(view?.State.Running).toBe(true);
  expect(await echo(engine, "victim")).toBe("alive\n");
  const [published] = view?.NetworkSettings.Ports["80/tcp"] ?? [];
  expect(Number(published?.HostPort)).toBeGreaterThan(0);
  if (/^(dis)?connect\./.test(point)) await checkPlaces(point, engine);
  if (point.startsWith("publish.")) {
    // Recorded, so finished, like the limits below.
    const [added] = view?.NetworkSettings.Ports["81/tcp"] ?? [];
    expect(Number(added?.HostPort)).toBeGreaterThan(0);
  }
  if (!point.startsWith("update.")) return;
  // Recorded, so finished: the kernel says what the row says.
  expect(view?.HostConfig.PidsLimit).toBe(77);
  const [v1, v2] = ["/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"];
  const read = await output(engine, "victim", ["sh", "-c", `cat ${v1} 2>/dev/null || cat ${v2}`]);
  expect(read).toBe("77\n");
}

/** One name or the other, never both and never none; the free one can be had. */
async function checkNames(point: CrashPoint, engine: TestEngine): Promise<void> {
  const old = await find(engine, "victim");
  const renamed = await find(engine, "renamed");
  const names = [old?.Name, renamed?.Name].filter((name) => name !== undefined);
  expect(names).toEqual([point === "rename.after-commit" ? "/renamed" : "/victim"]);
  if (renamed !== undefined) await engine.service.rename("renamed", "victim");
}

/** The victim is where its inspect says, with a link for each network, and can be connected. */
async function checkPlaces(point: CrashPoint, engine: TestEngine): Promise<void> {
  const places = async (): Promise<string[]> =>
    Object.keys((await find(engine, "victim"))?.NetworkSettings.Networks ?? {}).sort();
  const links = async (): Promise<string[]> =>
    (await output(engine, "victim", ["ls", "/sys/class/net"])).trim().split(/\s+/);
  const stays = point === "connect.after-commit";
  expect(await places()).toEqual(stays ? ["bridge", "shared"] : ["bridge"]);
  expect(await links()).toEqual(stays ? ["eth0", "eth1", "lo"] : ["eth0", "lo"]);
  if (stays) await engine.service.disconnectNetwork("victim", "shared");
  await engine.service.connectNetwork("victim", "shared", null);
  expect(await links()).toEqual(["eth0", "eth1", "lo"]);
  const files = await output(engine, "victim", ["cat", "/etc/resolv.conf", "/etc/hosts"]);
  const address = (await find(engine, "victim"))?.NetworkSettings.Networks["shared"]?.IPAddress;
  expect(files).toContain(`${address}`);
  await engine.service.disconnectNetwork("victim", "shared");
}

/** With every container removed nothing of this engine is in the kernel or on disk. */
async function checkLeaks(engine: TestEngine): Promise<void> {
  const { dir, shortId } = engine.roots;
  for (const name of ["steady", "victim"]) {
    await engine.service.remove(name, { force: true, volumes: true }).catch((error: unknown) => {
      if (!isNaruError(error, "not_found")) throw error;
    });
  }
  await engine.work.idle();
  const inDir = (...parts: string[]): string[] => readdirSync(join(dir, ...parts));
  const mounts = mountsBelow(dir, listMounts()).map(({ target }) => target);
  // The runtime's own program is mounted for as long as there is an engine.
  expect(mounts.filter((target) => !target.startsWith(join(dir, "run", "programs")))).toEqual([]);
  expect(inDir("run", "bundles")).toEqual([]);
  expect(inDir("run", "execs")).toEqual([]);
  expect(inDir("run", "netns")).toEqual([]);
  expect(inDir("data", "containers")).toEqual([]);
  expect(inDir("data", "volumes")).toEqual([]);
  expect(await engine.layers.writables()).toEqual([]);
  for (const name of ["crun", "runc"]) {
    const path = name === "crun" ? "/usr/bin/crun" : "/usr/sbin/runc";
    expect(await engine.monitor.list({ name, path, args: [] })).toEqual([]);
  }
  expect(monitorsIn(dir)).toEqual([]);
  await engine.network.teardown();
  const links = readdirSync("/sys/class/net").filter((name) => name.includes(shortId.slice(0, 6)));
  expect(links).toEqual([]);
  await engine.close();
  unfinished.delete(engine.roots);
}

/** Throws EADDRINUSE. */
async function checkFree(port: number): Promise<void> {
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  server.close();
}

/** conmons whose command line names this engine's directory. */
function monitorsIn(dir: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
      return words[0]?.endsWith("conmon") === true && words.some((word) => word.startsWith(dir));
    } catch {
      return false;
    }
  });
}

describe("killed at", () => {
  for (const point of CRASH_POINTS) {
    test(point, async () => {
      const aftermath = await crashAt(point);
      await checkSteady(aftermath);
      await checkVictim(point, aftermath);
      const [id = ""] = aftermath.answered.get("created") ?? [];
      const held = aftermath.engine.network.publishedPorts(id);
      await checkLeaks(aftermath.engine);
      for (const { hostPort } of held) await checkFree(hostPort);
    }, 30_000);
  }

  test("the end of it all, with nothing under way", async () => {
    const aftermath = await crashAt(undefined);
    expect(aftermath.answered.has("end")).toBe(true);
    await checkSteady(aftermath);
    await checkLeaks(aftermath.engine);
  }, 30_000);
});
