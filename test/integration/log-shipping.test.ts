/** Log drivers against peers on loopback and unix sockets, over the spool as conmon writes it. */
import { afterAll, expect, test } from "bun:test";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { systemClock } from "../../src/base/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import {
  type LogLimits,
  type LogTarget,
  openContainerLog,
  type ShippingPlan,
  type SpooledLog,
} from "../../src/runtime/mod.ts";
import {
  gelfPayloads,
  type LogPeer,
  streamPeer,
  udpPeer,
  unixDatagramPeer,
} from "../harness/log-peers.ts";

const dir = mkdtempSync("/tmp/naru-ship-");
const peers: LogPeer[] = [];
const logs: SpooledLog[] = [];
afterAll(async () => {
  await Promise.all(logs.map((log) => log.close()));
  await Promise.all(peers.map((peer) => peer.close()));
  rmSync(dir, { recursive: true, force: true });
});

let count = 0;
function newPath(): string {
  count += 1;
  mkdirSync(`${dir}/${count}`);
  return `${dir}/${count}/container.log`;
}

function k8s(text: string, stream = "stdout"): string {
  return `2026-01-01T00:00:00.000000001+00:00 ${stream} F ${text}\n`;
}

function lines(from: number, to: number): string {
  return Array.from({ length: to - from + 1 }, (_, at) => k8s(`line ${from + at}`)).join("");
}

const ROOMY: LogLimits = { segmentBytesMax: 1 << 20, segmentsMax: 5, compress: true };

async function ship(
  path: string,
  target: LogTarget,
  options: { limits?: LogLimits; plan?: Partial<ShippingPlan>; lagBytesMax?: number } = {},
): Promise<SpooledLog> {
  const plan: ShippingPlan = {
    target,
    origin: {
      ...{ containerId: "ab".repeat(32), containerName: "web", imageId: "i", imageName: "bb" },
      ...{ command: "sh", createdNs: "0", hostname: "h", tag: "tag", attributes: { k: "v" } },
    },
    ...{ batchBytesMax: 4096, retryWaitMs: 5, triesMax: null, blocking: true, bufferBytesMax: 1 },
    ...options.plan,
  };
  const log = await openContainerLog(path, options.limits ?? ROOMY, {
    ...{ clock: systemClock, logger: silentLogger, shipping: () => plan },
    ...(options.lagBytesMax === undefined ? {} : { shippingLagBytesMax: options.lagBytesMax }),
  });
  logs.push(log);
  return log;
}

function syslog(peer: { port: number }, transport: "tcp" | "udp" = "tcp"): LogTarget {
  return {
    ...{ kind: "syslog", facility: 3, format: "rfc5424" },
    address: { transport, host: "127.0.0.1", port: peer.port },
    tls: { caPath: "", certPath: "", keyPath: "", skipVerify: false },
  };
}

async function eventually(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries += 1) {
    if (tries > 2000) throw new Error("it did not come");
    await Bun.sleep(5);
  }
}

