import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { type Digest, digestHex, digestOf, isNaruError, systemClock } from "../../src/base/mod.ts";
import type { EngineEvent } from "../../src/events/mod.ts";
import type { ImageImportOptions } from "../../src/images/mod.ts";
import { createImageService, type ImageService } from "../../src/images/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import { encodeTarEntry, type TarEntryInput, tarPadding, tarTrailer } from "../../src/oci/mod.ts";
import type { ProgressMessage } from "../../src/spec/mod.ts";
import {
  createWorkQueue,
  type LayerStore,
  type LayerStoreControl,
  type Metadata,
  openBlobStore,
  openLayerStore,
  openMetadata,
  type WorkQueue,
} from "../../src/storage/mod.ts";

/** Real files with owners and devices: needs root. */
const base = mkdtempSync(join(tmpdir(), "naru-images-"));
let serial = 0;
let root: string;
let metadata: Metadata;
let work: WorkQueue;
let layers: LayerStore & LayerStoreControl;
let images: ImageService;
let events: EngineEvent[];
let users: Map<Digest, { containerId: string; running: boolean }[]>;

async function openAll(path: string): Promise<void> {
  root = path;
  mkdirSync(root, { recursive: true });
  events = [];
  users = new Map();
  metadata = await openMetadata(join(root, "naru.db"));
  work = createWorkQueue(metadata, { clock: systemClock, logger: silentLogger });
  layers = await openLayerStore({
    root: join(root, "layers"),
    metadata,
    work,
    logger: silentLogger,
  });
  const blobs = await openBlobStore(root);
  images = await createImageService({
    metadata,
    blobs,
    layers,
    events: { publish: (event) => void events.push(event) },
    users: { usersOf: (id) => users.get(id) ?? [] },
    clock: systemClock,
    logger: silentLogger,
  });
  work.start();
}

async function closeAll(): Promise<void> {
  layers.close();
  await work.idle();
  await work.stop();
  await metadata.close();
}

beforeAll(() => openAll(join(base, "first")));
beforeEach(async () => {
  await closeAll();
  await openAll(join(base, String((serial += 1))));
});
afterAll(async () => {
  await closeAll();
  rmSync(base, { recursive: true, force: true });
});

// --- archives made here ------------------------------------------------------------------------

function entry(input: TarEntryInput, content: string | Uint8Array = ""): Buffer {
  const body = Buffer.from(content as Uint8Array);
  const sizeBytes = input.sizeBytes ?? body.byteLength;
  return Buffer.concat([
    encodeTarEntry({ ...input, sizeBytes }),
    body,
    tarPadding(body.byteLength),
  ]);
}

const archive = (...entries: Uint8Array[]): Buffer => Buffer.concat([...entries, tarTrailer()]);
const layerTar = (name: string, content = "content"): Buffer => archive(entry({ name }, content));
const hex = (bytes: string | Uint8Array): string => digestHex(digestOf(bytes));

function configJson(
  layerTars: readonly Uint8Array[],
  config: unknown = {},
  more: object = {},
): string {
  return JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created: "2026-01-02T03:04:05.678901234Z",
    config,
    rootfs: { type: "layers", diff_ids: layerTars.map((tar) => digestOf(tar)) },
    history: [
      ...layerTars.map((_, index) => ({
        created: "2026-01-02T03:04:05Z",
        created_by: `ADD ${index}`,
        comment: "c",
      })),
      { created: "2026-01-02T03:04:05Z", created_by: "CMD", empty_layer: true },
    ],
    ...more,
  });
}

interface DockerArchiveOptions {
  readonly tags: readonly string[] | null;
  readonly config?: unknown;
  /** manifest.json in front instead of at the end. */
  readonly manifestFirst?: boolean;
}

function dockerArchive(layerTars: readonly Uint8Array[], options: DockerArchiveOptions): Buffer {
  const config = configJson(layerTars, options.config);
  const names = layerTars.map((_, index) => `layer${index}/layer.tar`);
  const manifest = JSON.stringify([
    { Config: `${hex(config)}.json`, RepoTags: options.tags, Layers: names },
  ]);
  const files = layerTars.map((tar, index) => entry({ name: names[index] as string }, tar));
  files.unshift(entry({ name: `${hex(config)}.json` }, config));
  const manifestFile = entry({ name: "manifest.json" }, manifest);
  return archive(
    ...(options.manifestFirst === true ? [manifestFile, ...files] : [...files, manifestFile]),
  );
}

