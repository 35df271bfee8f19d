import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerInspect } from "../../src/spec/mod.ts";
import { createBody, execBody } from "../fakes/bodies.ts";
import {
  Collector,
  destroyEngine,
  newRoots,
  startEngine,
  type TestEngine,
} from "./containers-fixture.ts";

let engine: TestEngine;
beforeAll(async () => {
  engine = await startEngine(newRoots());
});
afterAll(() => destroyEngine(engine));

async function started(command: string, openStdin = false): Promise<string> {
  const { id } = await engine.service.create(
    createBody({ Cmd: ["sh", "-c", command], OpenStdin: openStdin }, { NetworkMode: "none" }),
    { name: "", platform: "" },
  );
  await engine.service.start(id);
  return id;
}

function killMonitor(id: string): void {
  const bundle = join(engine.roots.dir, "run", "bundles", id);
  process.kill(Number(readFileSync(join(bundle, "conmon.pid"), "utf8")), "SIGKILL");
}

async function exitOf(id: string): Promise<number> {
  const wait = await engine.service.wait(id, "not-running", new AbortController().signal);
  return (await wait.result).exitCode;
}

async function stateOf(id: string): Promise<ContainerInspect["State"]> {
  return (await engine.service.inspect(id, { size: false })).State;
}

async function nextEngine(): Promise<void> {
  await engine.close();
  engine = await startEngine(engine.roots);
}

test("a monitor dies with the engine alive: the container is killed, 137, with the reason", async () => {
  const id = await started("sleep 60");
  const exit = exitOf(id);
  killMonitor(id);
  expect(await exit).toBe(137);
  const state = await stateOf(id);
  expect(state).toMatchObject({ Status: "exited", ExitCode: 137 });
  expect(state.Error).toContain("monitor");
});

test("a monitor dies while there is no engine: found by the next one", async () => {
  const steady = await started("sleep 60");
  const orphan = await started("sleep 60");
  await engine.close();
  killMonitor(orphan);
  engine = await startEngine(engine.roots);
  expect(await exitOf(orphan)).toBe(137);
  expect((await stateOf(steady)).Running).toBe(true);
});

test("what ended while there was no engine has its code and its time", async () => {
  const id = await started("sleep 0.1; exit 12");
  const before = await stateOf(id);
  await engine.close();
  await Bun.sleep(400);
  engine = await startEngine(engine.roots);
  const state = await stateOf(id);
  expect(state).toMatchObject({ Status: "exited", ExitCode: 12, StartedAt: before.StartedAt });
  const ranMs = Date.parse(state.FinishedAt) - Date.parse(state.StartedAt);
  expect(ranMs).toBeLessThan(350);
});

test("a container found running is attached to, executed in, followed and stopped", async () => {
  const id = await started("while read line; do echo got $line; done", true);
  await nextEngine();
  const client = new Collector();
  const session = await engine.service.attach(id, client, {
    stdin: true,
    stdout: true,
    stderr: true,
    logs: false,
    stream: true,
  });
  await session.stdin?.write(new TextEncoder().encode("one\n"));
  const execId = await engine.service.execCreate(id, execBody({ Cmd: ["echo", "in"] }));
  const execClient = new Collector();
  const options = { detach: false, tty: undefined, consoleSize: undefined };
  await (await engine.service.execStart(execId, options, execClient)).done;
  expect(execClient.text()).toBe("in\n");
  await nextEngine();
  expect(engine.service.execInspect(execId)).toMatchObject({ Running: false, ExitCode: 0 });
  await engine.service.stop(id, { signal: "KILL", timeoutSeconds: 5 });
  const { entries } = await engine.service.logs(id, {
    stdout: true,
    stderr: true,
    follow: true,
    sinceNs: undefined,
    untilNs: undefined,
    tailLines: undefined,
    signal: new AbortController().signal,
  });
  const lines: string[] = [];
  for await (const entry of entries) lines.push(Buffer.from(entry.bytes).toString());
  expect(lines).toEqual(["got one\n"]);
});

test("an engine restart obeys restart policies", async () => {
  const make = async (Name: string): Promise<string> => {
    const { id } = await engine.service.create(
      createBody(
        { Cmd: ["sleep", "60"] },
        { NetworkMode: "none", RestartPolicy: { Name, MaximumRetryCount: 0 } },
      ),
      { name: "", platform: "" },
    );
    await engine.service.start(id);
    await engine.service.stop(id, { signal: "KILL", timeoutSeconds: 5 });
    return id;
  };
  const always = await make("always");
  const unless = await make("unless-stopped");
  await nextEngine();
  expect((await stateOf(always)).Status).toBe("running");
  expect((await stateOf(unless)).Status).toBe("exited");
});