function numbers(text: string): number[] {
  return [...text.matchAll(/line (\d+)/g)].map(([, number]) => Number(number));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

async function opened<P extends LogPeer>(peer: Promise<P>): Promise<P> {
  const one = await peer;
  peers.push(one);
  return one;
}

test("syslog over TCP follows the log, over rotations, and goes on after a restart", async () => {
  const path = newPath();
  const peer = await opened(streamPeer());
  const limits = { segmentBytesMax: 500, segmentsMax: 1, compress: true };
  let log = await ship(path, syslog(peer), { limits });
  log.started();
  for (let round = 0; round < 5; round += 1) {
    appendFileSync(path, lines(round * 20 + 1, round * 20 + 20));
    await log.rotateIfNeeded(dir); // no monitor: the log rotates by itself
    if (round !== 2) continue;
    await eventually(() => numbers(peer.text()).length >= 20);
    await log.close();
    log = await ship(path, syslog(peer), { limits });
    log.resumed();
  }
  log.ended();
  expect(await log.shipped(5000)).toBe(true);
  await eventually(() => numbers(peer.text()).length >= 100);
  expect(numbers(peer.text())).toEqual(range(1, 100));
  expect(peer.text()).toStartWith("<30>1 2026-01-01T00:00:00Z h tag ");
}, 30_000);

test("a peer that is down costs no line: files are kept beyond the limit until it is back", async () => {
  const path = newPath();
  const first = await streamPeer();
  await first.close();
  const limits = { segmentBytesMax: 500, segmentsMax: 2, compress: true };
  const log = await ship(path, syslog(first), { limits });
  log.started();
  for (let round = 0; round < 6; round += 1) {
    appendFileSync(path, lines(round * 20 + 1, round * 20 + 20));
    await log.rotateIfNeeded(dir);
  }
  const files = (): number =>
    readdirSync(path.replace(/\/[^/]*$/, "")).filter((name) => name.endsWith(".gz")).length;
  expect(files()).toBe(6);
  const peer = await opened(streamPeer({ port: first.port }));
  log.ended();
  expect(await log.shipped(5000)).toBe(true);
  await eventually(() => numbers(peer.text()).length >= 120);
  expect(numbers(peer.text())).toEqual(range(1, 120));
  appendFileSync(path, k8s("line 121"));
  log.started();
  await eventually(() => files() <= 2);
}, 30_000);

test("non-blocking: beyond the buffer the oldest lines are dropped, and the newest come", async () => {
  const path = newPath();
  const first = await streamPeer();
  await first.close();
  const limits = { segmentBytesMax: 500, segmentsMax: 2, compress: false };
  const plan = { blocking: false, bufferBytesMax: 3000, batchBytesMax: 1 };
  const log = await ship(path, syslog(first), { limits, plan });
  log.started();
  for (let round = 0; round < 10; round += 1) {
    appendFileSync(path, lines(round * 20 + 1, round * 20 + 20));
    await log.rotateIfNeeded(dir);
  }
  const peer = await opened(streamPeer({ port: first.port }));
  log.ended();
  expect(await log.shipped(5000)).toBe(true);
  await eventually(() => numbers(peer.text()).includes(200));
  const got = numbers(peer.text());
  expect(got.length).toBeLessThan(150);
  expect(got.slice(-20)).toEqual(range(181, 200));
}, 30_000);

test("blocking: over the budget the container has to wait, and goes on when all was taken", async () => {
  const path = newPath();
  const first = await streamPeer();
  await first.close();
  const limits = { segmentBytesMax: 500, segmentsMax: 2, compress: false };
  const log = await ship(path, syslog(first), { limits, lagBytesMax: 3000 });
  const changes: boolean[] = [];
  log.spool.onFullChanged = () => changes.push(log.spool.full);
  log.started();
  for (let round = 0; round < 3; round += 1) {
    appendFileSync(path, lines(round * 20 + 1, round * 20 + 20));
    await log.rotateIfNeeded(dir);
  }
  expect(changes).toEqual([true]);
  const peer = await opened(streamPeer({ port: first.port }));
  // Nothing is written any more: the container waits.
  await eventually(() => changes.length === 2);
  expect(changes).toEqual([true, false]);
  await eventually(() => numbers(peer.text()).length === 60);
}, 30_000);

test("syslog over a unix socket and over UDP; GELF over UDP in chunks and over TCP", async () => {
  const unix = await opened(streamPeer({ path: `${dir}/syslog.sock` }));
  const udp = await opened(udpPeer());
  const gelf = await opened(udpPeer());
  const tcp = await opened(streamPeer());
  const targets: LogTarget[] = [
    {
      ...(syslog(unix) as LogTarget & { kind: "syslog" }),
      address: { transport: "unix", path: `${dir}/syslog.sock` },
    },
    syslog(udp, "udp"),
    ...(["udp", "tcp"] as const).map(
      (transport): LogTarget => ({
        ...{ kind: "gelf", compression: "none", level: 1 },
        address: { transport, host: "127.0.0.1", port: transport === "udp" ? gelf.port : tcp.port },
      }),
    ),
  ];
  for (const target of targets) {
    const path = newPath();
    appendFileSync(path, lines(1, 5) + k8s("x".repeat(5000), "stderr"));
    expect(await (await ship(path, target)).shipped(5000)).toBe(true);
  }
  await eventually(() => unix.text().endsWith("xxx\n") && udp.received.length === 6);
  expect(numbers(unix.text())).toEqual(range(1, 5));
  expect(udp.received[0]?.toString()).toEndWith(" - line 1\n");
  expect(udp.received[5]?.toString()).toStartWith("<27>1 ");
  await eventually(() => gelfPayloads(gelf.received).length === 6 && tcp.text().endsWith("\0"));
  expect(gelf.received.length).toBeGreaterThan(8);
  const last = gelfPayloads(gelf.received)[5];
  expect(last).toMatchObject({ short_message: "x".repeat(5000), level: 3, _k: "v" });
  const byTcp = tcp
    .text()
    .split("\0")
    .filter((text) => text !== "");
  expect(
    byTcp.map((text) => (JSON.parse(text) as { short_message: string }).short_message.slice(0, 6)),
  ).toEqual([...range(1, 5).map((number) => `line ${number}`), "xxxxxx"]);
}, 30_000);

test("syslog over TLS: RFC 5425 framing, a client certificate, and a peer that must prove itself", async () => {
  const pem = (name: string): string => readFileSync(`${dir}/${name}`, "utf8");
  const flags = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  const names = ["-addext", "subjectAltName=IP:127.0.0.1"];
  for (const name of ["own", "foreign"]) {
    const files = ["-keyout", `${dir}/${name}.key`, "-out", `${dir}/${name}.pem`];
    const made = Bun.spawnSync(["openssl", "req", "-x509", ...flags, ...files, ...names]);
    if (!made.success) throw new Error(`openssl failed: ${made.stderr.toString()}`);
  }
  const own = { cert: pem("own.pem"), key: pem("own.key"), ca: pem("own.pem") };
  const peer = await opened(streamPeer({ tls: own }));
  const target = (caName: string, skipVerify = false): LogTarget => ({
    ...{ kind: "syslog", facility: 3, format: "rfc5424" },
    address: { transport: "tls", host: "127.0.0.1", port: peer.port },
    tls: {
      ...{ caPath: `${dir}/${caName}.pem`, certPath: `${dir}/own.pem` },
      ...{ keyPath: `${dir}/own.key`, skipVerify },
    },
  });
  const shipped = async (wanted: LogTarget): Promise<boolean> => {
    const path = newPath();
    appendFileSync(path, lines(1, 2));
    return await (await ship(path, wanted)).shipped(500);
  };
  expect(await shipped(target("own"))).toBe(true);
  await eventually(() => numbers(peer.text()).length === 2);
  const [, length = "", rest = ""] = /^(\d+) ([^]*)$/.exec(peer.text()) ?? [];
  expect(rest.slice(0, Number(length))).toMatch(/^<30>1 .* - line 1\n$/);
  expect(await shipped(target("foreign"))).toBe(false);
  expect(numbers(peer.text()).length).toBe(2);
  expect(await shipped(target("foreign", true))).toBe(true);
  await eventually(() => numbers(peer.text()).length === 4);
}, 30_000);

test("journald gets its datagrams, also when its socket comes late", async () => {
  const path = newPath();
  appendFileSync(path, lines(1, 3));
  const log = await ship(path, { kind: "journald", path: `${dir}/journal` });
  const peer = await opened(unixDatagramPeer(`${dir}/journal`));
  expect(await log.shipped(5000)).toBe(true);
  await eventually(() => peer.received.length === 3);
  expect(peer.received[2]?.toString()).toStartWith(
    "MESSAGE=line 3\nPRIORITY=6\nCONTAINER_ID=abababababab\n",
  );
  expect(peer.received[2]?.toString()).toEndWith("\nK=v\n");
}, 30_000);

test("fluentd: a batch that is not acknowledged is sent again, once it is not", async () => {
  const path = newPath();
  appendFileSync(path, lines(1, 4));
  let batches = 0;
  const peer = await opened(
    streamPeer({
      onData: (socket, chunk) => {
        batches += 1;
        if (batches === 1) {
          socket.destroy();
          return;
        }
        const at = chunk.toString("latin1").lastIndexOf("\xa5chunk") + 6;
        const id = chunk.subarray(at); // a MessagePack string
        socket.write(Buffer.concat([Buffer.from("\x81\xa3ack", "latin1"), id]));
      },
    }),
  );
  const log = await ship(path, {
    ...{ kind: "fluentd", subSecond: true, requestAck: true, reconnectIntervalMs: 0 },
    ...{ writeTimeoutMs: 0, readTimeoutMs: 0 },
    address: { transport: "tcp", host: "127.0.0.1", port: peer.port },
  });
  expect(await log.shipped(5000)).toBe(true);
  expect(batches).toBe(2);
  const again = peer.received[1]?.toString("latin1") ?? "";
  expect(numbers(again)).toEqual(range(1, 4));
  expect(again).toContain("\xaccontainer_id");
  expect(again).toContain("\xd7\0");
}, 30_000);
