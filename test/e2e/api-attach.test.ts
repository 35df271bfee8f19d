import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NaruError } from "../../src/base/mod.ts";
import {
  exchange,
  type FakeEngine,
  FakeStdio,
  fakeEngine,
  post,
  RawClient,
  UPGRADE,
} from "./api-fakes.ts";

const stdios = new Map<string, FakeStdio>();
let engine: FakeEngine;

function stdioOf(ref: string): FakeStdio {
  const found = stdios.get(ref);
  if (found === undefined) throw new NaruError("not_found", `No such container: ${ref}`);
  return found;
}

function newStdio(name: string, tty: boolean): FakeStdio {
  const stdio = new FakeStdio();
  stdio.tty = tty;
  stdios.set(name, stdio);
  return stdio;
}

beforeAll(async () => {
  engine = await fakeEngine({
    containers: {
      isTty: (ref) => stdioOf(ref).tty,
      attach: async (ref, client, options) => stdioOf(ref).session(client, options.stdin),
      execInfo: (id) => ({ tty: stdioOf(id).tty, attachStdin: true, detachKeys: "" }),
      execStart: async (id, _options, client) => {
        if (id === "bad") throw new NaruError("invalid_argument", "no such command");
        if (client === undefined)
          return { stdio: undefined, done: Promise.resolve(), detach: () => undefined };
        const session = stdioOf(id).session(client);
        const stdio = {
          attach: () => () => undefined,
          writeStdin: (bytes: Uint8Array) => session.stdin?.write(bytes) ?? Promise.resolve(),
          closeStdin: () => session.stdin?.close(),
          ended: session.done,
          drained: () => session.done,
          close: () => undefined,
        };
        return { stdio, done: session.done, detach: () => session.detach() };
      },
    },
  });
});
afterAll(() => engine.close());

/** `text` as one multiplexed frame. */
function frame(stream: number, text: string): string {
  const head = Buffer.from([stream, 0, 0, 0, 0, 0, 0, text.length]);
  return head.toString("latin1") + text;
}

