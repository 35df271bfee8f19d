/**
 * Requests that are wrong: each is refused with a 4xx that says what is wrong, the engine stays as it
 * is, and nothing is left. Archives that are wrong are in bad-archives.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { exchange, RawClient } from "./api-fakes.ts";
import { BAD_CONFIG, BAD_HOST, type BadBody, NOT_JSON, UNSUPPORTED } from "./bad-bodies.ts";
import { residentBytes } from "./resident.ts";

const TEST_TIMEOUT_MS = 40_000;
const MIB = 1024 * 1024;
const GROWTH_BYTES_MAX = 80 * MIB; // a heap that has seen 10 MB bodies; a leak of them is more

let engine: TestEngine;
let enginePid: number;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

function post(path: string, body: string, type: string = "application/json"): Promise<Response> {
  return engine.fetch(path, { method: "POST", headers: { "Content-Type": type }, body });
}

async function messageOf(response: Response): Promise<string> {
  const text = await response.text();
  const { message } = JSON.parse(text) as { message?: unknown };
  if (typeof message !== "string") throw new Error(`no message: ${text}`);
  return message;
}

/** Status and message must name the field, and nothing may be made. */
async function expectRefused(cases: readonly BadBody[], low: number, high: number): Promise<void> {
  const wrong: unknown[] = [];
  for (const { field, body, says } of cases) {
    const response = await post("/containers/create?name=bad", JSON.stringify(body));
    const message = await messageOf(response).catch(String);
    const named = message.toLowerCase().includes(says.toLowerCase());
    if (response.status < low || response.status > high || !named) {
      wrong.push({ field, body, status: response.status, message });
    }
    if (response.ok) await engine.removeContainers();
  }
  expect(wrong).toEqual([]);
}

describe.skipIf(!privileged())("bad requests", () => {
  beforeAll(async () => {
    engine = await startEngine();
    enginePid = engine.pid;
    const file = Bun.file((await busyboxFiles()).dockerArchive);
    await (await engine.fetch("/images/load", { method: "POST", body: file })).text();
  }, TEST_TIMEOUT_MS);
  afterAll(() => engine?.destroy(), TEST_TIMEOUT_MS);

  describe("bodies", bodyTests);
  describe("queries and paths", queryTests);
  describe("connections", connectionTests);
  its("after all of it: the same process, no containers, no folders, memory level", afterTest);
});

function bodyTests(): void {
  its("what is not JSON, or not an object", async () => {
    for (const [text, says] of NOT_JSON) {
      const response = await post("/containers/create", text);
      const message = await messageOf(response);
      expect([text.slice(0, 30), response.status, message]).toEqual([
        text.slice(0, 30),
        400,
        expect.stringContaining(says),
      ]);
    }
    const notUtf8 = Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31]);
    const head = "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
    const raw = Buffer.concat([Buffer.from(`${head}\r\nContent-Length: 7\r\n\r\n`), notUtf8]);
    expect((await exchange(engine.socket, raw)).status).toBe(400);
  });

  its("fields of the container", () => expectRefused(BAD_CONFIG, 400, 404));
  its("fields of the host's side", () => expectRefused(BAD_HOST, 400, 404));
  its("what is not done is refused by name", () => expectRefused(UNSUPPORTED, 501, 501));

  its("any JSON at all is answered, never with a failure of the engine", async () => {
    const seed = Number(process.env["NARU_TEST_SEED"] ?? Date.now() % 1_000_000);
    console.log(`bad-input seed ${seed}`);
    const keys = [...BAD_CONFIG, ...BAD_HOST].map(({ field }) => field);
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom<unknown>(-1, 2 ** 53, 1e308, "\0", "/", "..", "a".repeat(5000)),
    );
    const fields = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(fields, fields, async (own, HostConfig) => {
        const body = JSON.stringify({ ...own, Image: "busybox", HostConfig });
        const response = await post("/containers/create", body);
        const text = await response.text();
        if (response.status >= 500 && response.status !== 501) throw new Error(text);
        if (response.ok) await engine.removeContainers();
      }),
      { numRuns: 150, seed },
    );
  });

  its("10 MB bodies are refused without being kept", async () => {
    const big = JSON.stringify({ Image: "x".repeat(10 * MIB) });
    for (let count = 0; count < 8; count += 1) {
      const response = await post("/containers/create", big);
      expect(response.status).toBe(413);
      expect(await messageOf(response)).toContain("larger than");
    }
    expect((await post("/containers/create", "{}", "text/plain")).status).toBe(400);
  });
}