interface LayoutImage {
  readonly tar: Uint8Array;
  readonly architecture?: string;
}

/** A layout whose index.json names one index over `list`, or the one manifest itself. */
function ociLayout(
  list: readonly LayoutImage[],
  annotations: Record<string, string>,
  nested: boolean,
) {
  const blobs = new Map<string, Uint8Array>();
  const put = (bytes: Uint8Array, mediaType: string) => {
    blobs.set(hex(bytes), bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
  };
  const manifests = list.map(({ tar, architecture = "amd64" }) => {
    const config = Buffer.from(configJson([tar], {}, { architecture }));
    const manifest = Buffer.from(
      // Blanks, so that a re-encoded manifest would have another digest.
      `${JSON.stringify({
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: put(config, "application/vnd.oci.image.config.v1+json"),
        layers: [put(gzipSync(tar), "application/vnd.oci.image.layer.v1.tar+gzip")],
      })}  \n`,
    );
    const descriptor = put(manifest, "application/vnd.oci.image.manifest.v1+json");
    return {
      ...descriptor,
      platform: { os: "linux", architecture },
      configDigest: digestOf(config),
    };
  });
  const plain = manifests.map(({ configDigest: _, ...descriptor }) => descriptor);
  const inner = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: plain }));
  const target = nested ? put(inner, "application/vnd.oci.image.index.v1+json") : plain[0];
  const index = JSON.stringify({ schemaVersion: 2, manifests: [{ ...target, annotations }] });
  const bytes = archive(
    entry({ name: "oci-layout" }, '{"imageLayoutVersion":"1.0.0"}'),
    entry({ name: "index.json" }, index),
    ...[...blobs].map(([name, content]) => entry({ name: `blobs/sha256/${name}` }, content)),
  );
  return { bytes, blobs, manifests };
}

// --- driving the service -----------------------------------------------------------------------

async function* stream(
  bytes: Uint8Array,
  step = 50_000,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += step) yield bytes.subarray(at, at + step);
}

async function load(bytes: Uint8Array, quiet = true): Promise<ProgressMessage[]> {
  const signal = new AbortController().signal;
  return Array.fromAsync(images.load(stream(bytes), { quiet, signal }));
}

function importing(
  bytes: Uint8Array,
  options: Partial<ImageImportOptions> = {},
): Promise<ProgressMessage[]> {
  const signal = new AbortController().signal;
  const full = { repo: "", tag: "", message: "", changes: [], platform: "", signal, ...options };
  return Array.fromAsync(images.import(stream(bytes), full));
}

const list = (filters: Record<string, string[]> = {}, sharedSize = false) =>
  images.list({ all: false, sharedSize, filters: new Map(Object.entries(filters)) });
const blobNames = (): string[] => readdirSync(join(root, "blobs/sha256")).sort();

async function expectEmpty(): Promise<void> {
  await work.idle();
  expect(blobNames()).toEqual([]);
  expect(readdirSync(join(root, "ingest"))).toEqual([]);
  for (const folder of ["l", "unpack", "trash"]) {
    expect(readdirSync(join(root, "layers", folder))).toEqual([]);
  }
}

