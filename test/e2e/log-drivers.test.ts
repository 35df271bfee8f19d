/** Log drivers from `run` to the peer, with engines that are killed on the way. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cli, cliOk } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { gelfPayloads, type LogPeer, streamPeer, udpPeer } from "../harness/log-peers.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const LIMIT_MS = 60_000; // each takes a second or two on an idle machine

let engine: TestEngine;
const peers: LogPeer[] = [];

beforeAll(async () => {
  engine = await startEngine();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
}, LIMIT_MS);

afterAll(async () => {
  for (const peer of peers) await peer.close();
  await engine.destroy();
}, LIMIT_MS);

async function opened(peer: Promise<LogPeer>): Promise<LogPeer> {
  const one = await peer;
  peers.push(one);
  return one;
}

async function eventually(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries += 1) {
    if (tries > 1000) throw new Error("it did not come");
    await Bun.sleep(20);
  }
}

function opts(options: Readonly<Record<string, string>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => ["--log-opt", `${name}=${value}`]);
}

function syslog(peer: LogPeer): string[] {
  const address = `tcp://127.0.0.1:${peer.port}`;
  return ["--log-driver", "syslog", ...opts({ "syslog-address": address, tag: "{{.Name}}" })];
}

function numbers(text: string): number[] {
  return [...text.matchAll(/line (\d+)/g)].map(([, number]) => Number(number));
}

test(
  "syslog gets what a container wrote, --rm too, and logs shows it all the same",
  async () => {
    const peer = await opened(streamPeer());
    const script = "echo out; echo err >&2";
    await cliOk(engine, ["run", "--name", "sys", ...syslog(peer), "busybox", "sh", "-c", script]);
    await eventually(() => peer.text().split("\n").length === 3);
    expect(peer.text()).toMatch(/^<30>\w{3} [ \d]\d [\d:]{8} sys\[\d+\]: out\n/m);
    expect(peer.text()).toMatch(/^<27>.* sys\[\d+\]: err\n/m);
    expect(await cliOk(engine, ["logs", "sys"])).toBe("out");
    await cliOk(engine, ["run", "--rm", ...syslog(peer), "busybox", "echo", "short life"]);
    await eventually(() => peer.text().endsWith("short life\n"));
  },
  LIMIT_MS,
);

test(
  "an engine killed while it ships loses no line, and sends the last batch twice at most",
  async () => {
    const peer = await opened(streamPeer());
    const last = 40_000;
    const script = `for i in $(seq 1 ${last}); do echo line $i; [ $((i % 100)) = 0 ] && sleep 0.01; done`;
    const rotated = opts({ "cache-max-size": "300k", "cache-max-file": "2" });
    const command = ["busybox", "sh", "-c", script];
    await cliOk(engine, ["run", "-d", "--name", "much", ...syslog(peer), ...rotated, ...command]);
    for (const reached of [3000, 15_000]) {
      await eventually(() => numbers(peer.text().slice(-200)).some((number) => number > reached));
      await engine.kill9();
      await engine.start(); // its recovery rotates what has grown
    }
    await cliOk(engine, ["wait", "much"]);
    await eventually(() => peer.text().trimEnd().endsWith(`line ${last}`));
    const got = numbers(peer.text());
    expect(new Set(got).size).toBe(last);
    // Each kill may double one batch of up to 1,000 lines; what comes twice begins where it broke off.
    expect(got.length - last).toBeLessThanOrEqual(2 * 1000);
    const steps = got.slice(1).filter((number, index) => number !== (got[index] ?? 0) + 1);
    expect(steps.length).toBeLessThanOrEqual(2);
    await cliOk(engine, ["rm", "much"]);
  },
  LIMIT_MS,
);

test(
  "a peer that is down stops neither the container nor its start; a stopped one is shipped later",
  async () => {
    const first = await streamPeer();
    await first.close();
    const command = ["busybox", "echo", "for later"];
    await cliOk(engine, ["run", "--name", "late", ...syslog(first), ...command]);
    await engine.kill9();
    await engine.start();
    const peer = await opened(streamPeer({ port: first.port }));
    await eventually(() => /late\[\d+\]: for later\n$/.test(peer.text()));
    expect(peer.text().match(/for later/g)?.length).toBe(1);
  },
  LIMIT_MS,
);

test(
  "GELF with labels and environment; details of json-file; what cannot be read or is unknown",
  async () => {
    const peer = await opened(udpPeer());
    const chosen = opts({ labels: "team", env: "STAGE", tag: "t" });
    const facts = ["--label", "team=a b", "--env", "STAGE=x"];
    const address = opts({ "gelf-address": `udp://127.0.0.1:${peer.port}` });
    const gelf = [
      "--log-driver",
      "gelf",
      ...address,
      ...chosen,
      ...opts({ "cache-disabled": "true" }),
    ];
    await cliOk(engine, ["run", "--name", "gelf", ...gelf, ...facts, "busybox", "echo", "hi"]);
    await eventually(() => peer.received.length === 1);
    expect(gelfPayloads(peer.received)[0]).toMatchObject({
      ...{ short_message: "hi", _container_name: "gelf", _team: "a b", _STAGE: "x", _tag: "t" },
    });
    expect((await cli(engine, ["logs", "gelf"])).stderr).toContain(
      "configured logging driver does not support reading",
    );
    await cliOk(engine, ["run", "--name", "json", ...chosen, ...facts, "busybox", "echo", "hi"]);
    expect(await cliOk(engine, ["logs", "--details", "json"])).toBe("STAGE=x,tag=t,team=a+b hi");
    const unknown = await cli(engine, ["create", "--log-driver", "x", "busybox"]);
    expect(unknown.stderr).toContain("logger: no log driver named 'x' is registered");
    const info = (await (await engine.fetch("/info")).json()) as { Plugins: { Log: string[] } };
    expect(info.Plugins.Log).toContain("journald");
  },
  LIMIT_MS,
);
