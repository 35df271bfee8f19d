/**
 * Pulling, with a proxy between the engine and Debian's docker-registry that delays, cuts, corrupts and
 * refuses: what must still arrive, how many bytes cross the wire, and what is said when it does not.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { cliOk, privileged } from "../harness/cli.ts";
import {
  type DebianRegistry,
  debianRegistryProgram,
  startDebianRegistry,
} from "../harness/debian-registry.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { type FaultProxy, startFaultProxy } from "../harness/fault-proxy.ts";
import {
  fileLayer,
  type MadeImage,
  makeImage,
  makeIndex,
  noise,
  putImage,
  putManifest,
} from "../harness/registry-image.ts";
import { busyboxLayer } from "../harness/rootfs.ts";

const TEST_TIMEOUT_MS = 60_000;
const MIB = 1024 * 1024;
const BIG_BYTES = 8 * MIB;
const BLOBS = /\/blobs\//;

let engine: TestEngine;
let registry: DebianRegistry;
let proxy: FaultProxy;

interface Pulled {
  readonly status: number;
  readonly messages: readonly Message[];
  /** The last error, or what a plain answer says. */
  readonly error: string;
}

interface Message {
  readonly status?: string;
  readonly id?: string;
  readonly error?: string;
}

async function pull(name: string, query = "", signal?: AbortSignal): Promise<Pulled> {
  const [, repo = "", tag = ""] = /^(.*?)(?:[:@]((?:sha256:)?[^:/]+))?$/.exec(name) ?? [];
  const path = `/images/create?fromImage=${encodeURIComponent(repo)}&tag=${tag}${query}`;
  const answer = await engine.fetch(path, { method: "POST", ...(signal && { signal }) });
  const text = await answer.text();
  if (answer.status !== 200) {
    return { status: answer.status, messages: [], error: JSON.parse(text).message };
  }
  const messages = text
    .trim()
    .split("\r\n")
    .map((line) => JSON.parse(line) as Message);
  const error = messages.find((one) => one.error !== undefined)?.error ?? "";
  return { status: 200, messages, error };
}

async function pulled(name: string, query = ""): Promise<readonly Message[]> {
  const { status, messages, error } = await pull(name, query);
  expect({ status, error }).toEqual({ status: 200, error: "" });
  return messages;
}

function statuses(messages: readonly Message[]): string[] {
  return messages.flatMap(({ id, status = "" }) => (id === undefined ? [status] : []));
}

