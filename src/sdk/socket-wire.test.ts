import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection } from "../../test/fakes/rejection.ts";
import { createEngineClient, type EngineClient } from "./client.ts";
import { readText } from "./engine-caller.ts";
import { parseHost } from "./host.ts";

const undo: (() => void)[] = [];
afterEach(() => {
  for (const action of undo.splice(0)) action();
});

/** A peer that answers each request it sees in full with the next of `answers`, then closes or not. */
function peer(answers: readonly string[], options: { close?: boolean } = {}): EngineClient {
  const folder = mkdtempSync(join(tmpdir(), "naru-sdk-"));
  const path = join(folder, "s");
  let next = 0;
  const server = Bun.listen({
    unix: path,
    socket: {
      data(socket): void {
        const answer = answers[next++];
        if (answer !== undefined) socket.write(answer);
        if (options.close === true) socket.end();
      },
    },
  });
  const client = createEngineClient({ host: `unix://${path}`, apiVersion: "1.45" });
  undo.push(() => {
    client.close();
    server.stop(true);
    rmSync(folder, { recursive: true, force: true });
  });
  return client;
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";

test("one connection carries several requests", async () => {
  const client = peer([`${OK}{"a":1}`, `${OK}{"a":2}`]);
  expect(await client.json<object>("GET", "/x")).toEqual({ a: 1 });
  expect(await client.json<object>("GET", "/x")).toEqual({ a: 2 });
});

test("chunks are put together, extensions and trailers skipped", async () => {
  const client = peer([
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
  ]);
  expect(await readText(await client.call("GET", "/x"))).toBe("abc0123456789");
});

test("a body without a length ends with the connection", async () => {
  const client = peer(["HTTP/1.1 200 OK\r\n\r\ntext"], { close: true });
  expect(await readText(await client.call("GET", "/x"))).toBe("text");
});

test("an error status becomes a kind and the engine's message", async () => {
  const body = '{"message":"No such container: x"}';
  const client = peer([`HTTP/1.1 404 Not Found\r\nContent-Length: ${body.length}\r\n\r\n${body}`]);
  expect(await rejection(client.containers.inspect("x"))).toMatchObject({
    kind: "not_found",
    message: "No such container: x",
  });
});

test("304 of start and stop is success", async () => {
  const client = peer(["HTTP/1.1 304 Not Modified\r\n\r\n"]);
  await client.containers.start("x");
});

for (const [name, answer] of [
  ["cut off within the body", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"],
  ["cut off within the headers", "HTTP/1.1 200 OK\r\nConte"],
  ["not HTTP at all", "hello\r\n\r\n"],
  ["nothing", ""],
] as const) {
  test(`an answer that is ${name} is unavailable`, async () => {
    const client = peer([answer], { close: true });
    expect(await rejection(client.json("GET", "/x"))).toMatchObject({ kind: "unavailable" });
  });
}

test("an aborted request ends at once", async () => {
  const client = peer([]);
  const abort = new AbortController();
  const call = client.call("GET", "/x", { signal: abort.signal });
  abort.abort();
  expect(await rejection(call)).toMatchObject({ kind: "cancelled" });
});

test("a hijacked stream is half-closed and read to its end", async () => {
  const head = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst";
  const client = peer([head, "second"], { close: false });
  const stream = await client.hijack("/containers/x/attach");
  expect(Buffer.from((await stream.read()) ?? []).toString()).toBe("first");
  await stream.write(Buffer.from("in"));
  expect(Buffer.from((await stream.read()) ?? []).toString()).toBe("second");
  stream.closeWrite();
  expect(await stream.read()).toBeNull();
});

test("hosts", () => {
  expect(parseHost("unix:///run/x.sock", false)).toEqual({ kind: "unix", path: "/run/x.sock" });
  expect(parseHost("tcp://h", true)).toEqual({ kind: "tcp", hostname: "h", port: 2376, tls: true });
  expect(parseHost("tcp://[::1]:9", false)).toMatchObject({ hostname: "::1", port: 9 });
  for (const bad of ["", "x", "ftp://h", "tcp://h:99999", "unix://"]) {
    expect(() => parseHost(bad, false)).toThrow("invalid host");
  }
});

test("an event keeps all digits of its time", async () => {
  const line =
    '{"Type":"image","Action":"tag","Actor":{"ID":"x"},"time":1,"timeNano":1795217584038501207}';
  const client = peer([`HTTP/1.1 200 OK\r\n\r\n${line}\n${line}`], { close: true });
  const times: bigint[] = [];
  for await (const event of await client.system.events({})) times.push(event.timeNano);
  expect(times).toEqual([1795217584038501207n, 1795217584038501207n]);
});
