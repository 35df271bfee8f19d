/** Random requests against the Engine API: whatever the client gets wrong is never a 500, and the server stays up. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { engineOperations } from "../../src/api/mod.ts";
import { exchange, type FakeEngine, fakeEngine, RawClient } from "../e2e/api-fakes.ts";
import { FUZZ_FACTOR, FUZZ_LIMIT_MS, fuzzSeed } from "./seed.ts";

const seed = fuzzSeed("api.test.ts");
const RUNS = 300 * FUZZ_FACTOR;

let engine: FakeEngine;
const faults: string[] = [];

beforeAll(async () => {
  const logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (message: string) => void faults.push(message),
    with: () => logger,
  };
  engine = await fakeEngine({ logger, uploadIdleMs: 200 });
});
afterAll(() => engine.close());

const NAMES = [
  "all",
  "limit",
  "filters",
  "size",
  "h",
  "w",
  "t",
  "signal",
  "condition",
  "stdout",
  "stderr",
  "since",
  "until",
  "tail",
  "name",
  "detachKeys",
  "fromSrc",
  "fromImage",
  "repo",
  "changes",
  "v",
  "force",
  "link",
];
const VALUES = [
  "1",
  "0",
  "-1",
  "",
  "x",
  "%zz",
  "99999999999999999999",
  "%00",
  "{}",
  "[]",
  '{"label":["a"]}',
  '{"label":1}',
  "null",
  "-",
  "ctrl-p",
  "1.5",
  "2020-01-01T00:00:00Z",
  "../..",
  "a%2Fb",
];

const operation = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...engineOperations()) },
  fc
    .tuple(fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"), fc.webPath())
    .map(([method, path]) => `${method} ${path === "" ? "/" : path}`),
);
const segment = fc.constantFrom(
  "x",
  "%2F",
  "%",
  "%c0%af",
  "a/b",
  "..",
  ".",
  "sha256:00",
  "",
  "__proto__",
  "x".repeat(3_000),
  "json",
);
const queryText = fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...VALUES)), {
  maxLength: 4,
});
const version = fc.constantFrom(
  "",
  "/v1.24",
  "/v1.41",
  "/v1.56",
  "/v1.57",
  "/v0",
  "/v",
  "/v1.41.1",
);
const body = fc.oneof(
  fc.constant(""),
  fc.json(),
  fc.string(),
  fc.constantFrom(
    "{",
    '{"Image":1}',
    '{"Cmd":["x"]}',
    '{"Image":"x"}',
    "[".repeat(500),
    '{"HostConfig":{"Memory":"x"}}',
  ),
);
const headers = fc.subarray([
  "Content-Type: application/json",
  "Connection: Upgrade",
  "Upgrade: tcp",
  "Expect: 100-continue",
  "Accept: application/json-seq",
]);

test(
  "never a 500",
  async () => {
    await fc.assert(
      fc.asyncProperty(
        operation,
        segment,
        version,
        queryText,
        body,
        headers,
        async (what, param, prefix, query, text, extra) => {
          const [method = "", pattern = ""] = what.split(" ");
          const path = pattern.replace(/\{\w+\}/, () => param);
          const search = query.map(([name, value]) => `${name}=${value}`).join("&");
          const lines = [
            `${method} ${prefix}${path}?${search} HTTP/1.1`,
            "Host: x",
            ...extra,
            `Content-Length: ${Buffer.byteLength(text)}`,
          ];
          const request = Buffer.from(`${lines.join("\r\n")}\r\n\r\n${text}`);
          const client = new RawClient(engine.socketPath);
          client.send(request);
          await client.until(
            () =>
              client.ended ||
              /^HTTP\/1.1 [2-5]\d\d[\s\S]*\r\n\r\n/.test(
                client.text.replace(/^HTTP\/1.1 100.*\r\n\r\n/, ""),
              ),
          );
          client.socket.destroy();
          const status = Number(/^HTTP\/1.1 ([2-5]\d\d)/m.exec(client.text)?.[1]);
          expect([status, client.text.slice(0, 200), faults.join()]).toEqual([
            status,
            client.text.slice(0, 200),
            "",
          ]);
          expect(status).not.toBe(500);
          expect(status).toBeGreaterThanOrEqual(200);
        },
      ),
      { seed, numRuns: RUNS },
    );
  },
  FUZZ_LIMIT_MS,
);

test(
  "bytes that are no HTTP do not stop the server",
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const client = new RawClient(engine.socketPath);
        client.send(bytes);
        client.socket.end();
        await client.until(() => client.ended);
        client.socket.destroy();
      }),
      { seed, numRuns: Math.ceil(RUNS / 5) },
    );
    const ping = await exchange(engine.socketPath, "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n");
    expect([ping.status, faults]).toEqual([200, []]);
  },
  FUZZ_LIMIT_MS,
);
