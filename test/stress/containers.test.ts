import { afterAll, describe, expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, loadBusybox } from "../e2e/dockerode-client.ts";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { type Dice, dice } from "./dice.ts";
import { Population } from "./population.ts";
import { Witness } from "./witness.ts";

/* See README.md. What may fail is what Docker refuses; nothing may hang, fail for a reason of our
 * own, be lost from the events, or be left behind. */
const seconds = Number(process.env["NARU_STRESS_SECONDS"] ?? "24");
const seed = Number(process.env["NARU_SEED"] ?? randomInt(2 ** 31));
const isLong = seconds >= 120;
const WORKERS = 16;
const CONTAINERS = isLong ? 200 : 48;
/** Between the first quarter of a run and its end; the heap breathes by about 30 MB. */
const GROWTH_MIB_MAX = 64;
const SECOND_MS = 1000;
const SLACK_MS = 240_000; // the end of all containers and the leak check, on a busy machine

const engines: TestEngine[] = [];
afterAll(async () => {
  for (const engine of engines) await engine.destroy().catch(() => undefined);
}, SLACK_MS);

function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
}

function allWork(population: Population, start: number, untilMs: number): Promise<unknown> {
  return Promise.all(
    Array.from({ length: WORKERS }, (_, worker) => population.work(dice(start + worker), untilMs)),
  );
}

/** Kills the engine and starts it again, at random moments. */
async function killAtRandom(
  engine: TestEngine,
  population: Population,
  witness: Witness,
  options: { readonly roll: Dice; readonly untilMs: number },
): Promise<number> {
  let kills = 0;
  let backMs = Number.NEGATIVE_INFINITY;
  population.recentlyDown = () => performance.now() - backMs < 1000;
  for (;;) {
    const pauseMs = 1500 + options.roll(isLong ? 12_000 : 3000);
    if (performance.now() + pauseMs > options.untilMs) return kills;
    await Bun.sleep(pauseMs);
    const back = Promise.withResolvers<void>();
    population.down = back.promise;
    witness.killed();
    await engine.kill9();
    await engine.start();
    kills += 1;
    backMs = performance.now();
    population.down = undefined;
    back.resolve();
  }
}

async function stress(runtime: string): Promise<void> {
  const engine = await startEngine({ args: ["--default-runtime", runtime] });
  engines.push(engine);
  await loadBusybox(connect(engine.socket));
  const population = new Population(engine, CONTAINERS);
  const witness = new Witness();
  const followed = witness.follow(engine);
  const phaseMs = (seconds * SECOND_MS) / 4; // two runtimes, two phases

  const startedMs = performance.now();
  const growth = Bun.sleep(phaseMs / 4).then(() => residentMiB(engine.pid));
  await allWork(population, seed, startedMs + phaseMs);
  const [beforeMiB, afterMiB] = [await growth, residentMiB(engine.pid)];

  const untilMs = performance.now() + phaseMs;
  const [kills] = await Promise.all([
    killAtRandom(engine, population, witness, { roll: dice(seed + WORKERS), untilMs }),
    allWork(population, seed + 2 * WORKERS, untilMs),
  ]);
  await engine.removeContainers();
  const left = await (await engine.fetch("/containers/json?all=1")).json();
  await Bun.sleep(500); // the last events
  witness.end();
  await followed;
  const { starts, missing, uncertain } = witness.judge();
  const { failures, ...figures } = population.figures;
  const memory = { beforeMiB: Math.round(beforeMiB), afterMiB: Math.round(afterMiB) };
  console.log(JSON.stringify({ runtime, seed, kills, starts, uncertain, ...memory, ...figures }));
  expect(failures).toEqual([]);
  expect(missing).toEqual([]);
  expect(left).toEqual([]);
  expect(afterMiB - beforeMiB).toBeLessThan(GROWTH_MIB_MAX);
  engines.pop();
  await engine.destroy(); // the leak check
}

describe.skipIf(!privileged())(`stress, seed ${seed}`, () => {
  for (const runtime of ["crun", "runc"]) {
    const name = `${CONTAINERS} containers, ${WORKERS} requests at a time, on ${runtime}`;
    test(name, () => stress(runtime), (seconds / 2) * SECOND_MS + SLACK_MS);
  }
});