function attachRequest(
  name: string,
  headers: readonly string[],
  query = "stream=1&stdin=1&stdout=1&stderr=1",
): string {
  const lines = [`POST /v1.44/containers/${name}/attach?${query} HTTP/1.1`, "Host: x", ...headers];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

describe.each([
  ["with Upgrade", UPGRADE, "HTTP/1.1 101 UPGRADED", "vnd.docker.multiplexed-stream"],
  ["without Upgrade", [], "HTTP/1.1 200 OK", "vnd.docker.raw-stream"],
])("hijack %s", (how, headers, statusLine, mediaType) => {
  test("attach: input in the same packet, half-close, output after it", async () => {
    const stdio = newStdio(`a${how.length}`, false);
    const client = new RawClient(engine.socketPath);
    client.send(attachRequest(`a${how.length}`, headers));
    await client.says("\r\n\r\n");
    client.send("one");
    await client.says(frame(1, "got one"));
    client.socket.end();
    const all = await client.end();
    expect(all).toStartWith(statusLine);
    expect(all).toContain(`Content-Type: application/${mediaType}`);
    expect(all).toContain("Server: Docker/0.1.0 (linux)");
    expect(all).toEndWith(frame(1, "got one") + frame(2, "eof\n"));
    expect(stdio.stdinText).toBe("one");
    expect(stdio.stdinClosed).toBe(true);
  });

  test("exec start: head, body and first bytes in one packet", async () => {
    const name = `e${how.length}`;
    const stdio = newStdio(name, false);
    const client = new RawClient(engine.socketPath);
    client.send(`${post(`/exec/${name}/start`, '{"Detach":false}', headers)}first`);
    await client.says(frame(1, "got first"));
    client.send("second");
    await client.says(frame(1, "got second"));
    client.socket.end();
    expect(await client.end()).toStartWith(statusLine);
    expect(stdio.stdinText).toBe("firstsecond");
  });

  test("exec start: head, body and input in three packets, chunked", async () => {
    const name = `c${how.length}`;
    newStdio(name, true);
    const client = new RawClient(engine.socketPath);
    const lines = [
      `POST /exec/${name}/start HTTP/1.1`,
      "Host: x",
      "Content-Type: application/json",
      ...headers,
    ];
    client.send(`${lines.join("\r\n")}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    await Bun.sleep(20);
    client.send("2\r\n{}\r\n0\r\n\r\n");
    await client.says("\r\n\r\n");
    client.send("x");
    await client.says("got x");
    expect(client.text).toContain("Content-Type: application/vnd.docker.raw-stream");
    client.socket.destroy();
  });

  test("a client that goes away is detached", async () => {
    const name = `g${how.length}`;
    const stdio = newStdio(name, false);
    const client = new RawClient(engine.socketPath);
    client.send(attachRequest(name, headers, "stream=1&stdout=1"));
    await client.says("\r\n\r\n");
    client.socket.destroy();
    await client.until(() => stdio.detached > 0);
    expect(stdio.detached).toBe(1);
  });

  test("errors keep their status", async () => {
    const missing = await exchange(engine.socketPath, attachRequest("nothing", headers));
    expect([missing.status, missing.body]).toEqual([404, "No such container: nothing\r\n"]);
    const malformed = await exchange(engine.socketPath, post("/exec/x/start", "{", headers));
    expect(malformed.status).toBe(400);
    const old = await exchange(engine.socketPath, post("/v1.10/exec/x/start", "{}", headers));
    expect(old.status).toBe(400);
    newStdio("tk", true);
    const keys = await exchange(
      engine.socketPath,
      attachRequest("tk", headers, "detachKeys=nonsense"),
    );
    expect([keys.status, keys.body]).toEqual([400, "Invalid detach keys (nonsense) provided\r\n"]);
  });

  test("exec start with Detach is 200 and empty; a failing command speaks in the stream", async () => {
    newStdio("bad", false);
    newStdio("quiet", false);
    const done = await exchange(
      engine.socketPath,
      post("/exec/quiet/start", '{"Detach":true}', headers),
    );
    expect([done.status, done.body]).toEqual([200, ""]);
    const bad = new RawClient(engine.socketPath).send(post("/exec/bad/start", "{}", headers));
    expect(await bad.end()).toEndWith(frame(1, "no such command\r\n"));
  });
});

test("a client that reads only and ends its side stays attached", async () => {
  const stdio = newStdio("reader", false);
  const client = new RawClient(engine.socketPath);
  client.send(attachRequest("reader", UPGRADE, "stream=1&stdout=1"));
  await client.says("\r\n\r\n");
  client.socket.end();
  await Bun.sleep(50);
  await stdio.client?.write("stdout", Buffer.from("late"));
  stdio.finish();
  expect(await client.end()).toEndWith(frame(1, "late"));
  expect(stdio.detached).toBe(1); // when the connection closed; detaching twice is harmless
});

test("a tty is raw, and the detach keys end the stream", async () => {
  const stdio = newStdio("tty", true);
  const client = new RawClient(engine.socketPath).send(attachRequest("tty", UPGRADE));
  await client.says("\r\n\r\n");
  client.send("x\u0010");
  await client.says("got x");
  client.send("y\u0010\u0011z");
  await client.end();
  expect(stdio.stdinText).toBe("x\u0010y");
  expect(stdio.detached).toBe(1);
  expect(client.text).toContain("vnd.docker.raw-stream");
});

test("a lagging client holds the writer back", async () => {
  const stdio = newStdio("lag", false);
  const client = new RawClient(engine.socketPath).send(
    attachRequest("lag", UPGRADE, "stream=1&stdout=1"),
  );
  await client.says("\r\n\r\n");
  client.socket.pause();
  let written = 0;
  const piece = new Uint8Array(256 * 1024);
  const writing = (async () => {
    for (let count = 0; count < 64; count++) {
      await stdio.client?.write("stdout", piece);
      written += 1;
    }
  })();
  await Bun.sleep(150);
  expect(written).toBeLessThan(32);
  client.socket.resume();
  await writing;
  stdio.finish();
  await client.end();
  expect(client.received.length).toBeGreaterThanOrEqual(64 * piece.length);
});

test("a slow reader gets the tail after the end", async () => {
  const stdio = newStdio("tail", false);
  const client = new RawClient(engine.socketPath);
  client.send(attachRequest("tail", UPGRADE, "stream=1&stdout=1"));
  await client.says("\r\n\r\n");
  client.socket.pause();
  const big = new Uint8Array(4 * 1024 * 1024);
  const writing = stdio.client?.write("stdout", big);
  stdio.finish();
  await Bun.sleep(1_300); // longer than the engine lingers after its last byte
  client.socket.resume();
  await writing;
  await client.end();
  expect(client.received.length).toBeGreaterThanOrEqual(big.length + 8);
});
