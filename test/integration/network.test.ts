import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { newId, systemClock } from "../../src/base/mod.ts";
import * as linux from "../../src/linux/mod.ts";
import {
  createNetworkService,
  type Endpoint,
  type EndpointRequest,
  type NetworkServiceControl,
} from "../../src/network/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import {
  createWorkQueue,
  type Metadata,
  openMetadata,
  type WorkQueue,
} from "../../src/storage/mod.ts";
import { naruCommand } from "../harness/program.ts";

/*
 * All of this happens in a network namespace of its own: this thread leaves the host's before it
 * starts anything. A second namespace, `outside`, is the world behind the host.
 */
const OUTSIDE_ADDRESS = "198.51.100.2";
let root = "";
let home = -1;
let outside: Bun.Subprocess;

interface Engine {
  readonly network: NetworkServiceControl;
  readonly queue: WorkQueue;
  readonly metadata: Metadata;
  readonly netnsDir: string;
  stop(): Promise<void>;
}

const netdPlaces = (dir: string) => ({
  command: naruCommand(),
  socketPath: `${dir}.sock`,
  statePath: `${dir}.json`,
  logPath: `${dir}.log`,
  version: "test",
});

interface EngineChoice {
  readonly shortId?: string;
  readonly bridge?: string;
  readonly bip?: string;
  readonly icc?: boolean;
}

/** An engine's network room with its own roots; the same short id again is the engine restarted. */
async function startEngine(choice: EngineChoice = {}): Promise<Engine> {
  const shortId = choice.shortId ?? newId().slice(0, 8);
  const metadata = await openMetadata(`${root}/${shortId}.db`);
  const queue = createWorkQueue(metadata, { clock: systemClock, logger: silentLogger });
  const network = createNetworkService({
    engineShortId: shortId,
    bridge: choice.bridge ?? `nb${shortId}`,
    ...{ ipv4: { address: choice.bip ?? "", fixedCidr: "", gateway: "" }, ipv6: undefined },
    mtu: 0,
    icc: choice.icc ?? true,
    ipMasquerade: true,
    ipForward: true,
    ipForwardDrop: true,
    publishAddress: "",
    allowDirectRouting: false,
    respectHostFirewall: false,
    netd: netdPlaces(`${root}/${shortId}`),
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    netnsDir: `${root}/${shortId}`,
    addressPools: [],
    defaultOptions: {},
    hostGateways: [],
    events: { publish: () => undefined },
    metadata,
    queue,
    logger: silentLogger,
  });
  await network.start();
  queue.start();
  return {
    network,
    queue,
    metadata,
    netnsDir: `${root}/${shortId}`,
    async stop() {
      await queue.stop();
      network.close();
      await metadata.close();
    },
  };
}

function run(...argv: string[]): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync(argv);
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

const placeOn = (network: string): EndpointRequest => ({
  ...{ network, macAddress: "", ipv4Address: "", ipv6Address: "", gwPriority: 0 },
  ...{ driverOptions: {}, dnsNames: [], links: {}, upstreams: [] },
});

/** The container's one endpoint. */
async function attach(
  engine: Engine,
  containerId: string,
  network: "bridge" | "none" = "bridge",
): Promise<Endpoint> {
  const endpoints = network === "none" ? [] : [placeOn(network)];
  const [first] = await engine.network.attach({ containerId, endpoints, sysctls: {} });
  if (first === undefined) throw new Error("no endpoint");
  return first;
}

const inNamespace = (path: string): string[] => ["nsenter", `--net=${path}`];
const inOutside = (): string[] => ["nsenter", "-t", String(outside.pid), "-n"];

/** A TCP server in a namespace that answers with the client's address, and closes. */
async function withServer<T>(prefix: string[], action: (port: number) => Promise<T>): Promise<T> {
  const code = `
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 0)); s.listen(5); print(s.getsockname()[1], flush=True)
while True:
    c, a = s.accept(); c.send(a[0].encode()); c.close()`;
  const server = Bun.spawn([...prefix, "python3", "-c", code], { stdout: "pipe" });
  try {
    const { value } = await server.stdout.getReader().read();
    return await action(Number(Buffer.from(value ?? []).toString()));
  } finally {
    server.kill(9);
    await server.exited;
  }
}

/** What a client in a namespace reads from a server: the address that it is seen with, or "". */
async function seenFrom(prefix: string[], address: string, port: number): Promise<string> {
  const argv = [...prefix, "busybox", "nc", "-w", "1", address, String(port)];
  const client = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const text = await new Response(client.stdout).text();
  await client.exited;
  return text;
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("no failure");
}