describe("load", () => {
  test.each([
    ["plain", (bytes: Buffer) => bytes],
    ["gzip", (bytes: Buffer) => gzipSync(bytes)],
    ["zstd", (bytes: Buffer) => zstdCompressSync(bytes)],
  ])("a docker-archive, %s, manifest.json first or last", async (_name, pack) => {
    const tars = [layerTar("a", "1"), layerTar("b", "22")];
    for (const manifestFirst of [false, true]) {
      const tags = [`app:${manifestFirst}`, "app:both"];
      const bytes = dockerArchive(tars, { tags, manifestFirst, config: { Env: ["A=1"] } });
      const messages = await load(pack(bytes));
      expect(messages).toEqual(tags.map((tag) => ({ stream: `Loaded image: ${tag}\n` })));
    }
    const image = images.resolve("app:both");
    expect(image.id).toBe(digestOf(configJson(tars, { Env: ["A=1"] })));
    expect(image.repoTags).toEqual(["app:both", "app:false", "app:true"]);
    expect(image.containerConfig).toMatchObject({ Env: ["A=1"], Cmd: null, User: "" });
    expect(layers.get(image.chainId as Digest)?.diffId).toBe(digestOf(tars[1] as Buffer));
    expect((await list())[0]).toMatchObject({ Size: 3, Created: 1767323045, SharedSize: -1 });
    // Two layers, the configuration and the manifest that was made for it; no manifest.json.
    expect(blobNames().length).toBe(4);
  });

  test("the manifest made for a docker-archive is always the same", async () => {
    const bytes = dockerArchive([layerTar("a")], { tags: ["x"] });
    await load(bytes);
    const first = (await images.inspect("x")).Descriptor;
    await images.remove("x", { force: false, noprune: false });
    await load(gzipSync(bytes));
    expect((await images.inspect("x")).Descriptor).toEqual(first as NonNullable<typeof first>);
  });

  test("layers that are links to each other, as old dockers write them", async () => {
    const tar = layerTar("a");
    const config = configJson([tar, tar]);
    const manifest = JSON.stringify([
      { Config: "c.json", RepoTags: ["old:1"], Layers: ["one/layer.tar", "two/layer.tar"] },
    ]);
    const bytes = archive(
      entry({ name: "one/", type: "directory" }),
      entry({ name: "two/layer.tar", type: "symlink", linkName: "../one/layer.tar" }),
      entry({ name: "one/layer.tar" }, tar),
      entry({ name: "repositories" }, "{}"),
      entry({ name: "c.json" }, config),
      entry({ name: "manifest.json" }, manifest),
    );
    await load(bytes);
    expect(images.resolve("old:1").config.rootfs.diff_ids.length).toBe(2);
  });

  test("an image without a tag is told by its id", async () => {
    const [message] = await load(dockerArchive([layerTar("a")], { tags: null }));
    const [only] = await list({ dangling: ["true"] });
    expect(message).toEqual({ stream: `Loaded image ID: ${only?.Id}\n` });
    expect(only?.RepoTags).toEqual([]);
  });

  test("a tag that moves leaves the old image without a name", async () => {
    await load(dockerArchive([layerTar("a")], { tags: ["x:1"] }));
    const { id } = images.resolve("x:1");
    const messages = await load(dockerArchive([layerTar("b")], { tags: ["x:1"] }));
    expect(messages[0]?.stream).toBe(
      `The image x:1 already exists, renaming the old one with ID ${id} to empty string\n`,
    );
    expect(images.resolve(id).repoTags).toEqual([]);
  });

  test("progress is told unless quiet", async () => {
    const bytes = dockerArchive([layerTar("a", "x".repeat(3_000_000))], { tags: ["x"] });
    const messages = await load(bytes, false);
    const progress = messages.filter(({ status }) => status === "Loading layer");
    expect(progress.at(-1)?.progressDetail).toEqual({ current: 3_001_856, total: 3_001_856 });
    expect(progress[0]?.id).toMatch(/^[0-9a-f]{12}$/);
  });

  test("an OCI layout keeps its digests to the byte, all platforms included", async () => {
    const list = [{ tar: layerTar("arm"), architecture: "arm64" }, { tar: layerTar("amd") }];
    const name = {
      "io.containerd.image.name": "docker.io/library/multi:1",
      "org.opencontainers.image.ref.name": "1",
    };
    const { bytes, blobs, manifests } = ociLayout(list, name, true);
    expect(await load(bytes)).toEqual([{ stream: "Loaded image: multi:1\n" }]);
    const host = manifests.find(
      ({ platform }) => platform.architecture === (process.arch === "arm64" ? "arm64" : "amd64"),
    );
    expect(images.resolve("multi:1").id).toBe(host?.configDigest as Digest);
    expect((await images.inspect("multi:1")).Descriptor?.digest).toBe(host?.digest as string);
    expect(blobNames()).toEqual([...blobs.keys()].sort());
    for (const [file, content] of blobs) {
      expect(readFileSync(join(root, "blobs/sha256", file)).equals(Buffer.from(content))).toBe(
        true,
      );
    }
    expect([...layers.all()].length).toBe(1);
  });

  test("an OCI layout with one manifest and a plain name", async () => {
    const { bytes } = ociLayout(
      [{ tar: layerTar("a") }],
      { "org.opencontainers.image.ref.name": "one:2" },
      false,
    );
    expect(await load(bytes)).toEqual([{ stream: "Loaded image: one:2\n" }]);
  });

  test("events: load, with the labels", async () => {
    await load(dockerArchive([layerTar("a")], { tags: ["x"], config: { Labels: { k: "v" } } }));
    const { id } = images.resolve("x");
    expect(events).toEqual([
      { type: "image", action: "load", id, attributes: { k: "v", name: id } },
    ]);
  });
});

