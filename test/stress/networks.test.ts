/** Many containers on one bridge, many networks, many published ports. See README.md. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const isLong = Number(process.env["NARU_STRESS_SECONDS"] ?? "0") >= 120;
const SIZE = isLong
  ? { containers: 500, networks: 100, ports: 1000 }
  : { containers: 24, networks: 8, ports: 100 };
const AT_ONCE = 8;
const PORTS_EACH = 20;
const FIRST_PORT = 21_000;
const LIMIT_MS = 900_000;

let engine: TestEngine;

beforeAll(async () => {
  if (!privileged()) return;
  engine = await startEngine();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
}, LIMIT_MS);

afterAll(() => engine?.destroy(), LIMIT_MS); // with the leak check

async function send(path: string, body: object): Promise<{ readonly Id: string }> {
  const answer = await engine.fetch(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text === "" ? "{}" : text) as { readonly Id: string };
}

async function run(name: string, network: string, ports: readonly number[]): Promise<void> {
  const bindings = ports.map((port) => [`${port}/tcp`, [{ HostPort: String(port) }]] as const);
  const { Id } = await send(`/containers/create?name=${name}`, {
    Image: "busybox",
    Cmd: ["httpd", "-f", "-p", String(ports[0] ?? 80)],
    ExposedPorts: Object.fromEntries(bindings.map(([key]) => [key, {}])),
    HostConfig: { NetworkMode: network, PortBindings: Object.fromEntries(bindings) },
  });
  await send(`/containers/${Id}/start`, {});
}

async function timed(
  what: string,
  count: number,
  one: (index: number) => Promise<unknown>,
): Promise<void> {
  const startedMs = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await one(index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(`${count} ${what}: ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(1)} per s`);
}

async function answers(port: number): Promise<boolean> {
  const url = `http://127.0.0.1:${port}/`;
  return await fetch(url, { keepalive: false, signal: AbortSignal.timeout(2000) }).then(
    ({ status }) => status === 404, // busybox's httpd, without a page
    () => false,
  );
}

test.skipIf(!privileged())(
  `${SIZE.containers} containers on one bridge, ${SIZE.networks} networks, ${SIZE.ports} ports`,
  async () => {
    const subnet = { Driver: "default", Config: [{ Subnet: "198.18.64.0/22" }] };
    await send("/networks/create", { Name: "big", IPAM: subnet });
    await timed("containers on one network", SIZE.containers, (index) =>
      run(`c${index}`, "big", []),
    );
    await timed("networks", SIZE.networks, (index) =>
      send("/networks/create", {
        Name: `n${index}`,
        IPAM: { Driver: "default", Config: [{ Subnet: `198.19.${index}.0/24` }] },
      }),
    );
    const publishing = SIZE.ports / PORTS_EACH;
    await timed(`containers with ${PORTS_EACH} ports each`, publishing, (index) => {
      const ports = Array.from(
        { length: PORTS_EACH },
        (_, at) => FIRST_PORT + index * PORTS_EACH + at,
      );
      return run(`p${index}`, `n${index % SIZE.networks}`, ports);
    });
    const last = SIZE.containers - 1;
    await cliOk(engine, ["exec", "c0", "ping", "-c", "1", "-W", "2", `c${last}`]);
    const firsts = Array.from({ length: publishing }, (_, at) => FIRST_PORT + at * PORTS_EACH);
    for (const port of firsts) expect([port, await answers(port)]).toEqual([port, true]);
    await engine.kill9();
    for (const port of firsts) expect([port, await answers(port)]).toEqual([port, true]);
    const startedMs = performance.now();
    await engine.start();
    console.log(`the engine is back after ${Math.round(performance.now() - startedMs)} ms`);
    for (const port of firsts) expect([port, await answers(port)]).toEqual([port, true]);
    await cliOk(engine, ["exec", `c${last}`, "ping", "-c", "1", "-W", "2", "c1"]);
    await timed("containers removed", SIZE.containers, (index) =>
      engine.fetch(`/containers/c${index}?force=1`, { method: "DELETE" }),
    );
  },
  LIMIT_MS,
);