beforeAll(async () => {
  root = mkdtempSync("/tmp/naru-network-");
  home = linux.open(`/proc/self/task/${linux.gettid()}/ns/net`, linux.O_RDONLY);
  linux.unshare(linux.CLONE_NEWNET);
  linux.writeSysctl("net.ipv4.ip_forward", "0"); // a new namespace has what the host has
  outside = Bun.spawn(["unshare", "-n", "sleep", "600"]);
  const ours = linux.statfs("/proc/self/ns/net");
  expect(ours.type).toBe(linux.NSFS_MAGIC);
  await Bun.sleep(100); // until unshare has done its part
  run("ip", "link", "set", "lo", "up");
  run(
    "ip",
    "link",
    "add",
    "wan",
    "type",
    "veth",
    "peer",
    "name",
    "wan",
    "netns",
    String(outside.pid),
  );
  run("ip", "addr", "add", "198.51.100.1/24", "dev", "wan");
  run("ip", "link", "set", "wan", "up");
  run(...inOutside(), "ip", "addr", "add", `${OUTSIDE_ADDRESS}/24`, "dev", "wan");
  run(...inOutside(), "ip", "link", "set", "wan", "up");
  run(...inOutside(), "ip", "link", "set", "lo", "up");
});

afterAll(async () => {
  outside?.kill(9);
  await outside?.exited;
  for (const { target } of linux.mountsBelow(root, linux.listMounts()))
    linux.umountDetached(target);
  rmSync(root, { recursive: true, force: true });
  linux.setns(home, linux.CLONE_NEWNET);
  linux.close(home);
});

describe("the default bridge", () => {
  let engine: Engine;
  let a: Endpoint;
  let b: Endpoint;
  beforeAll(async () => {
    engine = await startEngine();
    a = await attach(engine, "a");
    b = await attach(engine, "b");
  });
  afterAll(async () => {
    for (const id of ["a", "b", "n"]) await engine.network.detach(id);
    await engine.queue.idle();
    await engine.network.teardown();
    await engine.stop();
  });

  test("addresses come from the first free pool, each with its MAC", () => {
    expect(engine.network.networkByName("bridge")).toMatchObject({
      ipam: [{ subnet: "172.17.0.0/16", gateway: "172.17.0.1" }],
    });
    expect(a).toMatchObject({
      ipv4Address: "172.17.0.2",
      ipv4PrefixLength: 16,
      gateway: "172.17.0.1",
      macAddress: "02:42:ac:11:00:02",
    });
    expect(b.ipv4Address).toBe("172.17.0.3");
    expect(a.hostLink.length).toBe(15);
  });

  test("containers reach each other, the host and the outside, masqueraded; the host reaches them", async () => {
    const seen = await withServer(inNamespace(b.netnsPath), async (port) => [
      await seenFrom(inNamespace(a.netnsPath), b.ipv4Address, port),
      await seenFrom([], b.ipv4Address, port),
    ]);
    expect(seen).toEqual([a.ipv4Address, "172.17.0.1"]);
    const onHost = await withServer([], (port) =>
      seenFrom(inNamespace(a.netnsPath), "172.17.0.1", port),
    );
    expect(onHost).toBe(a.ipv4Address);
    const abroad = await withServer(inOutside(), (port) =>
      seenFrom(inNamespace(a.netnsPath), OUTSIDE_ADDRESS, port),
    );
    expect(abroad).toBe("198.51.100.1");
  });

  test("nobody outside gets in by routing to the subnet", async () => {
    run(...inOutside(), "ip", "route", "add", "172.17.0.0/16", "via", "198.51.100.1");
    const seen = await withServer(inNamespace(b.netnsPath), (port) =>
      seenFrom(inOutside(), b.ipv4Address, port),
    );
    run(...inOutside(), "ip", "route", "del", "172.17.0.0/16");
    expect(seen).toBe("");
  });

  test("the host does not become a router for others", async () => {
    expect(linux.readSysctl("net.ipv4.ip_forward")).toBe("1");
    const lan = Bun.spawn(["unshare", "-n", "sleep", "600"]);
    const inLan = ["nsenter", "-t", String(lan.pid), "-n"];
    try {
      await Bun.sleep(100);
      run(
        "ip",
        "link",
        "add",
        "lan",
        "type",
        "veth",
        "peer",
        "name",
        "lan",
        "netns",
        String(lan.pid),
      );
      run("ip", "addr", "add", "203.0.113.1/24", "dev", "lan");
      run("ip", "link", "set", "lan", "up");
      run(...inLan, "ip", "addr", "add", "203.0.113.2/24", "dev", "lan");
      run(...inLan, "ip", "link", "set", "lan", "up");
      run(...inLan, "ip", "route", "add", "default", "via", "203.0.113.1");
      run(...inOutside(), "ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.1");
      const routed = (): Promise<string> =>
        withServer(inOutside(), (port) => seenFrom(inLan, OUTSIDE_ADDRESS, port));
      expect(await routed()).toBe("");
      // The way is right: it is the guard alone that stops them.
      run("nft", "flush", "chain", "ip", "naru_forward", "forward");
      expect(await routed()).toBe("203.0.113.2");
    } finally {
      lan.kill(9);
      await lan.exited;
    }
  });

  test("none has a loopback only, and modes are judged by name", async () => {
    const n = await attach(engine, "n", "none");
    expect(
      run(...inNamespace(n.netnsPath), "ip", "-br", "link")
        .trim()
        .split("\n").length,
    ).toBe(1);
    expect(await engine.network.isIntact(n)).toBe(true);
    expect(engine.network.parseMode("default")).toEqual({ kind: "bridge" });
  });

  test("an address rests until its link is gone, and 20 at once never collide", async () => {
    await engine.network.detach("a");
    const again = await attach(engine, "a");
    expect(again.ipv4Address).not.toBe(a.ipv4Address);
    await engine.queue.idle();
    const ids = Array.from({ length: 20 }, (_, index) => `many-${index}`);
    const many = await Promise.all(ids.map((id) => attach(engine, id)));
    const addresses = many.map(({ ipv4Address }) => ipv4Address);
    expect(new Set(addresses).size).toBe(20);
    expect(addresses).toContain(a.ipv4Address);
    await Promise.all(ids.map((id) => engine.network.detach(id)));
    await engine.queue.idle();
    const used = readdirSync(engine.netnsDir).length;
    expect(used).toBe(3); // a, b, n
  });
});