async function inspect(name: string, query = ""): Promise<Record<string, unknown>> {
  const answer = await engine.fetch(`/images/${name}/json${query}`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, unknown>;
}

let serial = 0;
/** An image of its own in the registry: nothing of it is in the engine. */
async function fresh(layerBytes: readonly number[] = [1000]): Promise<{
  repository: string;
  name: string;
  image: MadeImage;
}> {
  serial += 1;
  const repository = `tests/image${serial}`;
  const layers = layerBytes.map((bytes, index) =>
    fileLayer(`file${index}`, noise(bytes, `${serial}/${index}`)),
  );
  const image = makeImage(layers);
  await putImage(registry.url, repository, "v1", image);
  return { repository, name: `${proxy.host}/${repository}:v1`, image };
}

function partials(): { count: number; bytes: number } {
  const dir = join(engine.dataRoot, "partial");
  const sizes = readdirSync(dir).map((name) => statSync(join(dir, name)).size);
  return { count: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 15_000;
  while (!holds()) {
    if (Date.now() > deadlineMs) throw new Error(`never: ${what}`);
    await Bun.sleep(10);
  }
}

const able = privileged() && debianRegistryProgram() !== undefined;
if (!able) console.warn("skipped: pulls need root, crun, conmon and the package docker-registry");

describe.skipIf(!able)("a pull", () => {
  beforeAll(async () => {
    registry = await startDebianRegistry();
    proxy = await startFaultProxy(registry.url);
    engine = await startEngine();
  }, TEST_TIMEOUT_MS);

  afterEach(() => proxy.clear());

  afterAll(async () => {
    await engine?.destroy();
    await proxy?.close();
    await registry?.close();
  }, TEST_TIMEOUT_MS);

  test("says what docker's CLI draws, names the digest, and is up to date the second time", async () => {
    const { name, image } = await fresh([1000, 2000]);
    const first = await pulled(name);
    expect(first[0]).toEqual({ status: expect.stringMatching(/^Pulling from tests/), id: "v1" });
    for (const { digest } of image.layers) {
      const short = digest.slice(7, 19);
      const seen = first.filter(({ id }) => id === short).map(({ status }) => status);
      expect(seen[0]).toBe("Pulling fs layer");
      expect(seen).toContain("Download complete");
      expect(seen.at(-1)).toBe("Pull complete");
    }
    expect(statuses(first)).toEqual([
      `Digest: ${image.digest}`,
      `Status: Downloaded newer image for ${name}`,
    ]);
    const { Id, RepoDigests, RepoTags } = await inspect(name);
    expect(Id).toBe(image.config.digest);
    expect(RepoTags).toEqual([name]);
    expect(RepoDigests).toEqual([`${name.replace(/:v1$/, "")}@${image.digest}`]);
    proxy.clear();
    expect(statuses(await pulled(name)).at(-1)).toBe(`Status: Image is up to date for ${name}`);
    for (const { digest } of image.layers) expect(proxy.seen(new RegExp(digest))).toEqual([]);
  });

  test("by digest gives that image, whatever the tag says now", async () => {
    const { repository, image } = await fresh();
    await putImage(registry.url, repository, "v1", makeImage([fileLayer("other", "x")]));
    const byDigest = `${proxy.host}/${repository}@${image.digest}`;
    await pulled(byDigest);
    const { Id, RepoTags } = await inspect(byDigest);
    expect([Id, RepoTags]).toEqual([image.config.digest, []]);
  });

  test("of all tags brings each", async () => {
    const { repository } = await fresh();
    await putImage(registry.url, repository, "v2", makeImage([fileLayer("two", "2")]));
    const messages = await pull(`${proxy.host}/${repository}`);
    expect(messages.error).toBe("");
    const listed = await engine.fetch("/images/json");
    const tags = ((await listed.json()) as { RepoTags: string[] }[]).flatMap((one) => one.RepoTags);
    for (const tag of ["v1", "v2"]) expect(tags).toContain(`${proxy.host}/${repository}:${tag}`);
  });

  test("runs what it brought: zstd, plain and gzip layers", async () => {
    const layers = [
      { tar: await busyboxLayer(), compression: "zstd" },
      { ...fileLayer("plain", "from a plain tar"), compression: "none" },
      fileLayer("gzip", " and a gzip one"),
    ] as const;
    await putImage(registry.url, "tests/run", "v1", makeImage(layers));
    const name = `${proxy.host}/tests/run:v1`;
    const said = await cliOk(engine, ["run", "--rm", name, "cat", "/plain", "/gzip"]);
    expect(said).toBe("from a plain tar and a gzip one");
  });

  test("chooses the platform of an index, and keeps the index to the byte", async () => {
    const mine = makeImage([fileLayer("arch", "host")]);
    const other = makeImage([fileLayer("arch", "other")], { architecture: "s390x" });
    const architecture = process.arch === "x64" ? "amd64" : process.arch;
    for (const image of [mine, other]) {
      await putImage(registry.url, "tests/index", image.digest, image);
    }
    const index = makeIndex([
      [other, { platform: { os: "linux", architecture: "s390x" } }],
      [mine, { platform: { os: "linux", architecture } }],
    ]);
    await putManifest(registry.url, "tests/index", "v1", index);
    const name = `${proxy.host}/tests/index:v1`;
    expect(statuses(await pulled(name))[0]).toBe(`Digest: ${index.digest}`);
    expect((await inspect(name))["Id"]).toBe(mine.config.digest);
    for (const { digest } of other.layers) expect(proxy.seen(new RegExp(digest))).toEqual([]);
    await pulled(name, "&platform=linux/s390x");
    expect((await inspect(name))["Architecture"]).toBe("s390x");
    const platform = encodeURIComponent('{"os":"linux","architecture":"s390x"}');
    const first = encodeURIComponent(`{"os":"linux","architecture":"${architecture}"}`);
    expect((await inspect(name, `?platform=${first}`))["Id"]).toBe(mine.config.digest);
    expect((await inspect(name, `?platform=${platform}`))["Id"]).toBe(other.config.digest);
    const arm = encodeURIComponent('{"os":"linux","architecture":"arm64"}');
    const none = await engine.fetch(`/images/${name}/json?platform=${arm}`);
    expect(none.status).toBe(404);
    const { Manifests } = await inspect(name, "?manifests=1");
    expect(Manifests).toMatchObject([
      { ID: other.digest, Available: true, Kind: "image" },
      { ID: mine.digest, Available: true, Kind: "image" },
    ]);
    const missing = await pull(name, "&platform=linux/riscv64");
    expect(missing.status).toBe(404);
    expect(missing.error).toContain("no matching manifest for linux/riscv64");
  });

  test("says what docker says of what is not there", async () => {
    const unknown = await pull(`${proxy.host}/tests/none:v1`);
    expect(unknown.status).toBe(404);
    const { repository } = await fresh();
    const tag = await pull(`${proxy.host}/${repository}:none`);
    expect(tag).toMatchObject({
      status: 404,
      error: expect.stringContaining(`manifest for ${proxy.host}/${repository}:none not found`),
    });
  });

  test("refuses schema 1 and says why", async () => {
    const { repository } = await fresh();
    proxy.inject({ path: /manifests\/old/, fault: { kind: "status", status: 404 } });
    const old = { schemaVersion: 1, name: repository, tag: "old", fsLayers: [], history: [] };
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: ({ url }) =>
        new Response(url.includes("manifests") ? JSON.stringify(old) : "{}", {
          headers: { "content-type": "application/vnd.docker.distribution.manifest.v1+prettyjws" },
        }),
    });
    const { error } = await pull(`127.0.0.1:${server.port}/${repository}:old`);
    await server.stop(true);
    expect(error).toContain("has schema version 1, which Docker retired");
  });

  test("takes the layers that a mirror does not have from the registry, and asks the mirror first", async () => {
    const { repository, image } = await fresh([5000]);
    const mirror = await startFaultProxy("http://127.0.0.1:1"); // answers nothing
    mirror.inject({ path: /./, fault: { kind: "status", status: 500 } });
    await engine.stop();
    await engine.start({ args: ["--mirror", `${proxy.host}=${mirror.url}`] });
    await pulled(`${proxy.host}/${repository}:v1`);
    expect(mirror.requests.length).toBeGreaterThan(0);
    expect(mirror.requests[0]?.path).toContain(`ns=${encodeURIComponent(proxy.host)}`);
    // A mirror that has everything, for a registry that nobody can reach.
    const good = await startFaultProxy(registry.url);
    await engine.stop();
    await engine.start({ args: ["--mirror", `gone.invalid=${good.url}`] });
    const other = await fresh([3000]);
    await pulled(`gone.invalid/${other.repository}:v1`);
    expect(good.bytesOf(BLOBS)).toBeGreaterThan(0);
    expect(image.digest).not.toBe(other.image.digest);
    await engine.stop();
    await engine.start({ args: ["--offline"] });
    const refused = await pull("gone.invalid/tests/image1:v1");
    expect(refused.status).toBe(503);
    expect(refused.error).toContain("offline");
    await engine.stop();
    await engine.start();
    await Promise.all([mirror.close(), good.close()]);
  });
});

