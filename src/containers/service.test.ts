import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createBody, execBody } from "../../test/fakes/bodies.ts";
import { type MemoryMetadata, memoryMetadata } from "../../test/fakes/memory-metadata.ts";
import {
  type FakeMonitor,
  fakeImages,
  fakeLayers,
  fakeMonitor,
  fakeNetwork,
  fakeTerminals,
  fakeWork,
  recordingBus,
  Script,
} from "../../test/fakes/rooms.ts";
import { testVolumes } from "../../test/fakes/volumes.ts";
import { errorMessage, NaruError, systemClock } from "../base/mod.ts";
import { silentLogger } from "../observe/mod.ts";
import { type HostFacts, readHostFacts } from "../runtime/mod.ts";
import type { WorkQueue } from "../storage/mod.ts";
import type { ContainerDefaults, ContainerService } from "./contract.ts";
import { createContainerService } from "./service.ts";

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

const defaults: ContainerDefaults = {
  defaultRuntime: "crun",
  runtimes: new Map([["crun", { path: "/usr/bin/crun", args: [] }]]),
  cgroupParent: "/naru-test",
  cgroupDriver: "cgroupfs",
  ulimits: [],
  init: false,
  initPath: "",
  shmSizeBytes: 1 << 26,
  noNewPrivileges: false,
  stopTimeoutSeconds: 10,
  seccompProfile: "",
  cgroupnsMode: "private",
  ipcMode: "private",
  logDriver: "json-file",
  logOptions: {},
  dns: [],
  dnsSearch: [],
  cdiSpecDirs: [],
  dnsOptions: [],
};
const host: HostFacts = readHostFacts();

let script: Script;
let monitor: FakeMonitor;
let metadata: MemoryMetadata;
let work: WorkQueue;
let actions: string[];
let service: ContainerService;
let dir: string;

beforeEach(async () => {
  dir = mkdtempSync("/tmp/naru-service-");
  dirs.push(dir);
  script = new Script();
  metadata = memoryMetadata();
  service = await engine();
});

function engine(): Promise<ContainerService> {
  monitor = fakeMonitor(script);
  work = fakeWork();
  actions = [];
  const events = recordingBus(actions);
  return createContainerService({
    metadata,
    work,
    layers: fakeLayers(script),
    images: fakeImages(),
    network: fakeNetwork(script),
    monitor,
    events,
    volumes: testVolumes({ ...{ metadata, work, events }, dir: join(dir, "volumes") }),
    clock: systemClock,
    logger: silentLogger,
    defaults,
    terminals: fakeTerminals(script),
    host,
    dataDir: join(dir, "containers"),
    runDir: join(dir, "run"),
  });
}

const anonymous = { name: "", platform: "" };

async function created(over: Parameters<typeof createBody>[1] = {}): Promise<string> {
  return (await service.create(createBody({}, over), anonymous)).id;
}

describe("the straight path", () => {
  test("run --rm: three commits, the calls in order, the code after removal", async () => {
    const id = await created({ AutoRemove: true });
    const result = await service.wait(id, "removed", new AbortController().signal);
    await service.start(id);
    expect(metadata.commits()).toBe(3); // create, intent, running
    monitor.exit(id, 4);
    expect((await result.result).exitCode).toBe(4);
    expect(metadata.commits()).toBe(4); // the removal, which is the exit's commit too
    expect(script.calls).toEqual([
      "layers.createWritable",
      "network.attach",
      "layers.mount",
      "openLog",
      "monitor.create",
      "connectStdio",
      "monitor.start",
      "monitor.delete",
      "layers.unmount",
      "network.detach",
    ]);
    expect(actions).toEqual(["create", "start", "die", "destroy"]);
    await work.idle();
    expect(script.calls.at(-1)).toBe("layers.removeWritable");
    expect(readdirSync(join(dir, "containers"))).toEqual([]);
    expect(readdirSync(join(dir, "run", "bundles"))).toEqual([]);
  });

  test("waiters hear of the exit before the clean-up", async () => {
    const id = await created();
    await service.start(id);
    const { result } = await service.wait(id, "not-running", new AbortController().signal);
    monitor.exit(id, 5);
    expect((await result).exitCode).toBe(5);
    expect(script.count("monitor.delete")).toBe(0);
    expect((await service.inspect(id, { size: false })).State.ExitCode).toBe(5);
  });

  test("a start right after an exit waits for the clean-up of the run before", async () => {
    const id = await created();
    await service.start(id);
    const { result } = await service.wait(id, "next-exit", new AbortController().signal);
    monitor.exit(id, 0);
    await result;
    await service.start(id);
    const lastUnmount = script.calls.lastIndexOf("layers.unmount");
    expect(script.calls.lastIndexOf("layers.mount")).toBeGreaterThan(lastUnmount);
  });
});