function queryTests(): void {
  its("names, signals, sizes, filters, times", async () => {
    const made = await post("/containers/create?name=good", '{"Image":"busybox","Cmd":["true"]}');
    const { Id } = (await made.json()) as { Id: string };
    const cases: [method: string, path: string, status: number, says: string][] = [
      ["POST", "/containers/create?name=a%20b", 400, "Invalid container name (a b)"],
      ["POST", "/containers/create?name=..%2Fx", 400, "Invalid container name"],
      ["POST", "/containers/create?name=-x", 400, "Invalid container name"],
      ["POST", "/containers/create?name=good", 409, "already in use"],
      ["POST", "/containers/create?platform=windows%2Famd64", 404, "windows"],
      ["POST", `/containers/${Id}/rename?name=`, 400, "name"],
      ["POST", `/containers/${Id}/rename?name=%2e%2e`, 400, "Invalid container name"],
      ["POST", `/containers/${Id}/kill?signal=NOPE`, 400, "NOPE"],
      ["POST", `/containers/${Id}/stop?t=soon`, 400, "soon"],
      ["POST", `/containers/${Id}/resize?h=x&w=5`, 400, "x"],
      ["POST", `/containers/${Id}/wait?condition=never`, 400, "never"],
      ["GET", "/containers/json?limit=many", 400, "many"],
      ["GET", "/containers/json?filters=%7B", 400, "filters"],
      ["GET", "/containers/json?filters=%7B%22label%22%3A5%7D", 400, "filters"],
      ["GET", "/containers/json?filters=%7B%22colour%22%3A%5B%22x%22%5D%7D", 400, "colour"],
      ["GET", "/images/json?filters=%7B%22colour%22%3A%5B%22x%22%5D%7D", 400, "colour"],
      ["GET", `/containers/${Id}/logs`, 400, "at least one stream"],
      ["GET", `/containers/${Id}/logs?stdout=1&since=yesterday`, 400, "yesterday"],
      ["GET", "/events?since=yesterday", 400, "yesterday"],
      ["GET", "/containers/..%2F..%2Fetc/json", 404, "No such container"],
      ["GET", "/containers/%00/json", 404, "No such container"],
      ["GET", "/containers/%FF%FE/json", 400, ""],
      ["GET", "/images/UPPER/json", 400, "reference"],
      ["GET", "/images/..%2F..%2Fetc%2Fpasswd/json", 400, "reference"],
      ["POST", "/images/busybox/tag?repo=UPPER", 400, "reference"],
      ["POST", "/images/busybox/tag?repo=a&tag=b%2Fc", 400, "tag"],
      ["DELETE", "/images/nothing", 404, "No such image"],
      ["GET", "/v1.10/containers/json", 400, "too old"],
      ["GET", "/v9.99/containers/json", 400, "too new"],
      ["GET", "/no/such/route", 404, "page not found"],
      ["PATCH", "/containers/json", 404, ""],
    ];
    const wrong: unknown[] = [];
    for (const [method, path, status, says] of cases) {
      const body = method === "POST" ? '{"Image":"busybox"}' : undefined;
      const headers = { "Content-Type": "application/json" };
      const init = body === undefined ? { method } : { method, body, headers };
      const answer = await engine.fetch(path, init);
      const message = await messageOf(answer).catch(String);
      const same = answer.status === status || (status === 404 && answer.status === 405);
      if (!same || !message.includes(says)) wrong.push([method, path, answer.status, message]);
    }
    expect(wrong).toEqual([]);
    await engine.removeContainers();
  });
}

