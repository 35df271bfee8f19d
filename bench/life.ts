/** Many containers, long logs, copies, commits: what the life of a container costs. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runClient, runMany } from "./command.ts";
import { cpuSecondsOf } from "./memory.ts";
import { requestsOf } from "./requests.ts";
import {
  add,
  alternate,
  type Bench,
  firstClients,
  type Measurement,
  type Row,
  row,
  type Started,
} from "./rows.ts";

const SLEEP = ["--network", "none", "busybox", "sleep", "3600"];
const AT_ONCE = 4;
const MIB = 1024 * 1024;

/** Lists and inspects with containers that do not run, then the start of an engine that has them. */
async function population(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  await bench.withEngines("disk", async (engines) => {
    let made = 0;
    for (const count of bench.quick ? [20, 50] : [100, 1000]) {
      for (const { client } of firstClients(engines)) {
        await runMany(count - made, AT_ONCE, (index) =>
          runClient(client, "create", "--name", `bench${made + index}`, ...SLEEP),
        );
      }
      made = count;
      rows.push(...(await requests(bench, engines, count)));
    }
    rows.push(await restart(bench, engines, made));
    for (const { engine, client } of firstClients(engines)) {
      const names = Array.from({ length: made }, (_, index) => `bench${index}`);
      await runClient(client, "rm", "-f", ...names);
      await engine.running.settle();
    }
  });
  return rows;
}

async function requests(bench: Bench, engines: readonly Started[], count: number): Promise<Row[]> {
  const paths = { list: "/containers/json?all=1", inspect: "/containers/bench7/json" } as const;
  const rows: Row[] = [];
  for (const [what, path] of Object.entries(paths)) {
    const command = `GET ${path} on one kept-alive connection`;
    const rate = row(`${what}, ${count} containers`, "per s", false, command);
    const slow = row(`${what}, ${count} containers, 99 of 100 within`, "ms", true, command);
    for (let round = 0; round < (bench.quick ? 1 : 5); round++) {
      for (const { engine, client } of firstClients(engines)) {
        const { socketPath } = engine.running;
        if (socketPath === undefined) continue; // no daemon
        const { perSecond, p99Ms } = await requestsOf(socketPath, path, 1000);
        add(rate, client.name, perSecond);
        add(slow, client.name, p99Ms);
      }
    }
    rows.push(rate, slow);
  }
  return rows;
}

async function restart(bench: Bench, engines: readonly Started[], count: number): Promise<Row> {
  const made = row(`engine start with ${count} containers`, "ms", true, "until it answers a ping");
  for (let round = 0; round < (bench.quick ? 1 : 5); round++) {
    for (const { engine, client } of firstClients(engines)) {
      const tookMs = await engine.running.restart?.();
      if (tookMs !== undefined) add(made, client.name, tookMs);
    }
  }
  return made;
}

/** The whole log of a container that has ended. */
async function logs(bench: Bench): Promise<Row[]> {
  const lines = bench.quick ? 50_000 : 1_000_000;
  const made = row(`logs of ${lines} lines`, "ms", true, `logs of: seq 1 ${lines}`);
  const once = async (): Promise<void> => {
    for (const { client } of firstClients(bench.engines)) {
      await runClient(client, "rm", "-f", "bench").catch(() => undefined);
      const command = ["busybox", "seq", "1", `${lines}`];
      await runClient(client, "run", "--name", "bench", "--network", "none", ...command);
    }
  };
  await once();
  await alternate(firstClients(bench.engines), bench.quick ? 1 : 5, made, async (client) => {
    const { output, tookMs } = await runClient(client, "logs", "bench");
    if (!output.endsWith(`\n${lines}\n`)) throw new Error(`${client.name}: the log is not whole`);
    return tookMs;
  });
  await removeBench(bench.engines);
  return [made];
}

async function removeBench(engines: readonly Started[]): Promise<void> {
  for (const { engine, client } of firstClients(engines)) {
    await runClient(client, "rm", "-f", "bench");
    await engine.running.settle();
  }
}

/** Files into a container and out of it, one large and many small; on a tmpfs, so that no disk is timed. */
async function copies(bench: Bench): Promise<Row[]> {
  const { large, small } = copySources(bench);
  const rows: Row[] = [];
  await bench.withEngines("tmpfs", async (engines) => {
    rows.push(...(await copiesOf(bench, engines, `a file of ${large.mib} MiB`, large.path)));
    rows.push(...(await copiesOf(bench, engines, `${small.count} small files`, small.path)));
  });
  return rows;
}

