/**
 * Archives that lie or attack, on load and on import: refused with the entry's name, nothing of the
 * host is touched, nothing is left, the engine goes on. A canary folder stands for the host.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { createGzip, gzipSync } from "node:zlib";
import type Dockerode from "dockerode";
import fc from "fast-check";
import { FUZZ_FACTOR, fuzzSeed } from "../fuzz/seed.ts";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles, busyboxLayer, dockerArchive, ociArchive } from "../harness/rootfs.ts";
import { RawClient } from "./api-fakes.ts";
import { connect, inside, run } from "./dockerode-client.ts";
import { entry, harmlessLayers, hostileLayers, sha256, tar } from "./hostile-tars.ts";
import { residentBytes } from "./resident.ts";

const TEST_TIMEOUT_MS = 60_000;
const MIB = 1024 * 1024;
const GROWTH_BYTES_MAX = 100 * MIB; // buffers and heap of one archive at work; not the archive

let engine: TestEngine;
let docker: Dockerode;
let canary: string;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS * FUZZ_FACTOR);
}

type Body = NonNullable<RequestInit["body"]>;

interface Answer {
  readonly status: number;
  /** What went wrong, "" when nothing did. */
  readonly error: string;
  readonly text: string;
}

async function send(path: string, body: Body): Promise<Answer> {
  const headers = { "Content-Type": "application/x-tar" };
  const response = await engine.fetch(path, { method: "POST", headers, body });
  const text = await response.text();
  if (response.status >= 400) return { status: response.status, text, error: errorOf(text) };
  const told = text.split("\r\n").find((line) => line.includes('"error"'));
  return { status: response.status, text, error: told === undefined ? "" : errorOf(told) };
}

function errorOf(text: string): string {
  const told = JSON.parse(text) as { message?: string; error?: string };
  return told.message ?? told.error ?? "";
}

const load = (body: Body): Promise<Answer> => send("/images/load", body);
const importTar = (body: Body, query: string = ""): Promise<Answer> =>
  send(`/images/create?fromSrc=-${query}`, body);

async function images(): Promise<readonly string[]> {
  const listed = (await (await engine.fetch("/images/json?all=1")).json()) as { Id: string }[];
  return listed.map(({ Id }) => Id).toSorted();
}

function expectCanary(): void {
  expect(readdirSync(canary)).toEqual(["file"]);
  expect(readFileSync(join(canary, "file"), "utf8")).toBe("untouched");
  expect(statSync(join(canary, "file")).nlink).toBe(1);
}

/** Refused as the sender's fault, with words that match, and nothing made or touched. */
async function expectRefused(
  cases: readonly { name: string; answer: () => Promise<Answer>; says: RegExp }[],
): Promise<void> {
  const before = await images();
  const wrong: unknown[] = [];
  for (const { name, answer, says } of cases) {
    const { status, error } = await answer();
    const fault = status >= 200 && status < 500; // after progress has been told: in the stream
    if (!fault || error === "" || !says.test(error) || /bug|internal/i.test(error)) {
      wrong.push({ name, status, error, says: String(says) });
    }
    expectCanary();
  }
  expect(wrong).toEqual([]);
  expect(await images()).toEqual(before);
}

describe.skipIf(!privileged())("bad archives", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    canary = await mkdtemp("/tmp/naru-canary-");
    writeFileSync(join(canary, "file"), "untouched");
    expect((await load(Bun.file((await busyboxFiles()).dockerArchive))).error).toBe("");
  }, TEST_TIMEOUT_MS);
  afterAll(async () => {
    rmSync(canary, { recursive: true, force: true });
    await engine?.destroy();
  }, TEST_TIMEOUT_MS);

  describe("layers", layerTests);
  describe("image archives", archiveTests);
  describe("size and pace", sizeTests);
  its("after all of it, no blob, layer or temporary file is left", nothingLeft);
});

