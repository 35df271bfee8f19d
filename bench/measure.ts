/** What is measured: each entry gives samples per client or engine. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { LARGE_IMAGE, largeArchive, smallArchive } from "./archive.ts";
import { run, runClient, runMany } from "./command.ts";
import type { Running } from "./contender.ts";
import { LIFE_MEASUREMENTS } from "./life.ts";
import { memoryOf } from "./memory.ts";
import { NETWORK_MEASUREMENTS } from "./networks.ts";
import { requestsOf } from "./requests.ts";
import {
  add,
  alternate,
  type Bench,
  clientsOf,
  firstClients,
  type Measurement,
  type Row,
  row,
} from "./rows.ts";
import { VOLUME_MEASUREMENTS } from "./volumes.ts";

const IDLE = ["--network", "none", "busybox", "sleep", "3600"];
const CONTAINERS_IDLE = 100;
const AT_ONCE = 8;

async function runOnce(bench: Bench, title: string, flags: readonly string[]): Promise<Row[]> {
  const args = ["run", "--rm", ...flags, "busybox", "true"];
  const made = row(title, "ms", true, args.join(" "));
  await alternate(clientsOf(bench.engines), bench.quick ? 5 : 25, made, async (client) => {
    return (await runClient(client, ...args)).tookMs;
  });
  return [made];
}

async function many(bench: Bench, count: number, rounds: number): Promise<Row[]> {
  const args = ["run", "--rm", "busybox", "true"];
  const text = `${count} x ${args.join(" ")}, ${AT_ONCE} at a time, with all clean-up done`;
  const made = row(`${count} containers, ${AT_ONCE} at a time`, "per s", false, text);
  for (let round = 0; round < rounds; round++) {
    for (const { engine, client } of clientsOf(bench.engines)) {
      const started = performance.now();
      await runMany(count, AT_ONCE, () => runClient(client, ...args));
      await engine.running.settle();
      add(made, client.name, count / ((performance.now() - started) / 1000));
    }
  }
  return [made];
}

async function exec(bench: Bench): Promise<Row[]> {
  const made = row("exec of true", "ms", true, "exec bench true");
  for (const { client } of firstClients(bench.engines)) {
    await runClient(client, "run", "-d", "--name", "bench", ...IDLE);
  }
  await alternate(clientsOf(bench.engines), bench.quick ? 5 : 25, made, async (client) => {
    return (await runClient(client, "exec", "bench", "true")).tookMs;
  });
  for (const { client } of firstClients(bench.engines))
    await runClient(client, "rm", "-f", "bench");
  return [made];
}

async function load(bench: Bench, where: "disk" | "tmpfs"): Promise<Row[]> {
  const archive = largeArchive(bench.cache);
  const made = row(`load of 240 MB in 43,000 files, ${where}`, "ms", true, "load -i large.tar");
  await bench.withEngines(where, async (engines) => {
    for (let round = 0; round < (bench.quick ? 1 : 3); round++) {
      for (const { engine, client } of firstClients(engines)) {
        await run(["sync"]);
        add(made, client.name, (await runClient(client, "load", "-i", archive)).tookMs);
        await runClient(client, "rmi", LARGE_IMAGE);
        await engine.running.settle();
      }
    }
  });
  return [made];
}

/** Engine idle, then with 100 idle containers: memory, and how fast it lists them. */
async function idle(bench: Bench): Promise<Row[]> {
  const rss = row("engine idle, resident", "MB", true, "sum of Rss in smaps_rollup");
  const pss = row("engine idle, proportional", "MB", true, "sum of Pss in smaps_rollup");
  const rssEach = row(
    "one idle container, resident",
    "MB",
    true,
    `run -d ${IDLE.join(" ")}, ${CONTAINERS_IDLE} times`,
  );
  const pssEach = row("one idle container, proportional", "MB", true, rssEach.command);
  const list = row(
    "list of 100 containers",
    "per s",
    false,
    "GET /containers/json on one kept-alive connection",
  );
  await bench.withEngines("disk", async (engines) => {
    for (const { engine, client } of firstClients(engines)) {
      const before = memoryOf(engine.root);
      add(rss, client.name, before.rssMb);
      add(pss, client.name, before.pssMb);
      await runMany(CONTAINERS_IDLE, 4, () => runClient(client, "run", "-d", ...IDLE));
      await Bun.sleep(1000); // start-up helpers end
      const after = memoryOf(engine.root);
      add(rssEach, client.name, (after.rssMb - before.rssMb) / CONTAINERS_IDLE);
      add(pssEach, client.name, (after.pssMb - before.pssMb) / CONTAINERS_IDLE);
    }
    for (let round = 0; round < (bench.quick ? 2 : 5); round++) {
      for (const { engine, client } of firstClients(engines)) {
        const { socketPath } = engine.running;
        if (socketPath === undefined) continue;
        const { perSecond } = await requestsOf(socketPath, "/containers/json", 1000);
        add(list, client.name, perSecond);
      }
    }
    for (const { engine, client } of firstClients(engines)) {
      const { output } = await runClient(client, "ps", "-aq");
      const ids = output.split("\n").filter((id) => id !== "");
      const stopNow = client.name === "podman" ? ["-t", "0"] : [];
      if (ids.length > 0) await runClient(client, "rm", "-f", ...stopNow, ...ids);
      await engine.running.settle();
    }
  });
  return [rss, pss, rssEach, pssEach, list];
}

export const MEASUREMENTS: readonly Measurement[] = [
  { name: "run", measure: (bench) => runOnce(bench, "run --rm, default bridge", []) },
  {
    name: "run-none",
    measure: (bench) => runOnce(bench, "run --rm, --network none", ["--network", "none"]),
  },
  { name: "exec", measure: exec },
  { name: "fifty", measure: (bench) => many(bench, 50, bench.quick ? 1 : 3) },
  { name: "five-hundred", measure: (bench) => many(bench, bench.quick ? 100 : 500, 1) },
  { name: "load-disk", measure: (bench) => load(bench, "disk") },
  { name: "load-tmpfs", measure: (bench) => load(bench, "tmpfs") },
  { name: "idle", measure: idle },
  ...LIFE_MEASUREMENTS,
  ...NETWORK_MEASUREMENTS,
  ...VOLUME_MEASUREMENTS,
];

/** Loads the small image into an engine. */
export async function prepare(running: Running, cache: string): Promise<void> {
  const client = running.clients[0];
  if (client !== undefined) await runClient(client, "load", "-i", smallArchive(cache));
}

/** Takes away an engine's folders. */
export function clean(...folders: readonly string[]): void {
  for (const folder of folders) rmSync(join(folder), { recursive: true, force: true });
}
