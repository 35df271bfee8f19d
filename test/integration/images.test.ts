import { beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Digest, digestHex, digestOf } from "../../src/base/mod.ts";
import { rejection, rejectionMessage } from "../fakes/rejection.ts";
import {
  archive,
  blobNames,
  closeAll,
  dockerArchive,
  entry,
  events,
  expectEmpty,
  images,
  importing,
  layers,
  layerTar,
  list,
  load,
  openAll,
  root,
  users,
  useStore,
} from "./image-fixture.ts";

/** Real files with owners, devices and mounts: needs root. */
useStore();

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
      expect(await rejection(job)).toMatchObject({ kind: "invalid_argument" });
      expect(await rejectionMessage(job)).toMatch(message);
      await expectEmpty();
    },
  );

  test("garbage is refused", async () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from("x".repeat(600)),
      layerTar("a").subarray(0, 515),
    ]) {
      expect(await rejection(importing(bytes, { repo: "x" }))).toMatchObject({
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
    expect(await rejectionMessage(images.tag("app:1", { repo, tag }))).toMatch(message);
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
    expect(await rejection(list({ before: ["nothing"] }))).toMatchObject({ kind: "not_found" });
    expect(await rejectionMessage(list({ dangling: ["maybe"] }))).toMatch(
      "invalid filter 'dangling=[maybe]'",
    );
    expect(await rejection(list({ reference: ["[a"] }))).toMatchObject({
      kind: "invalid_argument",
    });
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
    expect(await rejectionMessage(images.remove("app:2", keep))).toMatch("No such image: app:2");
    expect([...layers.all()].length).toBe(1); // the shared one stays
    await images.remove("base:1", keep);
    await expectEmpty();
  });

  test("by id with several names it must be forced", async () => {
    const message = `conflict: unable to delete ${short()} (must be forced) - image is referenced in multiple repositories`;
    expect(await rejectionMessage(images.remove(id, keep))).toMatch(message);
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
    expect(await rejectionMessage(images.remove("app:1", keep))).toMatch(
      `conflict: unable to remove repository reference "app:1" (must force) - container ${"c".repeat(12)} is using its referenced image ${short()}`,
    );
    const hard = `conflict: unable to delete ${short()} (cannot be forced) - image is being used by running container ${"c".repeat(12)}`;
    expect(await rejectionMessage(images.remove(id, keep))).toMatch(hard);
    expect(await rejectionMessage(images.remove(id, force))).toMatch(hard);
    expect(await images.remove("app:1", force)).toEqual([{ Untagged: "app:1" }]);
    expect(images.resolve(id).repoTags).toEqual([]);
  });

  test("removed by force under a stopped container: its layers stay as long as it does", async () => {
    use(false);
    await images.remove("app:2", keep);
    expect(await rejectionMessage(images.remove(id, keep))).toMatch(
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