function layerTests(): void {
  its("import refuses what attacks or lies", async () => {
    await expectRefused(
      hostileLayers(canary).map(({ name, bytes, says }) => ({
        name,
        says,
        answer: () => importTar(bytes),
      })),
    );
  });

  its("load refuses the same as a layer, in both forms, compressed too", async () => {
    const hostile = hostileLayers(canary).filter(({ name }) => !/gzip|zstd/.test(name));
    await expectRefused(
      hostile.flatMap(({ name, bytes, says }) => [
        { name, says, answer: () => load(dockerArchive([{ layers: [bytes] }])) },
        { name: `${name}, OCI`, says, answer: () => load(ociArchive([{ layers: [bytes] }])) },
      ]),
    );
  });

  its("what is only odd is taken, and stays inside", async () => {
    for (const { name, bytes } of harmlessLayers(canary)) {
      const { error } = await importTar(bytes, "&repo=odd&tag=1");
      expect({ name, error }).toEqual({ name, error: "" });
      expectCanary();
      await docker.getImage("odd:1").remove();
    }
  });

  its("device nodes of an image open nothing", async () => {
    const nodes = harmlessLayers(canary).find(({ name }) => name === "device nodes");
    const layers = [await busyboxLayer(), nodes?.bytes ?? Buffer.alloc(0)];
    const plan = { reference: "nodes:1", config: { Env: ["PATH=/bin"] }, layers };
    expect((await load(dockerArchive([plan]))).error).toBe("");
    const script = "for node in /disk /mem; do head -c 1 $node 2>&1; done; true";
    const shown = await inside(docker, script, {}, { Image: "nodes:1" });
    expect(shown.match(/Operation not permitted|Permission denied/g)).toHaveLength(2);
    await docker.getImage("nodes:1").remove();
  });

  its("links into the host, followed when a container starts, lead nowhere", async () => {
    const layer = tar(
      entry({ name: "work", type: "symlink", linkName: canary }),
      entry({ name: "data", type: "symlink", linkName: canary }),
      entry({ name: "tmpdir", type: "symlink", linkName: `../../..${canary}` }),
    );
    const plan = {
      reference: "links:1",
      config: { Env: ["PATH=/bin"] },
      layers: [await busyboxLayer(), layer],
    };
    expect((await load(dockerArchive([plan]))).error).toBe("");
    await inside(docker, "touch /work/new /data/new; true", {}, { Image: "links:1" });
    expectCanary();
    for (const HostConfig of [
      { Tmpfs: { "/tmpdir/t": "" } },
      { Binds: [`${canary}/file:/tmpdir/f:ro`] },
      { Binds: ["/tmp:/work/deep/er"] },
      { Binds: ["/data/volume"] },
    ]) {
      // A mount point behind a link to nowhere: made inside, or refused as the sender's fault.
      const script = run(docker, "true", { Image: "links:1", HostConfig });
      const status = await script.then(
        () => 200,
        (error: { statusCode?: number }) => error.statusCode,
      );
      expect([200, 400]).toContain(status ?? 0);
      expectCanary();
      await engine.removeContainers();
    }
    for (const folder of ["etc", "proc", "dev"]) {
      const root = tar(entry({ name: folder, type: "symlink", linkName: canary }));
      const swapped = { reference: "swapped:1", layers: [await bareLayer(), root] };
      expect((await load(dockerArchive([swapped]))).error).toBe("");
      await inside(docker, "true", {}, { Image: "swapped:1" }).catch(() => undefined);
      expectCanary();
      await engine.removeContainers();
    }
    await docker.getImage("swapped:1").remove();
    await docker.getImage("links:1").remove();
  });
}

/** busybox alone, without the folders that would be in the way of links. */
async function bareLayer(): Promise<Buffer> {
  const busybox = readFileSync("/bin/busybox");
  return tar(entry({ name: "bin/sh", mode: 0o755 }, busybox));
}