function connectionTests(): void {
  const head = "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

  its("header tricks", async () => {
    const cases: [request: string, statuses: readonly number[]][] = [
      ["GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", [400]],
      ["GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n", [400]],
      [`${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, [400]],
      [`${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`, [400]],
      [`${head}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n`, [400]],
      ["GET / HTTP/9.9\r\n\r\n", [400, 505]],
      ["GET /_ping HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", [400]],
      [`GET /_ping HTTP/1.1\r\nHost: x\r\nA: ${"x".repeat(400_000)}\r\n\r\n`, [431, 400]],
      [`GET /${"x".repeat(400_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [404, 414, 431, 400]],
      ["\0\0\0\r\n\r\n", [400]],
      ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]], // a TLS greeting
    ];
    const wrong: unknown[] = [];
    for (const [request, statuses] of cases) {
      const client = new RawClient(engine.socket).send(Buffer.from(request, "latin1"));
      const text = await Promise.race([client.end(), Bun.sleep(4000).then(() => client.text)]);
      client.socket.destroy();
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
      if (!statuses.includes(status)) wrong.push([request.slice(0, 90), text.slice(0, 200)]);
    }
    expect(wrong).toEqual([]);
  });

  its("a body byte by byte is taken; one that is cut off makes nothing", async () => {
    const body = '{"Image":"busybox","Cmd":["true"]}';
    const slow = new RawClient(engine.socket);
    for (const char of `${head}Content-Length: ${body.length}\r\n\r\n${body}`) {
      slow.send(char);
      await Bun.sleep(1);
    }
    await slow.says("HTTP/1.1 201");
    slow.socket.destroy();
    await engine.removeContainers();
    const request = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    for (let at = 1; at < request.length; at += 7) {
      const cut = new RawClient(engine.socket).send(request.slice(0, at));
      await Bun.sleep(2);
      cut.socket.destroy();
    }
    await Bun.sleep(50);
    expect(await (await engine.fetch("/containers/json?all=1")).json()).toEqual([]);
  });

  its("300 silent connections do not keep others out, and are let go", async () => {
    const silent = Array.from({ length: 300 }, (_, index) =>
      new RawClient(engine.socket).send(index % 2 === 0 ? "" : "GET /_ping HT"),
    );
    await Bun.sleep(50);
    const startedMs = performance.now();
    expect((await engine.fetch("/containers/json")).status).toBe(200);
    expect(performance.now() - startedMs).toBeLessThan(1000);
    for (const client of silent) client.socket.destroy();
  });

  its("headers that never end are answered 408 or dropped", async () => {
    const client = new RawClient(engine.socket).send("GET /_ping HTTP/1.1\r\nHost: x\r\nX: ");
    await client.until(() => client.ended, 20_000);
    expect(client.text === "" || client.text.startsWith("HTTP/1.1 408")).toBe(true);
  });
}

async function afterTest(): Promise<void> {
  expect(engine.pid).toBe(enginePid);
  expect((await engine.fetch("/_ping")).status).toBe(200);
  expect(await (await engine.fetch("/containers/json?all=1")).json()).toEqual([]);
  expect(readdirSync(join(engine.dataRoot, "containers"))).toEqual([]);
  expect(readFileSync(engine.logFile, "utf8")).not.toMatch(/level=error/);
  await warmUp();
  const before = residentBytes(enginePid);
  for (let round = 0; round < 3; round += 1) await warmUp();
  const after = residentBytes(enginePid);
  console.log(`resident: ${Math.round(before / MIB)} MiB, later ${Math.round(after / MIB)} MiB`);
  expect(after - before).toBeLessThan(GROWTH_BYTES_MAX);
}

/** One round of what is expensive to refuse. */
async function warmUp(): Promise<void> {
  const big = JSON.stringify({ Image: "x".repeat(9 * MIB) });
  for (let count = 0; count < 5; count += 1) await (await post("/containers/create", big)).text();
  const deep = `${'{"a":'.repeat(100_000)}1`;
  for (let count = 0; count < 5; count += 1) await (await post("/containers/create", deep)).text();
  for (const { body } of BAD_HOST) {
    await (await post("/containers/create", JSON.stringify(body))).text();
  }
}
