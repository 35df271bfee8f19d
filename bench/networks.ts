/** What networks cost: joining and leaving one, bytes through a published port, names. */
import { join } from "node:path";
import { run, runClient } from "./command.ts";
import type { Client } from "./contender.ts";
import {
  add,
  alternate,
  type Bench,
  firstClients,
  type Measurement,
  type Row,
  row,
} from "./rows.ts";

const NETWORK = "bench-network";
const SECONDS = 3; // of each transfer
const PORT = 35_201;

async function networks(bench: Bench): Promise<Row[]> {
  const joined = row(
    "network connect, then disconnect, of a running container",
    "ms",
    true,
    "network connect bridge BOX, network disconnect bridge BOX",
  );
  const through = (how: string): Row =>
    row(`through a published port, ${how}`, "Gbit/s", false, `iperf3 -c ADDRESS -t ${SECONDS}`);
  const loopback = through("by 127.0.0.1");
  const own = through("by the host's own address");
  const bare = row("the same without a container", "Gbit/s", false, "iperf3 -c 127.0.0.1");
  const rate = row("names looked up, 16 at a time", "per s", false, "bench/dns-client.ts");
  const p99 = row("99th percentile of a look-up", "ms", true, "bench/dns-client.ts");
  // Debian's Podman has no name server for its networks, nor connects to bridge by that name.
  const turns = firstClients(bench.engines).filter(({ client }) => client.name !== "podman");
  for (const { client, engine } of turns) {
    await runClient(client, "network", "create", "--subnet", "198.18.40.0/24", NETWORK);
    await runClient(client, ...box("bench-other", []));
    await runClient(client, ...box("bench-box", ["-p", `${PORT}:5201`]));
    await run([...engine.running.enter, "ip", "addr", "add", "198.18.41.1/32", "dev", "lo"]);
  }
  const rounds = bench.quick ? 1 : 5;
  await alternate(turns, bench.quick ? 2 : 20, joined, async (client) => {
    const there = await runClient(client, "network", "connect", "bridge", "bench-box");
    const back = await runClient(client, "network", "disconnect", "bridge", "bench-box");
    return there.tookMs + back.tookMs;
  });
  for (const [into, address] of [
    [loopback, "127.0.0.1"],
    [own, "198.18.41.1"],
  ] as const) {
    await alternate(turns, rounds, into, async (client, { running }) => {
      await within(client, "bench-box", ["iperf3", "-s", "-1", "-D"]);
      return await transfer(running.enter, address, PORT);
    });
  }
  for (const { client, engine } of turns.slice(0, 1)) {
    for (let round = 0; round < rounds; round += 1) {
      const { enter } = engine.running;
      await run([...enter, "iperf3", "-s", "-1", "-D", "-p", "5299"]);
      add(bare, client.name, await transfer(enter, "127.0.0.1", 5299));
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { client } of turns) {
      const program = join(import.meta.dir, "dns-client.ts");
      const asked = [process.execPath, program, "127.0.0.11", "bench-other", "5000"];
      const told = JSON.parse(await within(client, "bench-box", asked)) as {
        readonly perSecond: number;
        readonly p99Ms: number;
      };
      add(rate, client.name, told.perSecond);
      add(p99, client.name, told.p99Ms);
    }
  }
  for (const { client, engine } of turns) {
    await runClient(client, "rm", "-f", "bench-other", "bench-box");
    await engine.running.settle();
    await runClient(client, "network", "rm", NETWORK);
  }
  return [joined, loopback, own, bare, rate, p99];
}

function box(name: string, flags: readonly string[]): string[] {
  return ["run", "-d", "--name", name, "--network", NETWORK, ...flags, "busybox", "sleep", "1000"];
}

/** A program of this host in the network namespace of a container. */
async function within(client: Client, name: string, argv: readonly string[]): Promise<string> {
  const { output } = await runClient(client, "inspect", "-f", "{{.State.Pid}}", name);
  return (await run(["nsenter", `--net=/proc/${output.trim()}/ns/net`, ...argv])).output;
}

async function transfer(enter: readonly string[], address: string, port: number): Promise<number> {
  const argv = ["iperf3", "-c", address, "-p", String(port), "-t", String(SECONDS), "-J"];
  const { output } = await run([...enter, ...argv]);
  const told = JSON.parse(output) as {
    readonly end: { readonly sum_received: { readonly bits_per_second: number } };
  };
  return told.end.sum_received.bits_per_second / 1e9;
}

export const NETWORK_MEASUREMENTS: readonly Measurement[] = [
  { name: "network", measure: networks },
];