function archiveTests(): void {
  const layer = tar(entry({ name: "f" }, "x"));
  const config = JSON.stringify({
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
  });
  const docker1 = (manifest: unknown, ...more: Buffer[]): Buffer =>
    tar(
      entry({ name: "c.json" }, config),
      entry({ name: "l.tar" }, layer),
      ...more,
      entry(
        { name: "manifest.json" },
        typeof manifest === "string" ? manifest : JSON.stringify(manifest),
      ),
    );
  const item = (over: object = {}): object[] => [
    { Config: "c.json", RepoTags: ["hostile:1"], Layers: ["l.tar"], ...over },
  ];

  its("docker archives: the manifest", async () => {
    const cases: [name: string, bytes: Buffer, says: RegExp][] = [
      ["nothing in it", tar(), /manifest\.json|empty/],
      ["not JSON", docker1("{{{{"), /manifest\.json/],
      ["not a list", docker1({ a: 1 }), /manifest\.json/],
      ["a list of null", docker1([null]), /manifest\.json\[0\]/],
      ["deep", docker1("[".repeat(200_000)), /manifest\.json/],
      ["huge", docker1(`["${"x".repeat(20 * MIB)}"]`), /manifest\.json|bytes/],
      ["an empty list", docker1([]), /no image/],
      ["Config a number", docker1(item({ Config: 5 })), /Config/],
      ["Config missing", docker1(item({ Config: "no.json" })), /no\.json.*missing/],
      ["Config outside", docker1(item({ Config: `../../..${canary}/file` })), /missing/],
      ["Config not JSON", docker1(item({ Config: "l.tar" })), /l\.tar/],
      ["layers missing", docker1(item({ Layers: ["no.tar"] })), /no\.tar.*missing/],
      ["layer outside", docker1(item({ Layers: [`../../..${canary}/file`] })), /missing/],
      ["layer an absolute path", docker1(item({ Layers: [`${canary}/file`] })), /missing/],
      ["layers no texts", docker1(item({ Layers: [5] })), /Layers/],
      ["too many layers", docker1(item({ Layers: ["l.tar", "l.tar"] })), /2 layers/],
      ["no layers", docker1(item({ Layers: [] })), /0 layers/],
      ["tag no reference", docker1(item({ RepoTags: ["UPPER CASE"] })), /UPPER CASE|reference/],
      ["tag a path", docker1(item({ RepoTags: ["../../x:1"] })), /reference/],
      ["tag a number", docker1(item({ RepoTags: [1] })), /RepoTags/],
      [
        "a layer that is a link out",
        tar(
          entry({ name: "c.json" }, config),
          entry({ name: "l.tar", type: "symlink", linkName: `${canary}/file` }),
          entry({ name: "manifest.json" }, JSON.stringify(item())),
        ),
        /l\.tar.*missing/,
      ],
      [
        "a loop of links",
        tar(
          entry({ name: "c.json", type: "symlink", linkName: "d.json" }),
          entry({ name: "d.json", type: "symlink", linkName: "c.json" }),
          entry({ name: "manifest.json" }, JSON.stringify(item())),
        ),
        /c\.json.*loop/,
      ],
      ["a device", docker1(item(), entry({ name: "dev", type: "block" })), /"dev"/],
      [
        "another layer than the configuration says",
        docker1(item(), entry({ name: "l.tar" }, tar(entry({ name: "g" }, "y")))),
        /sha256:/,
      ],
    ];
    await expectRefused(
      cases.map(([name, bytes, says]) => ({ name, says, answer: () => load(bytes) })),
    );
  });

  its("OCI layouts: digests, sizes, missing blobs", async () => {
    const whole = ociArchive([{ reference: "hostile:1", layers: [layer] }]);
    const at = whole.indexOf("blobs/sha256/");
    expect(at).toBeGreaterThan(0);
    const changed = Buffer.from(whole);
    const content = changed.indexOf('"architecture"');
    changed.write('"architectura"', content);
    const manifest = (descriptor: object): Buffer => {
      const index = JSON.stringify({ schemaVersion: 2, manifests: [descriptor] });
      return tar(
        entry({ name: "oci-layout" }, '{"imageLayoutVersion":"1.0.0"}'),
        entry({ name: "index.json" }, index),
        entry({ name: `blobs/sha256/${sha256(Buffer.from("{}"))}` }, "{}"),
      );
    };
    const type = "application/vnd.oci.image.manifest.v1+json";
    const digest = `sha256:${sha256(Buffer.from("{}"))}`;
    const cases: [name: string, bytes: Buffer, says: RegExp][] = [
      ["a blob with another content", changed, /blobs\/sha256.*sha256:|digest/],
      [
        "a missing manifest",
        manifest({ mediaType: type, size: 2, digest: `sha256:${"0".repeat(64)}` }),
        /sha256:0000.*missing/,
      ],
      ["a size that differs", manifest({ mediaType: type, size: 3, digest }), /has 2 bytes, not 3/],
      [
        "a digest that is none",
        manifest({ mediaType: type, size: 2, digest: "sha256:../../x" }),
        /digest/,
      ],
      [
        "another algorithm",
        manifest({ mediaType: type, size: 2, digest: `md5:${"0".repeat(32)}` }),
        /digest/,
      ],
      [
        "a manifest of nothing",
        manifest({ mediaType: type, size: 2, digest }),
        /config|manifest|schemaVersion/,
      ],
      ["a negative size", manifest({ mediaType: type, size: -2, digest }), /size/],
      ["an index of itself", selfIndex(), /missing|nested|digest|no image/],
    ];
    await expectRefused(
      cases.map(([name, bytes, says]) => ({ name, says, answer: () => load(bytes) })),
    );
  });

  its("any change of a byte loads or is refused, and nothing breaks", async () => {
    const seed = fuzzSeed("bad-archives.test.ts");
    const wholes = [dockerArchive([{ layers: [layer] }]), ociArchive([{ layers: [layer] }])];
    const change = fc.record({ at: fc.nat(20_000), value: fc.nat(255) });
    const property = fc.asyncProperty(
      fc.constantFrom(...wholes),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (whole, changes, packed) => {
        const bytes = Buffer.from(whole);
        for (const { at, value } of changes) bytes[at % bytes.length] = value;
        const { status, error } = await load(packed ? gzipSync(bytes) : bytes);
        if (status >= 500) throw new Error(error);
        expectCanary();
      },
    );
    await fc.assert(property, { numRuns: 120 * FUZZ_FACTOR, seed });
    const pruned = "/images/prune?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D";
    expect((await engine.fetch(pruned, { method: "POST" })).status).toBe(200);
  });
}

