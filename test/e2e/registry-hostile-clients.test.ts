/** Clients of the registry that break off, race, lie and dawdle; and servers that are killed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { startRegistry, type TestRegistry } from "../harness/registry.ts";
import { OCI_MANIFEST, RegistryRequests, sha256 } from "../harness/registry-requests.ts";

let registry: TestRegistry;
let client: RegistryRequests;

beforeAll(async () => {
  registry = await startRegistry();
  client = new RegistryRequests(registry.url);
});
afterAll(() => registry.close());

const begin = async (on: RegistryRequests = client): Promise<string> =>
  (await on.send("POST", "/v2/hostile/blobs/uploads/")).headers.get("location") ?? "";

/** Sends `text` as it is, then whatever `more` says, and gives all that comes back. */
function raw(
  text: string | Buffer,
  options: { readonly cutAfterMs?: number } = {},
): Promise<string> {
  return new Promise((resolve) => {
    const [host = "", port = ""] = registry.host.split(":");
    const socket = connect({ host, port: Number(port) });
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
    socket.write(text);
    if (options.cutAfterMs !== undefined) setTimeout(() => socket.destroy(), options.cutAfterMs);
  });
}

const rangeOf = async (location: string, on: RegistryRequests = client): Promise<string | null> =>
  (await on.send("GET", location)).headers.get("range");

describe("uploads", () => {
  test("a body that is cut off leaves what arrived, and the client goes on from there", async () => {
    const bytes = randomBytes(300_000);
    const location = await begin();
    const head = `PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n`;
    await raw(Buffer.concat([Buffer.from(head), bytes.subarray(0, 100_000)]), { cutAfterMs: 150 });
    expect(await rangeOf(location)).toBe("0-99999");
    const rest = await client.send("PATCH", location, {
      headers: { "Content-Range": "100000-299999" },
      body: bytes.subarray(100_000),
    });
    expect(rest.status).toBe(202);
    expect((await client.send("PUT", `${location}?digest=${sha256(bytes)}`)).status).toBe(201);
  });

  test("survive a server that is killed and started again", async () => {
    const first = await startRegistry({ root: join(registry.root, "nested") });
    const bytes = randomBytes(2_000_000);
    const one = new RegistryRequests(first.url);
    const location = await begin(one);
    await one.send("PATCH", location, { body: bytes.subarray(0, 1_500_000) });
    const { layer } = await one.pushArtifact("hostile", "before");
    await first.kill9();
    const again = await startRegistry({ root: first.root });
    try {
      const two = new RegistryRequests(again.url);
      expect(await rangeOf(location, two)).toBe("0-1499999");
      const put = await two.send("PUT", `${location}?digest=${sha256(bytes)}`, {
        headers: { "Content-Range": "1500000-1999999" },
        body: bytes.subarray(1_500_000),
      });
      expect(put.status).toBe(201);
      const found = await two.send("GET", put.headers.get("location") ?? "");
      expect(Buffer.from(await found.arrayBuffer()).equals(bytes)).toBe(true);
      expect((await two.send("GET", `/v2/hostile/blobs/${layer}`)).status).toBe(200);
      expect(readdirSync(join(first.root, "uploads"))).toEqual([]);
    } finally {
      await again.close();
    }
  });

  test("a second server on one root is refused", async () => {
    const failure = await startRegistry({ root: registry.root }).then(
      async (started) => {
        await started.close();
        return "it started";
      },
      (error: Error) => error.message,
    );
    expect(failure).toContain("uses the database");
  });

  test("requests that race on one upload: never a blob that is not its digest", async () => {
    const parts = [randomBytes(400_000), randomBytes(400_000)];
    for (let round = 0; round < 5; round += 1) {
      const location = await begin();
      const answers = await Promise.all(
        parts.map((body) =>
          client.send("PATCH", location, { body }).then(
            ({ status }) => status,
            () => 0,
          ),
        ),
      );
      for (const status of answers) expect([0, 202, 409]).toContain(status);
      const digest = sha256(parts[0] ?? "");
      const put = await client.send("PUT", `${location}?digest=${digest}`);
      expect([201, 400, 404]).toContain(put.status);
      if (put.status !== 201) continue;
      const found = await client.send("GET", `/v2/hostile/blobs/${digest}`);
      expect(sha256(new Uint8Array(await found.arrayBuffer()))).toBe(digest);
    }
  });

  test("a digest that does not match leaves neither blob nor bytes", async () => {
    const location = await begin();
    const wrong = sha256("other bytes");
    const put = await client.send("PUT", `${location}?digest=${wrong}`, {
      body: randomBytes(100_000),
    });
    expect(put.status).toBe(400);
    expect((await client.send("GET", location)).status).toBe(404);
    expect((await client.send("HEAD", `/v2/hostile/blobs/${wrong}`)).status).toBe(404);
    const id = location.split("/").at(-1) ?? "";
    expect(readdirSync(join(registry.root, "uploads"))).not.toContain(id);
  });
});