describe("archives that cannot be loaded", () => {
  const good = layerTar("a");
  const manifestOf = (manifest: unknown, ...more: Uint8Array[]): Buffer =>
    archive(entry({ name: "manifest.json" }, JSON.stringify(manifest)), ...more);
  const config = entry({ name: "c.json" }, configJson([good]));
  const layer = entry({ name: "l.tar" }, good);
  const item = { Config: "c.json", RepoTags: ["x:1"], Layers: ["l.tar"] };
  const cases: [string, Buffer, RegExp][] = [
    ["no archive", Buffer.from("this is no tar archive".repeat(100)), /invalid tar archive/],
    ["nothing", Buffer.alloc(0), /neither manifest.json nor index.json/],
    ["an empty archive", Buffer.alloc(10_240), /neither manifest.json nor index.json/],
    ["a root file system", layerTar("bin/sh"), /neither manifest.json nor index.json/],
    ["a missing layer", manifestOf([item], config), /"l.tar" is missing/],
    ["a missing configuration", manifestOf([item], layer), /"c.json" is missing/],
    ["a bad tag", manifestOf([{ ...item, RepoTags: ["X:1"] }], config, layer), /must be lowercase/],
    [
      "too many layers",
      manifestOf([{ ...item, Layers: ["l.tar", "l.tar"] }], config, layer),
      /2 layers and its configuration 1/,
    ],
    ["wrong types", manifestOf([{ ...item, Layers: 7 }], config, layer), /Layers is not a list/],
    ["a broken document", archive(entry({ name: "manifest.json" }, "{")), /not JSON/],
    [
      "another diff id",
      manifestOf([item], config, entry({ name: "l.tar" }, layerTar("b"))),
      /has digest sha256/,
    ],
    [
      "a hostile layer",
      manifestOf(
        [item],
        entry({ name: "c.json" }, configJson([layerTar("../../x")])),
        entry({ name: "l.tar" }, layerTar("../../x")),
      ),
      /entry "..\/..\/x"/,
    ],
    [
      "a loop of links",
      manifestOf(
        [item],
        config,
        entry({ name: "l.tar", type: "symlink", linkName: "m.tar" }),
        entry({ name: "m.tar", type: "symlink", linkName: "l.tar" }),
      ),
      /loop of links/,
    ],
    [
      "a link out of the archive",
      manifestOf(
        [item],
        config,
        entry({ name: "l.tar", type: "symlink", linkName: "/etc/passwd" }),
      ),
      /missing/,
    ],
    ["a device", archive(entry({ name: "dev", type: "char" })), /"dev" is a char device/],
    [
      "a digest that lies",
      archive(entry({ name: `blobs/sha256/${"0".repeat(64)}` }, "x")),
      /entry "blobs.*digest/,
    ],
    ["a cut archive", dockerArchive([good], { tags: ["x"] }).subarray(0, 2500), /too early/],
    ["cut gzip", gzipSync(dockerArchive([good], { tags: ["x"] })).subarray(0, 200), /gzip/],
  ];

  test.each(cases)("%s", async (_name, bytes, message) => {
    const loading = load(bytes);
    await expect(loading).rejects.toMatchObject({ kind: "invalid_argument" });
    await expect(loading).rejects.toThrow(message);
    expect(images.count()).toBe(0);
    await expectEmpty();
  });

  test("mutated archives load or are refused, and leave nothing half-made", async () => {
    const whole = dockerArchive([good], { tags: ["x:1"] });
    const edits = fc.array(
      fc.tuple(fc.nat(whole.byteLength - 1), fc.integer({ min: 0, max: 255 })),
      { minLength: 1, maxLength: 4 },
    );
    const property = fc.asyncProperty(edits, async (list) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of list) bytes[at] = value;
      try {
        await load(bytes);
        for (const image of await images.list({
          all: true,
          sharedSize: false,
          filters: new Map(),
        })) {
          await images.remove(image.Id, { force: true, noprune: false });
        }
      } catch (error) {
        if (!isNaruError(error, "invalid_argument")) throw error;
      }
      await expectEmpty();
    });
    await fc.assert(property, { numRuns: 80 });
  }, 60_000);

  test("a client that goes away stops the load", async () => {
    const aborter = new AbortController();
    let ended = false;
    async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        yield encodeTarEntry({ name: "huge", sizeBytes: 1e10 });
        for (let index = 0; ; index += 1) {
          yield Buffer.alloc(100_000);
          if (index === 20) aborter.abort();
        }
      } finally {
        ended = true;
      }
    }
    const options = { quiet: true, signal: aborter.signal };
    const loading = Array.fromAsync(images.load(endless(), options));
    await expect(loading).rejects.toMatchObject({ kind: "cancelled" });
    expect(ended).toBe(true);
    await expectEmpty();
  });
});