/** An index whose only member claims to be an index too, five times over. */
function selfIndex(): Buffer {
  const type = "application/vnd.oci.image.index.v1+json";
  const blobs: Buffer[] = [];
  let below: object[] = [];
  for (let depth = 0; depth < 8; depth += 1) {
    const text = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: below });
    const hex = sha256(Buffer.from(text));
    blobs.push(entry({ name: `blobs/sha256/${hex}` }, text));
    below = [{ mediaType: type, digest: `sha256:${hex}`, size: text.length }];
  }
  const index = JSON.stringify({ schemaVersion: 2, manifests: below });
  return tar(...blobs, entry({ name: "index.json" }, index));
}

function sizeTests(): void {
  its("a gzip bomb is written no further than is told, and memory stays", async () => {
    const before = residentBytes(engine.pid);
    const gzip = createGzip({ level: 9 });
    const chunks: Buffer[] = [];
    gzip.on("data", (chunk: Buffer) => chunks.push(chunk));
    const done = new Promise((resolve) => gzip.once("end", resolve));
    gzip.write(entry({ name: "bomb", sizeBytes: 2 ** 38 }));
    const zeros = Buffer.alloc(8 * MIB);
    for (let count = 0; count < 40; count += 1) {
      await new Promise<void>((resolve) => gzip.write(zeros, () => resolve()));
    }
    gzip.end();
    await done;
    const bomb = Buffer.concat(chunks);
    expect(bomb.length).toBeLessThan(MIB);
    await expectRefused([
      { name: "import", says: /"bomb"/, answer: () => importTar(bomb) },
      { name: "load", says: /"bomb"/, answer: () => load(bomb) },
    ]);
    expect(residentBytes(engine.pid) - before).toBeLessThan(GROWTH_BYTES_MAX);
  });

  its("100,000 tiny entries: in a layer they are taken, as an image archive refused", async () => {
    const before = residentBytes(engine.pid);
    const parts = Array.from({ length: 100_000 }, (_, at) =>
      Buffer.from(encodeName(`d${at % 100}/f${at}`)),
    );
    const many = tar(...parts);
    const folder = entry({ name: "d", type: "directory" });
    const folders = tar(...Array.from({ length: 100_000 }, () => folder));
    await expectRefused([
      { name: "load", says: /50000|entries/, answer: () => load(gzipSync(folders)) },
    ]);
    const { error } = await importTar(gzipSync(many), "&repo=many&tag=1");
    expect(error).toBe("");
    await docker.getImage("many:1").remove();
    expect(residentBytes(engine.pid) - before).toBeLessThan(GROWTH_BYTES_MAX);
  });

  its("an upload that is cut off leaves nothing, wherever the cut is", async () => {
    const before = await images();
    const whole = readFileSync((await busyboxFiles()).ociArchive);
    const changed = dockerArchive([
      { reference: "cut:1", layers: [await busyboxLayer(), tar(entry({ name: "n" }, "n"))] },
    ]);
    for (const bytes of [whole, changed]) {
      for (const share of [0.001, 0.1, 0.5, 0.9, 0.999]) {
        const length = Math.floor(bytes.length * share);
        const head = `POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`;
        const client = new RawClient(engine.socket).send(head).send(bytes.subarray(0, length));
        await Bun.sleep(40);
        client.socket.destroy();
      }
    }
    await Bun.sleep(100);
    expect(await images()).toEqual(before);
  });
}

function encodeName(name: string): Uint8Array {
  return entry({ name }).subarray(0, 512);
}

async function nothingLeft(): Promise<void> {
  expectCanary();
  for (const id of await images()) {
    await engine.fetch(`/images/${id}?force=1`, { method: "DELETE" });
  }
  await engine.fetch("/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D", {
    method: "POST",
  });
  const folders = ["blobs/sha256", "layers/l"].map((path) => join(engine.dataRoot, path));
  const left = (): string[] =>
    folders.flatMap((path) => (existsSync(path) ? readdirSync(path) : []));
  const deadlineMs = Date.now() + 10_000;
  while (left().length > 0 && Date.now() < deadlineMs) await Bun.sleep(50);
  expect(left()).toEqual([]);
  expect(readFileSync(engine.logFile, "utf8")).not.toMatch(/level=error/);
}