describe("a failure at each step of a start leaves nothing", () => {
  const steps = [
    "network.attach",
    "layers.mount",
    "openLog",
    "monitor.create",
    "connectStdio",
    "monitor.start",
  ];
  for (const step of steps) {
    test(step, async () => {
      const id = await created();
      script.fail(step, new NaruError("invalid_argument", `${step} said no`, { exitCode: 126 }));
      const error = await service.start(id).catch(errorMessage);
      expect(error).toBe(`${step} said no`);
      expect(script.count("monitor.delete")).toBe(1);
      expect(script.count("layers.unmount")).toBe(1);
      expect(script.count("network.detach")).toBe(1);
      expect(existsSync(join(dir, "run", "bundles", id))).toBe(false);
      const { State } = await service.inspect(id, { size: false });
      expect(State).toMatchObject({
        Status: "created",
        ExitCode: 126,
        Error: `${step} said no`,
        Running: false,
      });
      await service.start(id); // and it can be tried again
      expect((await service.inspect(id, { size: false })).State.Running).toBe(true);
    });
  }

  test("the intent cannot be written", async () => {
    const id = await created();
    metadata.failNext(new Error("disk full"));
    expect(await service.start(id).catch(errorMessage)).toBe("disk full");
    expect((await service.inspect(id, { size: false })).State.Status).toBe("created");
  });

  test("AutoRemove removes what never ran, and tells who waits for that", async () => {
    const id = await created({ AutoRemove: true });
    const removed = await service.wait(id, "removed", new AbortController().signal);
    script.fail("monitor.create");
    await service.start(id).catch(() => undefined);
    expect((await removed.result).exitCode).toBe(0);
    expect(await service.inspect(id, { size: false }).catch(errorMessage)).toContain("No such");
  });
});

