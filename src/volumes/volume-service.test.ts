import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type MemoryMetadata, memoryMetadata } from "../../test/fakes/memory-metadata.ts";
import { rejection } from "../../test/fakes/rejection.ts";
import { fakeWork, recordingBus } from "../../test/fakes/rooms.ts";
import { testVolumes } from "../../test/fakes/volumes.ts";
import type { NaruError } from "../base/mod.ts";
import type { VolumeRequest, VolumeService } from "./contract.ts";

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

let dir = "";
let metadata: MemoryMetadata;
let work: ReturnType<typeof fakeWork>;
let actions: string[];
let users: Record<string, string[]>;
let volumes: VolumeService;

beforeEach(async () => {
  dir = mkdtempSync("/tmp/naru-volumes-");
  dirs.push(dir);
  metadata = memoryMetadata();
  users = {};
  volumes = await again();
});

/** As after a restart. */
async function again(): Promise<VolumeService> {
  work = fakeWork();
  actions = [];
  const events = recordingBus(actions);
  const service = testVolumes({ metadata, work, events, dir }, (name) =>
    (users[name] ?? []).map((containerId) => ({ containerId, running: false })),
  );
  await service.recover();
  return service;
}

const request = (name: string, more: Partial<VolumeRequest> = {}): VolumeRequest => ({
  ...{ name, driver: "", options: {}, labels: {} },
  ...more,
});

async function refusal(call: Promise<unknown>): Promise<{ kind: string; message: string }> {
  const { kind, message } = (await rejection(call)) as NaruError;
  return { kind, message };
}

describe("create", () => {
  test("makes the directory, and gives the same volume again", async () => {
    const made = await volumes.create(request("data", { labels: { a: "b" } }));
    expect(made).toEqual({
      CreatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      Driver: "local",
      Labels: { a: "b" },
      Mountpoint: join(dir, "data", "_data"),
      Name: "data",
      Options: null,
      Scope: "local",
    });
    expect(existsSync(made.Mountpoint)).toBe(true);
    expect(await volumes.create(request("data", { labels: { other: "x" } }))).toEqual(made);
    expect(actions.filter((action) => action === "create")).toHaveLength(1);
    expect(await (await again()).inspect("data")).toEqual(made);
  });

  test("without a name it is anonymous", async () => {
    const { Name, Labels } = await volumes.create(request(""));
    expect(Name).toMatch(/^[0-9a-f]{64}$/);
    expect(Labels).toEqual({ "com.docker.volume.anonymous": "" });
  });

  test("names that are no volume names, and unknown options, are refused in Docker's words", async () => {
    for (const name of ["../x", "a/b", "-a", ".hidden", "a\u0007b", "a\nb", "a".repeat(256)]) {
      const { kind, message } = await refusal(volumes.create(request(name)));
      expect(kind).toBe("invalid_argument");
      expect(message).toContain("includes invalid characters for a local volume name");
      expect(message).not.toMatch(/\p{Cc}/u);
    }
    const odd = await refusal(volumes.create(request("data", { options: { x: "y" } })));
    expect(odd).toEqual({ kind: "invalid_argument", message: 'create data: invalid option: "x"' });
    expect(volumes.get("data")).toBeUndefined();
  });

  test("another driver's name is a conflict, an unknown driver is not found", async () => {
    await volumes.create(request("data"));
    expect(await refusal(volumes.create(request("data", { driver: "nfs" })))).toEqual({
      kind: "conflict",
      message: "create data: volume name must be unique",
    });
    expect(await refusal(volumes.create(request("other", { driver: "nfs" })))).toEqual({
      kind: "not_found",
      message: 'create other: error looking up volume plugin nfs: plugin "nfs" not found',
    });
  });

  test("nothing is left of one whose row could not be written", async () => {
    metadata.failNext(new Error("disk"));
    await refusal(volumes.create(request("data")));
    expect(volumes.get("data")).toBeUndefined();
    await volumes.create(request("other")); // after what was queued
    expect((await (await again()).list(new Map())).volumes.map(({ Name }) => Name)).toEqual([
      "other",
    ]);
  });
});

describe("remove", () => {
  test("deletes what it held, and frees the name at once", async () => {
    const { Mountpoint } = await volumes.create(request("data"));
    writeFileSync(join(Mountpoint, "old"), "");
    await volumes.remove("data", { force: false });
    expect(existsSync(join(dir, "data"))).toBe(false);
    await volumes.create(request("data"));
    await work.idle();
    expect(existsSync(join(Mountpoint, "old"))).toBe(false);
    expect(existsSync(Mountpoint)).toBe(true);
  });

  test("is refused while a container refers to it, forced or not", async () => {
    await volumes.create(request("data"));
    users["data"] = ["c1", "c2"];
    for (const force of [false, true]) {
      expect(await refusal(volumes.remove("data", { force }))).toEqual({
        kind: "conflict",
        message: "remove data: volume is in use - [c1, c2]",
      });
    }
  });

  test("is refused while a container is being made with it", async () => {
    await volumes.create(request("data"));
    const prepared = await volumes.prepare(request("data"));
    expect((await refusal(volumes.remove("data", { force: false }))).kind).toBe("conflict");
    volumes.abandon([prepared]);
    await volumes.remove("data", { force: false });
  });

  test("what is not there is not found, unless forced", async () => {
    expect(await refusal(volumes.remove("no", { force: false }))).toEqual({
      kind: "not_found",
      message: "get no: no such volume",
    });
    await volumes.remove("no", { force: true });
  });
});