describe("import", () => {
  test.each([
    ["plain", (bytes: Buffer) => bytes],
    ["gzip", (bytes: Buffer) => gzipSync(bytes)],
    ["zstd", (bytes: Buffer) => zstdCompressSync(bytes)],
  ])("a root file system, %s", async (_name, pack) => {
    const tar = archive(entry({ name: "bin/sh" }, "shell"));
    const changes = ['CMD ["sh"]', "ENV A=1 B=2", "EXPOSE 80"];
    const [message] = await importing(pack(tar), {
      repo: "made",
      tag: "x",
      message: "hi",
      changes,
    });
    const image = images.resolve("made:x");
    expect(message).toEqual({ status: image.id });
    expect(image.config.rootfs.diff_ids).toEqual([digestOf(tar)]);
    const inspect = await images.inspect("made:x");
    expect(inspect).toMatchObject({ Comment: "hi", Os: "linux", RepoTags: ["made:x"] });
    expect(inspect.Config).toMatchObject({
      Cmd: ["sh"],
      Env: ["A=1", "B=2"],
      ExposedPorts: { "80/tcp": {} },
    });
    expect(await images.history("made:x")).toMatchObject([
      { Id: image.id, Comment: "hi", Size: 5, Tags: ["made:x"] },
    ]);
    expect(events.map(({ action, attributes }) => [action, attributes["name"]])).toEqual([
      ["tag", "made:x"],
      ["import", image.id],
    ]);
  });

  test("without a name; the comment says where it is from", async () => {
    await importing(layerTar("a"));
    const [only] = await list();
    expect((await images.inspect(only?.Id as string)).Comment).toBe("Imported from -");
  });

  test.each([
    ["Bad", "x", [], /must be lowercase/],
    ["good", "bad/tag", [], /invalid tag format/],
    ["good", "", ["RUN x"], /^run is not a valid change command$/],
    ["good", "", ["NONSENSE x"], /^nonsense is not a valid change command$/],
    ["good", "", ["CMD true", "EXPOSE many"], /changes line 2: EXPOSE .*many/],
    ["good@sha256:0000", "", [], /invalid reference format/],
  ] as [string, string, string[], RegExp][])(
    "%s:%s %p is refused before the body",
    async (repo, tag, changes, message) => {
      const job = importing(layerTar("a"), { repo, tag, changes });
      await expect(job).rejects.toMatchObject({ kind: "invalid_argument" });
      await expect(job).rejects.toThrow(message);
      await expectEmpty();
    },
  );

  test("garbage is refused", async () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from("x".repeat(600)),
      layerTar("a").subarray(0, 515),
    ]) {
      await expect(importing(bytes, { repo: "x" })).rejects.toMatchObject({
        kind: "invalid_argument",
      });
    }
    await expectEmpty();
  });
});