describe("crash and restart", () => {
  test("a restarted engine finds its containers whole, and sweeps what nobody owns", async () => {
    const shortId = newId().slice(0, 8);
    let engine = await startEngine({ shortId });
    const keeps = await attach(engine, "keeps");
    const lost = await attach(engine, "lost");
    // Killed between two steps: a link and a namespace without any row, and work that never ran.
    run("ip", "link", "add", `nv${shortId.slice(0, 6)}orphan`, "type", "bridge");
    const kernel = new linux.NetworkKernel();
    await kernel.createNamespace({
      path: `${engine.netnsDir}/orphan`,
      endpoints: [],
      routes: { ipv4: "", ipv6: "" },
    });
    await engine.stop();

    engine = await startEngine({ shortId });
    expect(engine.network.networkByName("bridge")?.ipam[0]?.gateway).toBe(keeps.gateway);
    expect(await engine.network.isIntact(keeps)).toBe(true);
    await engine.network.sweep(new Set(["keeps"]));
    await engine.queue.idle();
    const mine = (await kernel.links()).filter(({ name }) =>
      name.startsWith(`nv${shortId.slice(0, 6)}`),
    );
    expect(mine.map(({ name }) => name)).toEqual([keeps.hostLink]);
    expect(readdirSync(engine.netnsDir).map((name) => `${engine.netnsDir}/${name}`)).toEqual([
      keeps.netnsPath,
    ]);
    expect(await engine.network.isIntact(lost)).toBe(false);
    const next = await attach(engine, "next");
    expect(next.ipv4Address).not.toBe(keeps.ipv4Address);
    const seen = await withServer(inNamespace(keeps.netnsPath), (port) =>
      seenFrom(inNamespace(next.netnsPath), keeps.ipv4Address, port),
    );
    expect(seen).toBe(next.ipv4Address);

    await engine.network.sweep(new Set());
    await engine.queue.idle();
    await engine.network.teardown();
    expect((await kernel.links()).some(({ name }) => name === `nb${shortId}`)).toBe(false);
    expect(run("nft", "list", "tables")).not.toContain(shortId);
    kernel.close();
    await engine.stop();
  });

  test("detach undone half-way by a crash is finished by the next engine", async () => {
    const shortId = newId().slice(0, 8);
    const first = await startEngine({ shortId });
    const endpoint = await attach(first, "c");
    await first.queue.stop(); // the work is recorded and never runs
    await first.network.detach("c");
    await first.stop();
    const second = await startEngine({ shortId });
    await second.queue.idle();
    expect(second.metadata.rows("addresses").length).toBeGreaterThanOrEqual(0);
    const again = await attach(second, "d");
    expect(again.ipv4Address).toBe(endpoint.ipv4Address);
    await second.network.detach("d");
    await second.queue.idle();
    await second.network.teardown();
    await second.stop();
  });
});