describe("prepare", () => {
  test("exists for others once it was committed and adopted", async () => {
    const prepared = await volumes.prepare(request("data"));
    expect(volumes.get("data")).toBeUndefined();
    const second = await volumes.prepare(request("data"));
    expect(second.volume).toBe(prepared.volume);
    if (prepared.change !== undefined) await metadata.commit([prepared.change]);
    volumes.adopt([prepared, second]);
    expect((await volumes.prepare(request("data"))).change).toBeUndefined();
    expect(actions.filter((action) => action === "create")).toHaveLength(1);
  });
});

describe("list and prune", () => {
  beforeEach(async () => {
    await volumes.create(request("web-data", { labels: { of: "web" } }));
    await volumes.create(request("web-logs"));
    await volumes.create(request(""));
    users["web-data"] = ["c1"];
  });

  const names = async (filters: Record<string, string[]>): Promise<string[]> =>
    (await volumes.list(new Map(Object.entries(filters)))).volumes
      .map(({ Name }) => (Name.length === 64 ? "anonymous" : Name))
      .sort();

  test("filters", async () => {
    expect(await names({})).toEqual(["anonymous", "web-data", "web-logs"]);
    expect(await names({ dangling: ["true"] })).toEqual(["anonymous", "web-logs"]);
    expect(await names({ dangling: ["0"] })).toEqual(["web-data"]);
    expect(await names({ name: ["logs"] })).toEqual(["web-logs"]);
    expect(await names({ name: ["^web"] })).toEqual(["web-data", "web-logs"]);
    expect(await names({ label: ["of"] })).toEqual(["web-data"]);
    expect(await names({ label: ["of=db"] })).toEqual([]);
    expect(await names({ driver: ["local"], name: ["data"] })).toEqual(["web-data"]);
    expect(await names({ driver: ["nfs"] })).toEqual([]);
    for (const filters of [{ colour: ["x"] }, { dangling: ["maybe"] }, { dangling: ["1", "0"] }]) {
      const { kind, message } = await refusal(volumes.list(new Map(Object.entries(filters))));
      expect(kind).toBe("invalid_argument");
      expect(message).toStartWith("invalid filter '");
    }
  });

  test("a prune takes anonymous volumes that nobody uses, and named ones only when told", async () => {
    const first = await volumes.prune(new Map(), { named: false });
    expect(first.VolumesDeleted).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
    const kept = await volumes.prune(new Map([["label!", ["x=y"]]]), { named: false });
    expect(kept.VolumesDeleted).toEqual([]);
    writeFileSync(join(volumes.pathOf("web-logs"), "log"), "12345");
    const all = await volumes.prune(new Map([["all", ["1"]]]), { named: false });
    expect(all).toEqual({ VolumesDeleted: ["web-logs"], SpaceReclaimed: 5 });
    expect(volumes.get("web-data")).toBeDefined();
  });

  test("labels choose what is pruned", async () => {
    users = {};
    const not = await volumes.prune(new Map([["label!", ["of=web"]]]), { named: true });
    expect(not.VolumesDeleted).toHaveLength(2);
    const only = await volumes.prune(new Map([["label", ["of"]]]), { named: true });
    expect(only.VolumesDeleted).toEqual(["web-data"]);
  });
});

describe("after a crash", () => {
  test("a removal that was committed is finished, and takes no newer volume along", async () => {
    await volumes.create(request("old"));
    const removal = volumes.planRemoval(["old"]);
    await metadata.commit(removal.changes); // killed here
    volumes = await again();
    expect(volumes.get("old")).toBeUndefined();
    expect(existsSync(join(dir, "old"))).toBe(false);
    await volumes.create(request("old"));
    volumes = await again();
    expect(existsSync(volumes.pathOf("old"))).toBe(true);
  });

  test("a directory without a row is a volume again: nothing is lost with the database", async () => {
    const { Mountpoint } = await volumes.create(request("precious"));
    writeFileSync(join(Mountpoint, "file"), "kept");
    metadata = memoryMetadata();
    volumes = await again();
    expect((await volumes.inspect("precious")).Mountpoint).toBe(Mountpoint);
    expect(existsSync(join(Mountpoint, "file"))).toBe(true);
    expect(await (await again()).inspect("precious")).toBeDefined();
  });

  test("what was being made and never recorded goes", async () => {
    mkdirSync(join(dir, "half", "_data"), { recursive: true });
    writeFileSync(join(dir, "half", "unrecorded"), "");
    volumes = await again();
    expect(volumes.get("half")).toBeUndefined();
    expect(existsSync(join(dir, "half"))).toBe(false);
  });
});

describe("copy-up", () => {
  test("into an empty volume once, and again after a copy that was cut off", async () => {
    const source = join(dir, ".source");
    mkdirSync(join(source, "sub"), { recursive: true, mode: 0o750 });
    writeFileSync(join(source, "file"), "one");
    await volumes.create(request("data"));
    const path = await volumes.acquire("data", "c1");
    const file = Bun.file(join(path, "file"));
    await volumes.copyUp("data", source);
    expect(await file.text()).toBe("one");
    await Bun.write(file, "two");
    await volumes.copyUp("data", source);
    expect(await file.text()).toBe("two");
    writeFileSync(join(dir, "data", "copying"), "");
    await volumes.copyUp("data", source);
    expect(await file.text()).toBe("one");
  });
});