describe.skipIf(!able)("an interrupted pull", () => {
  beforeAll(async () => {
    registry = await startDebianRegistry();
    proxy = await startFaultProxy(registry.url);
    engine = await startEngine();
  }, TEST_TIMEOUT_MS);

  afterEach(() => proxy.clear());

  afterAll(async () => {
    await engine?.destroy();
    await proxy?.close();
    await registry?.close();
  }, TEST_TIMEOUT_MS);

  test("goes on where it was after a kill -9 of the engine, and fetches only the rest", async () => {
    const { name, image } = await fresh([BIG_BYTES]);
    const [layer] = image.layers;
    const path = new RegExp(layer?.digest ?? "");
    const half = BIG_BYTES / 2;
    proxy.inject({ path, fault: { kind: "stall", afterBytes: half } });
    const cut = pull(name).catch(() => undefined);
    // Bytes are written a MiB at a time, one on its way while the next is filled.
    await until("half of it is on disk", () => partials().bytes >= half - 2 * MIB);
    await engine.kill9();
    await cut;
    const kept = partials().bytes;
    proxy.clear();
    await engine.start();
    await pulled(name);
    const fetched = proxy.bytesOf(path);
    expect(fetched).toBe((layer?.size ?? 0) - kept);
    expect(proxy.seen(path, "GET").at(-1)?.headers["range"]).toStartWith(`bytes=${kept}-`);
    expect((await inspect(name))["Id"]).toBe(image.config.digest);
    expect(partials().count).toBe(0);
  });

  test("mends a prefix that rotted on disk meanwhile, by beginning again", async () => {
    const { name, image } = await fresh([BIG_BYTES]);
    const [layer] = image.layers;
    const path = new RegExp(layer?.digest ?? "");
    proxy.inject({ path, fault: { kind: "stall", afterBytes: 3 * MIB } });
    const cut = pull(name).catch(() => undefined);
    await until("some of it is on disk", () => partials().bytes >= MIB);
    await engine.kill9();
    await cut;
    const dir = join(engine.dataRoot, "partial");
    const [file = ""] = readdirSync(dir);
    await Bun.write(join(dir, file), new Uint8Array(MIB));
    proxy.clear();
    await engine.start();
    await pulled(name);
    expect((await inspect(name))["Id"]).toBe(image.config.digest);
  });

  test("is mended after resets, errors, a busy registry and a wrong byte, within one pull", async () => {
    const { name, image } = await fresh([2_000_000, 1_500_000, 1_000_000, 500_000]);
    const paths = image.layers.map(({ digest }) => new RegExp(digest));
    const [a = /-/, b = /-/, c = /-/, d = /-/] = paths;
    proxy.inject({ path: a, times: 1, fault: { kind: "reset", afterBytes: 700_000 } });
    proxy.inject({ path: b, times: 1, fault: { kind: "status", status: 503 } });
    proxy.inject({
      path: c,
      times: 1,
      fault: { kind: "status", status: 429, retryAfterSeconds: 1 },
    });
    proxy.inject({ path: d, times: 1, fault: { kind: "corrupt", atByte: 250_000 } });
    proxy.inject({ path: /manifests/, times: 1, fault: { kind: "status", status: 502 } });
    const beganMs = Date.now();
    await pulled(name);
    expect(Date.now() - beganMs).toBeGreaterThan(1000); // Retry-After was heard
    // What had come before the reset was not fetched again.
    expect(proxy.bytesOf(a)).toBe(image.layers[0]?.size ?? 0);
    expect(proxy.bytesOf(d)).toBe(2 * (image.layers[3]?.size ?? 0));
  });

  test("gives up on a registry that only errs, and names it", async () => {
    const { name, image } = await fresh([1000]);
    proxy.inject({
      path: new RegExp(image.layers[0]?.digest ?? ""),
      fault: { kind: "status", status: 403 },
    });
    const { error } = await pull(name);
    expect(error).not.toBe("");
    const listed = (await (await engine.fetch("/images/json")).json()) as { RepoTags: string[] }[];
    expect(listed.some(({ RepoTags }) => RepoTags.includes(name))).toBe(false);
  });

  test("shares one download with another pull of the same layer", async () => {
    const { repository, image } = await fresh([BIG_BYTES]);
    await putManifest(registry.url, repository, "v2", image);
    const path = new RegExp(image.layers[0]?.digest ?? "");
    proxy.inject({ path, times: 1, fault: { kind: "stall", afterBytes: 3 * MIB } });
    const first = pulled(`${proxy.host}/${repository}:v1`);
    await until("it came so far", () => partials().bytes >= MIB);
    const second = pulled(`${proxy.host}/${repository}:v2`);
    await Bun.sleep(300); // the second one is on its way
    expect(proxy.seen(path, "GET").length).toBe(1);
    proxy.release();
    await Promise.all([first, second]);
    expect(proxy.bytesOf(path)).toBe(image.layers[0]?.size ?? 0);
  });

  test("stops when the client goes, unless another wants it", async () => {
    const { repository, image } = await fresh([BIG_BYTES]);
    await putManifest(registry.url, repository, "v2", image);
    const path = new RegExp(image.layers[0]?.digest ?? "");
    proxy.inject({ path, times: 1, fault: { kind: "stall", afterBytes: 3 * MIB } });
    const leaver = new AbortController();
    const left = pull(`${proxy.host}/${repository}:v1`, "", leaver.signal).catch(() => undefined);
    await until("it came so far", () => partials().bytes >= MIB);
    const stayer = new AbortController();
    const stayed = pull(`${proxy.host}/${repository}:v2`, "", stayer.signal).catch(() => undefined);
    await Bun.sleep(300);
    leaver.abort();
    await left;
    await Bun.sleep(200);
    expect(proxy.stalls).toBe(1); // the other one still waits
    stayer.abort();
    await stayed;
    await until("the connection is closed", () => proxy.stalls === 0);
    proxy.clear();
    await pulled(`${proxy.host}/${repository}:v1`);
    expect(proxy.bytesOf(path)).toBe((image.layers[0]?.size ?? 0) - 3 * MIB);
  });
});