describe("several engines", () => {
  test("side by side: own subnets, all reach the outside, the last one switches forwarding off", async () => {
    linux.writeSysctl("net.ipv4.ip_forward", "0");
    const one = await startEngine();
    const two = await startEngine({ bip: "10.77.0.1/24" });
    const a = await attach(one, "a");
    const b = await attach(two, "b");
    expect(b.ipv4Address).toBe("10.77.0.2");
    await withServer(inOutside(), async (port) => {
      expect(await seenFrom(inNamespace(a.netnsPath), OUTSIDE_ADDRESS, port)).toBe("198.51.100.1");
      expect(await seenFrom(inNamespace(b.netnsPath), OUTSIDE_ADDRESS, port)).toBe("198.51.100.1");
    });
    const across = await withServer(inNamespace(b.netnsPath), (port) =>
      seenFrom(inNamespace(a.netnsPath), b.ipv4Address, port),
    );
    expect(across).toBe("");
    for (const [engine, id] of [
      [one, "a"],
      [two, "b"],
    ] as const) {
      await engine.network.detach(id);
      await engine.queue.idle();
      expect(linux.readSysctl("net.ipv4.ip_forward")).toBe("1");
      await engine.network.teardown();
      await engine.stop();
    }
    expect(linux.readSysctl("net.ipv4.ip_forward")).toBe("0");
    expect(run("nft", "list", "tables")).not.toContain("naru_");
  });

  test("where Docker drops forwarding by policy, its own chain lets us pass, and is left clean", async () => {
    run("nft", "add table ip filter");
    run("nft", "add chain ip filter DOCKER-USER");
    run("nft", "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
    run("nft", "add rule ip filter FORWARD jump DOCKER-USER");
    const engine = await startEngine();
    const a = await attach(engine, "a");
    const abroad = await withServer(inOutside(), (port) =>
      seenFrom(inNamespace(a.netnsPath), OUTSIDE_ADDRESS, port),
    );
    expect(abroad).toBe("198.51.100.1");
    await engine.network.sweep(new Set());
    await engine.queue.idle();
    await engine.network.teardown();
    await engine.stop();
    expect(run("nft", "list chain ip filter DOCKER-USER")).not.toContain("naru");
    run("nft", "delete table ip filter");
  });

  test("without icc containers reach the outside but not each other", async () => {
    const engine = await startEngine({ icc: false });
    const a = await attach(engine, "a");
    const b = await attach(engine, "b");
    const seen = await withServer(inNamespace(b.netnsPath), async (port) => [
      await seenFrom(inNamespace(a.netnsPath), b.ipv4Address, port),
      await seenFrom([], b.ipv4Address, port),
    ]);
    expect(seen).toEqual(["", a.gateway]);
    const abroad = await withServer(inOutside(), (port) =>
      seenFrom(inNamespace(a.netnsPath), OUTSIDE_ADDRESS, port),
    );
    expect(abroad).toBe("198.51.100.1");
    await engine.network.sweep(new Set());
    await engine.queue.idle();
    await engine.network.teardown();
    await engine.stop();
  });

  test("a bridge of the host's is used with its address and stays; a clash of addresses is named", async () => {
    run("ip", "link", "add", "hostbr", "type", "bridge");
    run("ip", "addr", "add", "10.88.0.1/24", "dev", "hostbr");
    const engine = await startEngine({ bridge: "hostbr" });
    expect(engine.network.networkByName("bridge")?.ipam[0]?.subnet).toBe("10.88.0.0/24");
    await engine.network.teardown();
    await engine.stop();
    expect(run("ip", "-br", "addr", "show", "hostbr")).toContain("10.88.0.1/24");
    const failure = await failureOf(startEngine({ bridge: "hostbr", bip: "10.89.0.1/24" }));
    expect(failure.message).toContain("10.88.0.1");
    const none = await startEngine({ bridge: "none" });
    expect(none.network.parseMode("default")).toEqual({ kind: "none" });
    expect(none.network.networks().map(({ name }) => name)).toEqual(["host", "none"]);
    await none.stop();
  });
});