describe("names", () => {
  beforeEach(async () => {
    await load(dockerArchive([layerTar("a")], { tags: ["app:1", "localhost:5000/team/app:2"] }));
  });

  test("ids, short ids, tags and defaults lead to the image", async () => {
    const { id } = images.resolve("app:1");
    for (const name of [
      id,
      digestHex(id),
      digestHex(id).slice(0, 12),
      id.slice(0, 20),
      "docker.io/library/app:1",
      "library/app:1",
      "localhost:5000/team/app:2",
    ]) {
      expect(images.resolve(name).id).toBe(id);
    }
    await images.tag("app:1", { repo: "app", tag: "" });
    expect(images.resolve("app").id).toBe(id);
  });

  test.each([
    ["nothing", "not_found", "No such image: nothing:latest"],
    ["nothing:tag", "not_found", "No such image: nothing:tag"],
    [
      "registry.example.com:5000/a/b",
      "not_found",
      "No such image: registry.example.com:5000/a/b:latest",
    ],
    ["sha256:0000", "not_found", "No such image: sha256:0000"],
    ["UPPER", "invalid_argument", "invalid reference format: repository name must be lowercase"],
    ["a@sha256:0000", "invalid_argument", "invalid reference format"],
    ["", "invalid_argument", "invalid reference format"],
  ])("%p is %s", (name, kind, message) => {
    expect(() => images.resolve(name)).toThrow(message);
    expect(() => images.resolve(name)).toThrow(expect.objectContaining({ kind }));
    if (kind === "not_found") expect(images.find(name)).toBeUndefined();
  });

  test("tags survive a restart, are idempotent and told", async () => {
    await images.tag("app:1", { repo: "other:y", tag: "z" });
    await images.tag("app:1", { repo: "other:y", tag: "z" });
    expect(events.slice(1).map(({ action, attributes }) => [action, attributes["name"]])).toEqual([
      ["tag", "other:z"],
      ["tag", "other:z"],
    ]);
    const path = root;
    await closeAll();
    await openAll(path);
    expect(images.resolve("other:z").repoTags).toEqual([
      "app:1",
      "other:z",
      "localhost:5000/team/app:2",
    ]);
  });

  test.each([
    ["Other", "x", /must be lowercase/],
    ["other", "a/b", /invalid tag format/],
    ["", "x", /invalid reference format/],
    ["sha256", "abc", /refusing to create an ambiguous tag/],
    ["a".repeat(64), "", /ambiguous/],
  ])("tag %p %p is refused", async (repo, tag, message) => {
    await expect(images.tag("app:1", { repo, tag })).rejects.toThrow(message);
  });

  test("list filters", async () => {
    await load(
      dockerArchive([layerTar("b")], { tags: null, config: { Labels: { kind: "x", "a=b": "" } } }),
    );
    expect((await list({ dangling: ["true"] })).length).toBe(1);
    expect((await list({ dangling: ["false"] })).length).toBe(1);
    expect((await list({ reference: ["ap*"] })).map(({ RepoTags }) => RepoTags)).toEqual([
      ["app:1"],
    ]);
    expect((await list({ reference: ["*/*/app"] })).map(({ RepoTags }) => RepoTags)).toEqual([
      ["localhost:5000/team/app:2"],
    ]);
    expect(await list({ reference: ["nothing"] })).toEqual([]);
    expect((await list({ label: ["kind=x"] })).length).toBe(1);
    expect((await list({ label: ["kind"] })).length).toBe(1);
    expect(await list({ label: ["kind=y"] })).toEqual([]);
    expect((await list({ until: ["2026-01-03T00:00:00Z"] })).length).toBe(2);
    expect(await list({ until: ["2026-01-01T00:00:00Z"] })).toEqual([]);
    expect(await list({ before: ["app:1"] })).toEqual([]);
    await expect(list({ before: ["nothing"] })).rejects.toMatchObject({ kind: "not_found" });
    await expect(list({ dangling: ["maybe"] })).rejects.toThrow(
      "invalid filter 'dangling=[maybe]'",
    );
    await expect(list({ reference: ["[a"] })).rejects.toMatchObject({ kind: "invalid_argument" });
  });

  test("history is newest first and the top one carries the id", async () => {
    const history = await images.history("app:1");
    expect(history).toMatchObject([
      {
        Id: images.resolve("app:1").id,
        CreatedBy: "CMD",
        Size: 0,
        Tags: ["app:1", "localhost:5000/team/app:2"],
      },
      { Id: "<missing>", CreatedBy: "ADD 0", Size: 7, Comment: "c", Tags: null },
    ]);
  });
});