async function copiesOf(
  bench: Bench,
  engines: readonly Started[],
  what: string,
  source: string,
): Promise<Row[]> {
  const into = row(`cp of ${what}, in`, "ms", true, "cp SOURCE bench:/copied");
  const out = row(`cp of ${what}, out`, "ms", true, "cp bench:/copied TARGET");
  const turns = firstClients(engines);
  const rounds = bench.quick ? 1 : 5;
  for (const { client } of turns) await runClient(client, "create", "--name", "bench", ...SLEEP);
  await alternate(turns, rounds, into, async (client) => {
    return (await runClient(client, "cp", source, "bench:/copied")).tookMs;
  });
  const target = "/dev/shm/naru-bench-copied";
  await alternate(turns, rounds, out, async (client) => {
    const { tookMs } = await runClient(client, "cp", "bench:/copied", target);
    rmSync(target, { recursive: true, force: true });
    return tookMs;
  });
  await removeBench(engines);
  return [into, out];
}

export function copySources(bench: Bench): {
  large: { path: string; mib: number };
  small: { path: string; count: number };
} {
  const large = { path: join(bench.cache, "copy-large"), mib: 256 };
  const small = { path: join(bench.cache, "copy-small"), count: 10_000 };
  if (!existsSync(large.path)) writeFileSync(large.path, Buffer.alloc(large.mib * MIB, "naru"));
  if (!existsSync(join(small.path, "last"))) {
    for (let index = 0; index < small.count; index++) {
      const folder = join(small.path, `d${Math.floor(index / 100)}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `f${index}`), Buffer.alloc(1024, `${index} `));
    }
    writeFileSync(join(small.path, "last"), "");
  }
  return { large, small };
}

/** An image of a container that has written many files; on a tmpfs as well. */
async function commit(bench: Bench): Promise<Row[]> {
  const { small } = copySources(bench);
  const made = row(`commit of ${small.count} new files`, "ms", true, "commit bench committed");
  await bench.withEngines("tmpfs", async (engines) => {
    const turns = firstClients(engines);
    for (const { client } of turns) {
      await runClient(client, "create", "--name", "bench", ...SLEEP);
      await runClient(client, "cp", small.path, "bench:/copied");
    }
    await alternate(turns, bench.quick ? 1 : 5, made, async (client) => {
      const { tookMs } = await runClient(client, "commit", "bench", "committed");
      await runClient(client, "rmi", "committed");
      return tookMs;
    });
    await removeBench(engines);
  });
  return [made];
}

/** What the engine spends while one client watches the stats of all. */
async function stats(bench: Bench): Promise<Row[]> {
  const count = bench.quick ? 10 : 100;
  const seconds = bench.quick ? 3 : 10;
  const text = `stats for ${seconds} s, ${count} containers that sleep`;
  const made = row(`stats of ${count} containers, CPU of the engine`, "ms per s", true, text);
  await bench.withEngines("disk", async (engines) => {
    for (const { engine, client } of firstClients(engines)) {
      if (engine.running.socketPath === undefined) continue; // the client is the engine
      await runMany(count, AT_ONCE, (index) =>
        runClient(client, "run", "-d", "--name", `bench${index}`, ...SLEEP),
      );
      await Bun.sleep(1000); // start-up helpers end
      const watcher = Bun.spawn([...client.argv, "stats"], {
        stdin: "ignore",
        stdout: "ignore",
        stderr: "ignore",
        env: { ...process.env, ...client.env },
      });
      await Bun.sleep(2000); // the client's first samples
      const before = cpuSecondsOf(engine.root, { except: watcher.pid });
      await Bun.sleep(seconds * 1000);
      const spent = cpuSecondsOf(engine.root, { except: watcher.pid }) - before;
      watcher.kill();
      await watcher.exited;
      add(made, client.name, (spent / seconds) * 1000);
      const names = Array.from({ length: count }, (_, index) => `bench${index}`);
      await runClient(client, "rm", "-f", ...names);
      await engine.running.settle();
    }
  });
  return [made];
}

export const LIFE_MEASUREMENTS: readonly Measurement[] = [
  { name: "population", measure: population },
  { name: "logs", measure: logs },
  { name: "cp", measure: copies },
  { name: "commit", measure: commit },
  { name: "stats", measure: stats },
];
