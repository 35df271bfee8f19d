/** The registry as a read-through cache in front of another one. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type FaultProxy, startFaultProxy } from "../harness/fault-proxy.ts";
import { startRegistry, type TestRegistry } from "../harness/registry.ts";
import { noise } from "../harness/registry-image.ts";
import { RegistryRequests, sha256 } from "../harness/registry-requests.ts";

const BIG_BYTES = 6 * 1024 * 1024;

let upstream: TestRegistry;
let wire: FaultProxy;
let cache: TestRegistry;
let origin: RegistryRequests;
let client: RegistryRequests;

beforeAll(async () => {
  upstream = await startRegistry();
  wire = await startFaultProxy(upstream.url);
  cache = await startRegistry({ args: ["--proxy", wire.url] });
  origin = new RegistryRequests(upstream.url);
  client = new RegistryRequests(cache.url);
});
afterAll(async () => {
  await cache.close();
  await wire.close();
  await upstream.close();
});

const body = async (path: string, headers = {}): Promise<Buffer> => {
  const answer = await client.send("GET", path, { headers });
  expect(answer.status).toBeLessThan(300);
  return Buffer.from(await answer.arrayBuffer());
};
const blobRequests = (): number =>
  wire.requests.filter(({ method, path }) => method === "GET" && path.includes("/blobs/")).length;

describe("a cache", () => {
  test("fetches what is asked for once, and serves it when upstream is away", async () => {
    const { digest, bytes, layer } = await origin.pushArtifact("lib/a", "v1");
    wire.clear();
    for (let times = 0; times < 2; times += 1) {
      expect((await body("/v2/lib/a/manifests/v1")).toString()).toBe(bytes);
      expect((await body(`/v2/lib/a/manifests/${digest}`)).toString()).toBe(bytes);
      expect(sha256(await body(`/v2/lib/a/blobs/${layer}`))).toBe(layer);
    }
    expect(blobRequests()).toBe(1);
    wire.inject({ path: /./, fault: { kind: "reset", afterBytes: 0 } });
    expect((await body("/v2/lib/a/manifests/v1")).toString()).toBe(bytes);
    expect(sha256(await body(`/v2/lib/a/blobs/${layer}`))).toBe(layer);
    wire.clear();
  });

  test("what upstream lacks is unknown here, and nothing is pushed here", async () => {
    const missing = sha256("nowhere");
    for (const [path, code] of [
      ["/v2/lib/none/manifests/v1", "MANIFEST_UNKNOWN"],
      [`/v2/lib/a/manifests/${missing}`, "MANIFEST_UNKNOWN"],
      [`/v2/lib/a/blobs/${missing}`, "BLOB_UNKNOWN"],
    ] as const) {
      const answer = await client.send("GET", path);
      expect([answer.status, await client.code(answer)]).toEqual([404, code]);
    }
    const push = await client.send("POST", "/v2/lib/a/blobs/uploads/");
    expect([push.status, await client.code(push)]).toEqual([405, "UNSUPPORTED"]);
  });

  test("lists tags and referrers as upstream has them", async () => {
    const { digest, bytes } = await origin.pushArtifact("lib/list", "v1");
    await origin.pushManifest("lib/list", "v2", bytes);
    const subject = {
      ...{ mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: bytes.length },
    };
    const referrer = await origin.pushArtifact("lib/list", undefined, { subject });
    const tags = JSON.parse((await body("/v2/lib/list/tags/list?n=1")).toString()) as {
      tags: string[];
    };
    expect(tags.tags).toEqual(["v1"]);
    const index = JSON.parse((await body(`/v2/lib/list/referrers/${digest}`)).toString()) as {
      manifests: { digest: string }[];
    };
    expect(index.manifests.map((one) => one.digest)).toEqual([referrer.digest]);
  });

  test("clients of one blob share a download, also in ranges", async () => {
    const bytes = noise(BIG_BYTES, "shared");
    const digest = await origin.pushBlob("lib/big", bytes);
    wire.clear();
    const path = `/v2/lib/big/blobs/${digest}`;
    const [one, two, part] = await Promise.all([
      body(path),
      body(path),
      body(path, { Range: `bytes=${BIG_BYTES - 1000}-` }),
    ]);
    expect([sha256(one ?? ""), sha256(two ?? "")]).toEqual([digest, digest]);
    expect(part?.equals(bytes.subarray(BIG_BYTES - 1000))).toBe(true);
    expect(blobRequests()).toBe(1);
  });

  test("a blob of a repository is not given to another one that upstream does not have it in", async () => {
    const digest = await origin.pushBlob("lib/private", noise(1000, "private"));
    await body(`/v2/lib/private/blobs/${digest}`);
    expect((await client.send("GET", `/v2/lib/other/blobs/${digest}`)).status).toBe(404);
    await origin.pushBlob("lib/other", noise(1000, "private"));
    wire.clear();
    expect((await body(`/v2/lib/other/blobs/${digest}`)).length).toBe(1000);
    expect(blobRequests()).toBe(0); // its bytes are here
  });

  test("a download that is cut goes on where it was", async () => {
    const digest = await origin.pushBlob("lib/cut", noise(BIG_BYTES, "cut"));
    wire.clear();
    const half = BIG_BYTES / 2;
    wire.inject({
      path: /\/blobs\//,
      method: "GET",
      fault: { kind: "reset", afterBytes: half },
      times: 1,
    });
    expect(sha256(await body(`/v2/lib/cut/blobs/${digest}`))).toBe(digest);
    const fetched = wire.requests
      .filter(({ method, path }) => method === "GET" && path.includes("/blobs/"))
      .reduce((sum, { bytes }) => sum + bytes, 0);
    expect(fetched).toBeLessThan(BIG_BYTES * 1.1);
  });

  test("who asks for the size alone costs no download; what nobody asks for goes", async () => {
    const one = await startRegistry({
      args: [
        "--proxy",
        wire.url,
        "--proxy-keep",
        "1s",
        "--gc-grace",
        "0s",
        "--gc-interval",
        "200ms",
      ],
    });
    try {
      const { digest, layer } = await origin.pushArtifact("lib/unused", "v1");
      const reader = new RegistryRequests(one.url);
      wire.clear();
      const head = await reader.send("HEAD", `/v2/lib/unused/blobs/${layer}`);
      expect([head.status, head.headers.get("content-length")]).toEqual([200, "64"]);
      expect(blobRequests()).toBe(0);
      await (await reader.send("GET", "/v2/lib/unused/manifests/v1")).text();
      await (await reader.send("GET", `/v2/lib/unused/blobs/${layer}`)).arrayBuffer();
      const files = (): string[] => readdirSync(join(one.root, "blobs/sha256"));
      expect(files()).toContain(digest.replace("sha256:", ""));
      for (let tries = 0; tries < 200 && files().length > 0; tries += 1) await Bun.sleep(25);
      expect(files()).toEqual([]);
      expect((await reader.send("GET", "/v2/lib/unused/manifests/v1")).status).toBe(200);
    } finally {
      await one.close();
    }
  });

  test("what upstream sends wrong is not kept", async () => {
    const digest = await origin.pushBlob("lib/wrong", noise(100_000, "wrong"));
    wire.inject({
      path: /\/blobs\//,
      method: "GET",
      fault: { kind: "corrupt", atByte: 500 },
      times: 1,
    });
    const path = `/v2/lib/wrong/blobs/${digest}`;
    const first = await client.send("GET", path).then(
      async (answer) => sha256(new Uint8Array(await answer.arrayBuffer())),
      () => "broken off",
    );
    expect(first).not.toBe(digest);
    for (let tries = 0; tries < 50 && sha256(await body(path)) !== digest; tries += 1) {
      await Bun.sleep(20);
    }
    expect(sha256(await body(path))).toBe(digest);
  });
});