describe("remove", () => {
  const shared = layerTar("base");
  const keep = { force: false, noprune: false };
  const force = { force: true, noprune: false };
  let id: Digest;

  beforeEach(async () => {
    await load(dockerArchive([shared], { tags: ["base:1"] }));
    await load(dockerArchive([shared, layerTar("top")], { tags: ["app:1", "app:2"] }));
    id = images.resolve("app:1").id;
    events.length = 0;
  });

  const use = (running: boolean): void =>
    void users.set(id, [{ containerId: "c".repeat(64), running }]);
  const short = (): string => digestHex(id).slice(0, 12);

  test("a name among several is only taken away; the last one removes", async () => {
    expect(await images.remove("app:1", keep)).toEqual([{ Untagged: "app:1" }]);
    const chainId = images.resolve("app:2").chainId as Digest;
    expect(await images.remove("app:2", keep)).toEqual([
      { Untagged: "app:2" },
      { Deleted: id },
      { Deleted: chainId },
    ]);
    expect(events.map(({ action, attributes }) => [action, attributes["name"]])).toEqual([
      ["untag", id],
      ["untag", id],
      ["delete", id],
    ]);
    await expect(images.remove("app:2", keep)).rejects.toThrow("No such image: app:2");
    expect([...layers.all()].length).toBe(1); // the shared one stays
    await images.remove("base:1", keep);
    await expectEmpty();
  });

  test("by id with several names it must be forced", async () => {
    const message = `conflict: unable to delete ${short()} (must be forced) - image is referenced in multiple repositories`;
    await expect(images.remove(id, keep)).rejects.toThrow(message);
    const items = await images.remove(id, force);
    expect(items.slice(0, 3)).toEqual([
      { Untagged: "app:1" },
      { Untagged: "app:2" },
      { Deleted: id },
    ]);
  });

  test("two removals at once: one of them finds nothing", async () => {
    const both = await Promise.allSettled([
      images.remove("base:1", keep),
      images.remove("base:1", keep),
    ]);
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  test("used by a running container", async () => {
    use(true);
    await images.remove("app:2", keep);
    await expect(images.remove("app:1", keep)).rejects.toThrow(
      `conflict: unable to remove repository reference "app:1" (must force) - container ${"c".repeat(12)} is using its referenced image ${short()}`,
    );
    const hard = `conflict: unable to delete ${short()} (cannot be forced) - image is being used by running container ${"c".repeat(12)}`;
    await expect(images.remove(id, keep)).rejects.toThrow(hard);
    await expect(images.remove(id, force)).rejects.toThrow(hard);
    expect(await images.remove("app:1", force)).toEqual([{ Untagged: "app:1" }]);
    expect(images.resolve(id).repoTags).toEqual([]);
  });

  test("removed by force under a stopped container: its layers stay as long as it does", async () => {
    use(false);
    await images.remove("app:2", keep);
    await expect(images.remove(id, keep)).rejects.toThrow(
      `conflict: unable to delete ${short()} (must be forced) - image is being used by stopped container ${"c".repeat(12)}`,
    );
    const chainId = images.resolve(id).chainId as Digest;
    expect(await images.remove("app:1", force)).toEqual([{ Untagged: "app:1" }, { Deleted: id }]);
    expect(images.find(id)).toBeUndefined();
    const path = root;
    await closeAll();
    await openAll(path);
    use(false);
    await images.collectGarbage();
    expect(layers.get(chainId)).toBeDefined();
    expect(images.count()).toBe(1);
    users.clear();
    expect(await images.collectGarbage()).toMatchObject({ layers: 1 });
    expect(layers.get(chainId)).toBeUndefined();
    expect(images.find("base:1")).toBeDefined();
  });

  test("a lease keeps layers while a container is made", async () => {
    const { chainId } = images.resolve("base:1");
    const baseId = images.resolve("base:1").id;
    const lease = images.lease(baseId);
    await images.remove(id, force);
    await images.remove("base:1", force);
    await images.collectGarbage();
    expect(layers.get(chainId as Digest)).toBeDefined();
    lease[Symbol.dispose]();
    lease[Symbol.dispose]();
    await images.collectGarbage();
    await expectEmpty();
  });

  test("garbage collection beside loads and removals never takes what is wanted", async () => {
    const archives = Array.from({ length: 6 }, (_, index) =>
      dockerArchive([shared, layerTar(`n${index}`)], { tags: [`n:${index}`] }),
    );
    const collect = async (): Promise<void> => {
      for (let round = 0; round < 15; round += 1) await images.collectGarbage();
    };
    await Promise.all([
      ...archives.map((bytes) => load(bytes)),
      collect(),
      images.remove(id, force),
      images.remove("base:1", force),
    ]);
    for (const index of archives.keys()) {
      const image = images.resolve(`n:${index}`);
      await layers.createWritable(`w${index}`, image.chainId);
      const [descriptor] = [(await images.inspect(image.id)).Descriptor];
      expect(existsSync(join(root, "blobs/sha256", descriptor?.digest.slice(7) as string))).toBe(
        true,
      );
      await images.remove(image.id, force);
    }
    await images.collectGarbage();
    expect(blobNames()).toEqual([]);
  });
});

describe("after a crash", () => {
  test.each([1, 40, 160, 400])(
    "killed after %d chunks of a load: nothing is left or all of it",
    async (chunks) => {
      const path = join(base, `killed-${chunks}`);
      mkdirSync(path, { recursive: true });
      const bytes = dockerArchive([layerTar("a", "x".repeat(2_000_000)), layerTar("b")], {
        tags: ["x:1"],
      });
      writeFileSync(join(path, "archive.tar"), bytes);
      const here = join(import.meta.dir, "../../src");
      const script = join(path, "load.ts");
      writeFileSync(
        script,
        `import { openMetadata, openLayerStore, openBlobStore, createWorkQueue } from "${here}/storage/mod.ts";
       import { createImageService } from "${here}/images/mod.ts";
       import { systemClock as clock } from "${here}/base/mod.ts";
       import { silentLogger as logger } from "${here}/observe/mod.ts";
       import { readFileSync } from "node:fs";
       const metadata = await openMetadata("${path}/naru.db");
       const work = createWorkQueue(metadata, { clock, logger });
       const layers = await openLayerStore({ root: "${path}/layers", metadata, work, logger });
       const blobs = await openBlobStore("${path}");
       const users = { usersOf: () => [] };
       const images = await createImageService({ metadata, blobs, layers, events: { publish() {} }, users, clock, logger });
       work.start();
       const bytes = readFileSync("${path}/archive.tar");
       async function* source() {
         for (let at = 0, n = 1; at < bytes.length; at += 10000, n++) {
           if (n === ${chunks}) process.kill(process.pid, "SIGKILL");
           yield bytes.subarray(at, at + 10000);
         }
         setTimeout(() => process.kill(process.pid, "SIGKILL"), 5);
       }
       for await (const _ of images.load(source(), { quiet: true, signal: new AbortController().signal }));
       process.kill(process.pid, "SIGKILL");`,
      );
      const child = Bun.spawn([process.execPath, script], { stderr: "inherit" });
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      await closeAll();
      await openAll(path);
      await work.idle();
      const found = images.find("x:1");
      if (found === undefined) {
        await expectEmpty();
      } else {
        await layers.createWritable("w", found.chainId);
        expect(blobNames().length).toBe(4);
        expect([...layers.all()].length).toBe(2);
      }
    },
  );
});