describe("memory", () => {
  test("a large blob passes through, both ways", async () => {
    const large = Buffer.alloc(256 * 1024 * 1024, "what is pushed must not stay in memory");
    const digest = sha256(large);
    const posted = await client.send("POST", `/v2/hostile/blobs/uploads/?digest=${digest}`, {
      body: large,
    });
    expect(posted.status).toBe(201);
    const found = await client.send("GET", `/v2/hostile/blobs/${digest}`);
    expect((await found.arrayBuffer()).byteLength).toBe(large.length);
    expect(peakBytes(registry.pid)).toBeLessThan(250_000_000);
  });
});

describe("requests", () => {
  test("headers without end, and headers that are too large", async () => {
    const large = await raw(`GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(400_000)}\r\n\r\n`);
    expect(large).toMatch(/^HTTP\/1\.1 (?:431|400)/);
    expect((await client.send("GET", "/v2/")).status).toBe(200);
  });

  test("a manifest of 100 MB is refused while it comes", async () => {
    const head = `PUT /v2/hostile/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: ${OCI_MANIFEST}\r\n`;
    const announced = await raw(`${head}Content-Length: 104857600\r\n\r\n${" ".repeat(1000)}`, {
      cutAfterMs: 300,
    });
    expect(announced).toMatch(/^HTTP\/1\.1 413[\s\S]*SIZE_INVALID/);
    const chunk = `${(1024 * 1024).toString(16)}\r\n${" ".repeat(1024 * 1024)}\r\n`;
    const chunked = await raw(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(16)}`, {
      cutAfterMs: 1500,
    });
    expect(chunked).toMatch(/^HTTP\/1\.1 413[\s\S]*SIZE_INVALID/);
    expect(residentBytes(registry.pid)).toBeLessThan(400_000_000);
  });

  test("names that would be paths outside", async () => {
    for (const path of [
      "/v2/../../etc/passwd",
      "/v2/a/../../b/tags/list",
      "/v2/%2e%2e%2fetc/manifests/x",
      "/v2/a/blobs/..%2f..%2fregistry.db",
      "/v2/a/blobs/uploads/..%2f..%2f",
      "/v2/a/manifests/..%2fx",
      "/v2/%ff/tags/list",
      "/v2/a%0d%0aSet-Cookie:x/tags/list",
    ]) {
      const answer = await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
      expect(answer).not.toContain("Set-Cookie:x\r\n");
    }
  });

  test("fuzz: nothing brings it down, and every failure is in the form of the specification", async () => {
    const seed = Number(process.env["NARU_FUZZ_SEED"] ?? Math.trunc(performance.timeOrigin) % 1e9);
    console.log(`registry fuzz seed ${seed}`);
    const random = generator(seed);
    const pick = <T>(list: readonly T[]): T => list[random() % list.length] as T;
    const names = [
      "a",
      "a/b",
      "..",
      "A",
      "a//b",
      "%00",
      "a/blobs",
      "a/manifests/x",
      "é",
      "a".repeat(300),
    ];
    const tails = [
      "tags/list",
      "manifests/x",
      "manifests/sha256:1",
      "blobs/uploads/",
      "blobs/uploads/zz",
      `blobs/${sha256("")}`,
      "referrers/x",
      "",
      "?",
      "%",
    ];
    const queries = [
      "",
      "?n=-1",
      "?n=1e9",
      "?digest=x",
      "?mount=x&from=..",
      "?tag=%00",
      "?last=%ff",
      "?digest=sha256:",
    ];
    const bodies = [
      "",
      "{}",
      "null",
      '{"schemaVersion":2,"manifests":[{}]}',
      "[".repeat(100_000),
      "\u0000",
      '{"schemaVersion":2,"config":null,"layers":[1]}',
    ];
    const ranges = ["0-0", "5-1", "-", "bytes=1-2", "99999999999999999999-1", "0-99999999999999"];
    for (let round = 0; round < 400; round += 1) {
      const path = `/v2/${encodeURI(pick(names))}/${pick(tails)}${pick(queries)}`;
      const method = pick(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]);
      const hasBody = !["GET", "HEAD"].includes(method);
      const answer = await client.send(method, path, {
        headers: {
          ...(random() % 2 === 0 && { "Content-Range": pick(ranges) }),
          ...(random() % 2 === 0 && { Range: `bytes=${pick(ranges)}` }),
          ...(random() % 2 === 0 && { "Content-Type": pick([OCI_MANIFEST, "x/y", ""]) }),
        },
        ...(hasBody && { body: pick(bodies) }),
      });
      expect([path, method, answer.status < 500]).toEqual([path, method, true]);
      if (answer.status < 400 || method === "HEAD") continue;
      const body = (await answer.json()) as { errors: { code: string }[] };
      expect(body.errors[0]?.code).toMatch(/^[A-Z_]+$/);
    }
    expect((await client.send("GET", "/v2/")).status).toBe(200);
  });
});

/** xorshift32: the same numbers for the same seed. */
function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function peakBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}
