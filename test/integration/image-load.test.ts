import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { type Digest, digestOf, isNaruError } from "../../src/base/mod.ts";
import { encodeTarEntry } from "../../src/oci/mod.ts";
import { rejection, rejectionMessage } from "../fakes/rejection.ts";
import { ANY_DAMAGE, damaged } from "../fuzz/damage.ts";
import { FUZZ_FACTOR, FUZZ_LIMIT_MS, fuzzSeed } from "../fuzz/seed.ts";
import {
  archive,
  base,
  blobNames,
  closeAll,
  configJson,
  dockerArchive,
  entry,
  events,
  expectEmpty,
  images,
  layers,
  layerTar,
  list,
  load,
  ociLayout,
  openAll,
  root,
  useStore,
  work,
} from "./image-fixture.ts";

/** Real files with owners, devices and mounts: needs root. */
useStore();

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
    expect(await rejection(loading)).toMatchObject({ kind: "invalid_argument" });
    expect(await rejectionMessage(loading)).toMatch(message);
    expect(images.count()).toBe(0);
    await expectEmpty();
  });

  test(
    "mutated archives load or are refused, and leave nothing half-made",
    async () => {
      const whole = dockerArchive([good], { tags: ["x:1"] });
      const damages = fc.array(ANY_DAMAGE, { minLength: 1, maxLength: 4 });
      const property = fc.asyncProperty(damages, async (list) => {
        const bytes = list.reduce((now: Buffer, one) => damaged(now, one), Buffer.from(whole));
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
      const seed = fuzzSeed("image-load.test.ts");
      await fc.assert(property, { numRuns: 80 * FUZZ_FACTOR, seed });
    },
    FUZZ_LIMIT_MS,
  );

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
    expect(await rejection(loading)).toMatchObject({ kind: "cancelled" });
    expect(ended).toBe(true);
    await expectEmpty();
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
