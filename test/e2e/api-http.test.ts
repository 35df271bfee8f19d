import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { NaruError } from "../../src/base/mod.ts";
import type { ContainerCreateBody } from "../../src/spec/mod.ts";
import { exchange, type FakeEngine, fakeEngine, post, RawClient } from "./api-fakes.ts";

let engine: FakeEngine;
let created: ContainerCreateBody | undefined;
let aborted = 0;
const logged: string[] = [];

async function* lines(
  signal: AbortSignal,
): AsyncGenerator<{ stream: "stdout"; timeNs: bigint; bytes: Uint8Array }> {
  yield { stream: "stdout", timeNs: 1_500_000_000_100_000_000n, bytes: Buffer.from("one\n") };
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  aborted += 1;
}

beforeAll(async () => {
  const logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (message: string) => void logged.push(message),
    with: () => logger,
  };
  engine = await fakeEngine({
    logger,
    uploadIdleMs: 300,
    containers: {
      create: async (body) => {
        created = body;
        return { id: "f".repeat(64), warnings: [] };
      },
      list: async (options) => {
        if (options.filters.has("id")) throw new TypeError("secret internals");
        return [];
      },
      start: async (ref) => {
        if (ref === "running") throw new NaruError("not_modified", "already");
      },
      stop: async () => undefined,
      inspect: async (ref) => {
        throw new NaruError("not_found", `No such container: ${ref}`);
      },
      logs: async (_ref, options) => ({
        tty: false,
        attributePrefix: "a=b ",
        entries: lines(options.signal),
      }),
      wait: async (_ref, _condition, signal) => ({
        result: new Promise((resolve, reject) => {
          setTimeout(() => resolve({ exitCode: 5, error: undefined }), 100);
          signal.addEventListener("abort", () => reject(new NaruError("cancelled", "gone")));
        }),
      }),
      resize: async () => undefined,
    },
    images: {
      load: async function* (source) {
        let bytes = 0;
        for await (const chunk of source) bytes += chunk.length;
        yield { stream: `Loaded image: ${bytes}\n` };
        if (bytes === 5) throw new NaruError("damaged", "broken later");
      },
      import: async function* () {
        yield* [];
        throw new NaruError("invalid_argument", "run is not a valid change command");
      },
      history: async (name) => {
        throw new NaruError("not_found", `No such image: ${name}`);
      },
    },
    events: {
      subscribe: async function* (query) {
        yield {
          Type: "container",
          Action: "start",
          Actor: { ID: "c1", Attributes: { image: "i" } },
          scope: "local",
          time: 1_700_000_000,
          timeNano: "1700000000123456789",
        };
        if (query.untilNs !== undefined) return;
        await new Promise<void>((resolve) =>
          query.signal.addEventListener("abort", () => resolve()),
        );
        aborted += 1;
      },
    },
  });
});
afterAll(() => engine.close());

function get(
  path: string,
  headers: readonly string[] = [],
): Promise<{ status: number; head: string; body: string }> {
  return exchange(
    engine.socketPath,
    `GET ${path} HTTP/1.1\r\n${["Host: x", ...headers].join("\r\n")}\r\n\r\n`,
  );
}

function message(answer: { body: string }): string {
  return (JSON.parse(answer.body) as { message: string }).message;
}