describe("create", () => {
  test("nothing is written when something is wrong", async () => {
    const bad: readonly Parameters<typeof createBody>[1][] = [
      { Memory: 5 },
      { CapAdd: ["NONSENSE"] },
      { Runtime: "nothing" },
      { Sysctls: { "kernel.panic": "1" } },
      { Annotations: { "run.oci.x": "1" } },
      { Devices: [{ PathOnHost: "/dev/nosuch", PathInContainer: "", CgroupPermissions: "" }] },
      { LogConfig: { Type: "splunk", Config: null } },
      { VolumesFrom: ["nothing"] },
    ];
    for (const over of bad) {
      expect(await created(over).catch(() => "refused")).toBe("refused");
    }
    expect(await service.create(createBody({ Image: "none" }), anonymous).catch(errorMessage)).toBe(
      "No such image: none:latest",
    );
    expect(metadata.commits()).toBe(0);
    expect(script.calls).toEqual([]);
    expect(actions).toEqual([]);
  });

  test("another container that is not there is no missing image, which clients would pull", async () => {
    for (const over of [{ VolumesFrom: ["no"] }, { PidMode: "container:no" }]) {
      const error = await created(over).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        kind: "invalid_argument",
        message: "No such container: no",
      });
    }
  });

  test("a commit that fails gives the name back and takes the layer away", async () => {
    metadata.failNext(new Error("disk full"));
    const named = { name: "web", platform: "" };
    expect(await service.create(createBody(), named).catch(errorMessage)).toBe("disk full");
    expect(script.calls).toEqual(["layers.createWritable", "layers.removeWritable"]);
    await service.create(createBody(), named);
  });

  test("the same name twice at once: one gets it", async () => {
    const named = { name: "web", platform: "" };
    const results = await Promise.allSettled([
      service.create(createBody(), named),
      service.create(createBody(), named),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("defaults are shown as Docker shows them", async () => {
    const id = await created({ Memory: 8 << 20 });
    const view = await service.inspect(id, { size: true });
    expect(view.HostConfig).toMatchObject({
      NetworkMode: "default",
      IpcMode: "private",
      ShmSize: 1 << 26,
      MemorySwap: 16 << 20,
      Runtime: "crun",
      LogConfig: { Type: "json-file" },
    });
    expect(view.Config.Hostname).toBe(id.slice(0, 12));
    expect(view.State).toMatchObject({ Status: "created", StartedAt: "0001-01-01T00:00:00Z" });
    expect([view.LogPath, view.HostsPath, view.SizeRw]).toEqual(["", "", 11]);
  });
});

describe("stop, kill, pause, remove", () => {
  test("stop sends the signal, then SIGKILL when the time is over", async () => {
    const id = (await service.create(createBody({ StopSignal: "SIGHUP" }), anonymous)).id;
    await service.start(id);
    await service.stop(id, { signal: "", timeoutSeconds: 0 });
    const kills = script.calls.filter((call) => call.startsWith("monitor.kill"));
    expect(kills).toEqual(["monitor.kill 1", "monitor.kill 9"]);
    expect(actions).toEqual(["create", "start", "kill", "kill", "die", "stop"]);
  });

  test("pause survives in the record and is undone by a stop", async () => {
    const id = await created();
    await service.start(id);
    await service.pause(id);
    const [summary] = await service.list({ all: false, limit: 0, size: false, filters: new Map() });
    expect(summary).toMatchObject({ State: "paused" });
    expect(service.counts()).toEqual({ running: 0, paused: 1, stopped: 0 });
    await service.stop(id, { signal: "TERM", timeoutSeconds: 1 });
    expect(service.counts()).toEqual({ running: 0, paused: 0, stopped: 1 });
  });

  test("two removals at once: one is done, the other is told so", async () => {
    const id = await created();
    await service.start(id);
    const force = { force: true, volumes: false };
    const results = await Promise.allSettled([
      service.remove(id, force),
      service.remove(id, force),
    ]);
    expect(results.some(({ status }) => status === "fulfilled")).toBe(true);
    expect(actions.filter((action) => action === "destroy")).toHaveLength(1);
  });

  test("a forced removal ends what a start under way has made run", async () => {
    const id = await created();
    const starting = service.start(id);
    const removed = service.remove(id, { force: true, volumes: false });
    await Promise.all([starting, removed]);
    expect(actions.at(-1)).toBe("destroy");
    expect(service.counts()).toEqual({ running: 0, paused: 0, stopped: 0 });
  });

  test("a removal whose commit fails leaves the container", async () => {
    const id = await created();
    metadata.failNext(new Error("disk full"));
    const options = { force: false, volumes: false };
    expect(await service.remove(id, options).catch(errorMessage)).toBe("disk full");
    expect((await service.inspect(id, { size: false })).Id).toBe(id);
    await service.remove(id, options);
  });
});

test("list, prune and users of an image", async () => {
  const first = (await service.create(createBody({ Labels: { keep: "1" } }), anonymous)).id;
  const second = await created();
  const list = (filters: Record<string, string[]>) =>
    service.list({ all: true, limit: 0, size: true, filters: new Map(Object.entries(filters)) });
  expect((await list({})).map(({ Id }) => Id)).toEqual([second, first]);
  expect((await list({ label: ["keep"] })).map(({ Id, SizeRw }) => [Id, SizeRw])).toEqual([
    [first, 11],
  ]);
  expect(await list({ odd: ["x"] }).catch(errorMessage)).toBe("invalid filter 'odd'");
  expect(await service.prune(new Map([["label!", ["keep"]]]))).toEqual({
    deleted: [second],
    freedBytes: 11,
  });
  const image = (await service.inspect(first, { size: false })).Image;
  expect(service.usersOfImage(image as never)).toEqual([{ containerId: first, running: false }]);
});

test("an exec's output and code, also for the next engine", async () => {
  const id = await created();
  expect(await service.execCreate(id, execBody()).catch(errorMessage)).toContain("is not running");
  await service.start(id);
  const execId = await service.execCreate(id, execBody());
  let output = "";
  const session = await service.execStart(
    execId,
    { detach: false, tty: undefined, consoleSize: undefined },
    {
      stdout: true,
      stderr: true,
      write: async (_, bytes) => void (output += Buffer.from(bytes).toString()),
      end: () => undefined,
    },
  );
  await session.done;
  expect(output).toBe("out");
  expect(service.execInspect(execId).ExitCode).toBe(0);
  const next = await engine();
  expect(next.execInspect(execId)).toMatchObject({ ExitCode: 0, ContainerID: id });
});

test("a new engine: the interrupted start is exited 137, the stopped one as it was", async () => {
  const stopped = await created();
  const halfway = await created();
  await service.start(stopped);
  await service.stop(stopped, { signal: "", timeoutSeconds: 1 });
  script.calls.length = 0;
  const rows = metadata.rows("containers").find(([key]) => key === halfway);
  const record = rows?.[1] as object;
  const before = { kind: "created", error: "", exitCode: 0 };
  const value = { ...record, state: { kind: "starting", before } };
  await metadata.commit([{ table: "containers", key: halfway, value }]);
  const next = await engine();
  await next.recover();
  expect((await next.inspect(stopped, { size: false })).State).toMatchObject({
    Status: "exited",
    ExitCode: 143,
  });
  expect((await next.inspect(halfway, { size: false })).State).toMatchObject({
    Status: "exited",
    ExitCode: 137,
  });
  expect(script.count("network.sweep")).toBe(1);
});
