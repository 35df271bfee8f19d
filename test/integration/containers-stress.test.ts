import { afterAll, expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import { isNaruError } from "../../src/base/mod.ts";
import { createBody, execBody } from "../fakes/bodies.ts";
import {
  Collector,
  destroyEngine,
  newRoots,
  startEngine,
  type TestEngine,
} from "./containers-fixture.ts";

/*
 * Many containers and random requests against them, all at once. What may fail is what Docker
 * refuses; nothing may hang, fail for a reason of our own, or be left. NARU_STRESS_SECONDS makes it
 * longer, NARU_SEED repeats a run's choices (not the kernel's timing).
 */
const seconds = Number(process.env["NARU_STRESS_SECONDS"] ?? "4");
const seed = Number(process.env["NARU_SEED"] ?? randomInt(2 ** 31));
const ACTORS = 8;
const COMMANDS = [
  "exit 3",
  "sleep 0.2",
  "sleep 30",
  "trap 'exit 0' TERM; while :; do sleep 0.05; done",
];
const engines: TestEngine[] = [];
afterAll(async () => {
  for (const engine of engines) await destroyEngine(engine);
});

/** Numerical Recipes' generator: enough to choose with. */
function dice(start: number): (sides: number) => number {
  let state = start >>> 0;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

async function tolerated(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const refusals = ["conflict", "not_found", "not_modified", "invalid_argument"] as const;
    if (!refusals.some((kind) => isNaruError(error, kind))) throw error;
  }
}

async function execOnce(engine: TestEngine, id: string): Promise<void> {
  const { service } = engine;
  const execId = await service.execCreate(id, execBody({ Cmd: ["echo", "x"] }));
  const options = { detach: false, tty: undefined, consoleSize: undefined };
  await (await service.execStart(execId, options, new Collector())).done;
}

function requests(engine: TestEngine, id: string, name: string): (() => Promise<unknown>)[] {
  const { service } = engine;
  const soon = { signal: "", timeoutSeconds: 1 };
  return [
    () => service.stop(id, soon),
    () => service.kill(id, "TERM"),
    () => service.kill(id, ""),
    () => service.start(id),
    () => service.restart(id, soon),
    () => service.pause(id),
    () => service.unpause(id),
    () => service.rename(id, name),
    () => execOnce(engine, id),
    () => service.inspect(id, { size: true }),
    () => service.remove(id, { force: false, volumes: true }),
    () => service.remove(id, { force: true, volumes: true }),
  ];
}

async function act(engine: TestEngine, actor: number, untilMs: number): Promise<number> {
  const roll = dice(seed + actor);
  let rounds = 0;
  while (performance.now() < untilMs) {
    rounds += 1;
    const command = COMMANDS[roll(COMMANDS.length)] ?? "true";
    const { id } = await engine.service.create(
      createBody(
        { Cmd: ["sh", "-c", command] },
        { AutoRemove: roll(3) === 0, NetworkMode: roll(2) === 0 ? "none" : "default" },
      ),
      { name: "", platform: "" },
    );
    const jobs = [tolerated(() => engine.service.start(id))];
    for (let index = 0; index < 5; index += 1) {
      await Bun.sleep(roll(30));
      const choices = requests(engine, id, `n${actor}x${rounds}x${index}`);
      const chosen = choices[roll(choices.length)];
      if (chosen !== undefined) jobs.push(tolerated(chosen));
    }
    // Last, whatever is under way: an exec in a paused container ends with its container only.
    jobs.push(tolerated(() => engine.service.remove(id, { force: true, volumes: true })));
    await Promise.all(jobs);
    await tolerated(() => engine.service.remove(id, { force: true, volumes: true }));
  }
  return rounds;
}

for (const runtime of ["crun", "runc"] as const) {
  test(
    `random requests against many containers on ${runtime}, seed ${seed}`,
    async () => {
      const engine = await startEngine(newRoots(), { runtime });
      engines.push(engine);
      const untilMs = performance.now() + seconds * 1000;
      const rounds = await Promise.all(
        Array.from({ length: ACTORS }, (_, actor) => act(engine, actor, untilMs)),
      );
      expect(Math.min(...rounds)).toBeGreaterThan(0);
      await engine.work.idle();
      expect(engine.service.counts()).toEqual({ running: 0, paused: 0, stopped: 0 });
      const found = engine.monitor.list({
        name: runtime,
        path: runtime === "crun" ? "/usr/bin/crun" : "/usr/sbin/runc",
        args: [],
      });
      expect(await found).toEqual([]);
    },
    (seconds + 60) * 1000,
  );
}