describe("versions and routes", () => {
  test("ping", async () => {
    const ping = await get("/_ping");
    expect([ping.status, ping.body]).toEqual([200, "OK"]);
    for (const header of [
      "Api-Version: 1.56",
      "Ostype: linux",
      "Server: Docker/0.1.0 (linux)",
      "Docker-Experimental: false",
      "Builder-Version: 1",
      "Swarm: inactive",
    ]) {
      expect(ping.head).toContain(header);
    }
    const head = await exchange(engine.socketPath, "HEAD /v1.24/_ping HTTP/1.1\r\nHost: x\r\n\r\n");
    expect([head.status, head.body]).toEqual([200, ""]);
    expect(head.head).toContain("Content-Length: 0");
  });

  test.each([
    [
      "/v1.23/version",
      400,
      "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ],
    [
      "/v1.9/version",
      400,
      "client version 1.9 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ],
    [
      "/v1.57/version",
      400,
      "client version 1.57 is too new. Maximum supported API version is 1.56",
    ],
    ["/v2.0/version", 400, "client version 2.0 is too new. Maximum supported API version is 1.56"],
    ["/vx/version", 404, "page not found"],
    ["/nothing", 404, "page not found"],
    ["/", 404, "page not found"],
    ["/containers/create", 404, "page not found"],
    ["/containers/%zz/json", 400, "malformed escape in the path"],
    ["/v1.44/containers/%2Ftwo/json", 404, "No such container: /two"],
    ["/images/a%2Fb/history", 404, "No such image: a/b"],
    ["/images/localhost:5000/a/b:c/history", 404, "No such image: localhost:5000/a/b:c"],
    [
      "/swarm",
      503,
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    ],
    ["/containers/json?limit=x", 400, 'strconv.Atoi: parsing "x": invalid syntax'],
    ['/containers/json?filters={"nonsense":["x"]}', 400, "invalid filter 'nonsense'"],
    ["/containers/json?filters=[]", 400, "filters: want an object of lists"],
    ["/events?since=20&until=10", 400, "`since` time (20) cannot be after `until` time (10)"],
    ["/events?since=yesterday", 400, 'invalid time "yesterday": want RFC 3339'],
    ["/containers/x/logs", 400, "Bad parameters: you must choose at least one stream"],
  ])("%s is %d", async (path, status, text) => {
    const answer = await get(path);
    expect([answer.status, message(answer)]).toEqual([status, text]);
    expect(answer.head).toContain("Content-Type: application/json");
    expect(answer.head).toContain("Api-Version: 1.56");
  });

  test("double slashes are sent to the cleaned path", async () => {
    const answer = await get("/v1.44/containers//json?a=1");
    expect(answer.status).toBe(301);
    expect(answer.head).toContain("Location: /v1.44/containers/json?a=1");
  });

  test("a bug shows a number and no internals", async () => {
    const answer = await get('/containers/json?filters={"id":["x"]}');
    expect(answer.status).toBe(500);
    expect(answer.body).not.toContain("secret");
    expect(logged.join()).toContain("secret internals");
  });

  test("info has every field of the contract, older versions theirs", async () => {
    const newest = JSON.parse((await get("/info")).body);
    expect(Object.keys(newest)).toHaveLength(62);
    expect(newest.RegistryConfig.IndexConfigs["docker.io"].Official).toBe(true);
    const old = JSON.parse((await get("/v1.24/info")).body);
    expect(old).toHaveProperty("ExecutionDriver");
    const version = JSON.parse((await get("/version")).body);
    expect(version).toMatchObject({
      ApiVersion: "1.56",
      MinAPIVersion: "1.24",
      Os: "linux",
      Arch: "amd64",
    });
  });
});

describe("bodies", () => {
  test("create: names fold, unknown fields are ignored, zero values are filled in", async () => {
    const answer = await exchange(
      engine.socketPath,
      post(
        "/v1.44/containers/create?name=web",
        '{"image":"b","cmd":"id","HOSTCONFIG":{"memory":7},"Future":{"x":1},"__proto__":{"Tty":true}}',
      ),
    );
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      201,
      { Id: "f".repeat(64), Warnings: [] },
    ]);
    expect(created).toMatchObject({
      Image: "b",
      Cmd: ["id"],
      Tty: false,
      Env: null,
      HostConfig: { Memory: 7, Binds: null },
    });
  });

  test.each([
    ["{", "invalid JSON"],
    ["", "got EOF while reading request body"],
    ["[]", "request body: want an object, got []"],
    ["null", "Config cannot be empty in order to create a container"],
    [
      '{"Image":"x","HostConfig":{"Memory":"abc"}}',
      'HostConfig.Memory: want a whole number, got "abc"',
    ],
    [
      '{"Image":"x","HostConfig":{"Memory":9007199254740993}}',
      "HostConfig.Memory: want a whole number from",
    ],
    [
      '{"Image":"x","HostConfig":{"PortBindings":{"x/tcp":[]}}}',
      'HostConfig.PortBindings: invalid port specification: "x/tcp"',
    ],
    ["[".repeat(5000), "nested deeper"],
  ])("create refuses %p", async (body, text) => {
    const answer = await exchange(engine.socketPath, post("/containers/create", body));
    expect(answer.status).toBe(400);
    expect(message(answer)).toContain(text);
  });

  test("10 MB of JSON is refused, with and without a length", async () => {
    const big = `{"Image":"${"x".repeat(10_000_000)}"}`;
    expect((await exchange(engine.socketPath, post("/containers/create", big))).status).toBe(413);
    const client = new RawClient(engine.socketPath);
    client.send(
      "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    const piece = "x".repeat(65_536);
    for (let count = 0; count < 160 && !client.ended; count++) client.send(`10000\r\n${piece}\r\n`);
    await client.says("HTTP/1.1 413");
    client.socket.destroy();
  });

  test("Content-Type must be JSON's", async () => {
    const wrong = post("/containers/create", "{}").replace("application/json", "text/plain");
    const answer = await exchange(engine.socketPath, wrong);
    expect([answer.status, message(answer)]).toEqual([
      400,
      "Content-Type specified (text/plain) must be 'application/json'",
    ]);
    const charset = post("/containers/create", '{"Image":"x"}').replace(
      "application/json",
      "application/json; charset=utf-8",
    );
    expect((await exchange(engine.socketPath, charset)).status).toBe(201);
  });

  test("start with a body", async () => {
    expect((await exchange(engine.socketPath, post("/containers/c/start", "{}"))).status).toBe(204);
    expect(
      (await exchange(engine.socketPath, post("/containers/c/start", '{"Binds":[]}'))).status,
    ).toBe(400);
    const same = await exchange(
      engine.socketPath,
      "POST /containers/running/start HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    expect([same.status, same.body]).toEqual([304, ""]);
  });

  test("a start from a checkpoint is refused, and never is a start afresh", async () => {
    for (const query of ["checkpoint=one", "checkpoint-dir=/x"]) {
      const path = `/containers/c/start?${query}`;
      const answer = await exchange(engine.socketPath, post(path, ""));
      expect([answer.status, answer.body]).toEqual([501, expect.stringContaining("CRIU")]);
    }
  });

  test("an upload streams; one that stalls is dropped; one that is cut off is no fault", async () => {
    const whole = await exchange(
      engine.socketPath,
      `POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`,
    );
    expect(whole.body).toContain('{"stream":"Loaded image: 3\\n"}\r\n');
    const later = await exchange(
      engine.socketPath,
      `POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde`,
    );
    expect(later.body).toContain(
      '{"errorDetail":{"message":"broken later"},"error":"broken later"}\r\n',
    );
    const stalled = await exchange(
      engine.socketPath,
      `POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc`,
    );
    expect([stalled.status, message(stalled)]).toEqual([
      400,
      "no bytes of the request body arrived for 300 ms",
    ]);
    const before = logged.length;
    const cut = new RawClient(engine.socketPath).send(
      `POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc`,
    );
    await Bun.sleep(20);
    cut.socket.destroy();
    await Bun.sleep(50);
    expect(logged.length).toBe(before);
    const import400 = await exchange(
      engine.socketPath,
      `POST /images/create?fromSrc=- HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`,
    );
    expect(import400.status).toBe(400);
    const url = await exchange(
      engine.socketPath,
      "POST /images/create?fromSrc=http%3A%2F%2Fx%2Fy.tar HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    );
    expect([url.status, message(url)]).toEqual([
      501,
      expect.stringContaining("importing from a URL is not supported"),
    ]);
  });
});

describe("streams", () => {
  test("wait sends its head at once", async () => {
    const client = new RawClient(engine.socketPath).send(
      "POST /v1.44/containers/c/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    await client.says("\r\n\r\n");
    expect(client.text).not.toContain("StatusCode");
    await client.says('{"StatusCode":5}');
    client.socket.destroy();
    const odd = await exchange(
      engine.socketPath,
      "POST /containers/c/wait?condition=x HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    expect(odd.status).toBe(400);
    const old = await exchange(
      engine.socketPath,
      "POST /v1.29/containers/c/wait?condition=x HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    expect(old.head).toContain("Content-Length: 17");
  });

  test("logs: framed, time-stamped, and the reader stops when the client goes", async () => {
    const before = aborted;
    const client = new RawClient(engine.socketPath).send(
      "GET /v1.44/containers/c/logs?stdout=1&follow=1&timestamps=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    await client.says("2017-07-14T02:40:00.100000000Z one\n");
    expect(client.text).toContain("Content-Type: application/vnd.docker.multiplexed-stream");
    client.socket.destroy();
    await client.until(() => aborted > before);
    const old = new RawClient(engine.socketPath).send(
      "GET /v1.41/containers/c/logs?stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    await old.says("one\n");
    expect(old.text).toContain("Content-Type: application/vnd.docker.raw-stream");
    old.socket.destroy();
  });

  test("events: shape by version, exact nanoseconds, end when until is over or the client goes", async () => {
    const newest = await get("/events?until=1");
    expect(newest.body).toContain('"timeNano":1700000000123456789}\n');
    expect(newest.body).not.toContain('"status"');
    const old = await get("/v1.41/events?until=1");
    expect(old.body).toContain(
      '{"status":"start","id":"c1","from":"i","Type":"container","Action":"start"',
    );
    const sequence = await get("/events?until=1", ["Accept: application/json-seq"]);
    expect(sequence.head).toContain("Content-Type: application/json-seq");
    const before = aborted;
    const client = new RawClient(engine.socketPath).send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    await client.says("timeNano");
    client.socket.destroy();
    await client.until(() => aborted > before);
  });
});

describe("header tricks", () => {
  test.each([
    [
      "two lengths",
      "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      400,
    ],
    [
      "length and chunks",
      "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["no HTTP at all", "garbage\r\n\r\n", 400],
    ["a NUL in the path", "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["an endless header", `GET /_ping HTTP/1.1\r\nX: ${"a".repeat(400_000)}\r\n\r\n`, 431],
    ["no host", "GET /_ping HTTP/1.1\r\n\r\n", 200],
    ["HTTP/1.0", "GET /_ping HTTP/1.0\r\n\r\n", 200],
    ["the absolute form", "GET http://docker/v1.44/_ping HTTP/1.1\r\nHost: x\r\n\r\n", 200],
    [
      "an upgrade that nobody offers",
      "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
      200,
    ],
    [
      "a long registry header",
      `GET /_ping HTTP/1.1\r\nHost: x\r\nX-Registry-Config: ${"a".repeat(100_000)}\r\n\r\n`,
      200,
    ],
  ])("%s", async (_name, request, status) => {
    expect((await exchange(engine.socketPath, request)).status).toBe(status);
  });

  test("two requests in one packet get two answers in order", async () => {
    const client = new RawClient(engine.socketPath);
    client.send("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    await client.says("page not found");
    expect(client.text.indexOf("200 OK")).toBeLessThan(client.text.indexOf("404 Not Found"));
    client.socket.destroy();
  });

  test("a client that ends its side after the request gets its answer", async () => {
    const client = new RawClient(engine.socketPath);
    client.send("POST /v1.44/containers/c/wait HTTP/1.1\r\nHost: x\r\n\r\n");
    client.socket.end();
    await client.says('{"StatusCode":5}');
  });
});
