import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorMessage, isNaruError } from "../../src/base/mod.ts";
import { listMounts, mountsBelow } from "../../src/linux/mod.ts";
import type { ContainerConfig, EventMessage, HostConfig } from "../../src/spec/mod.ts";
import { createBody, execBody } from "../fakes/bodies.ts";
import {
  Collector,
  destroyEngine,
  newRoots,
  startEngine,
  type TestEngine,
} from "./containers-fixture.ts";

let engine: TestEngine;
beforeAll(async () => {
  engine = await startEngine(newRoots(), { image: { Volumes: { "/data": {} } } });
});
afterAll(() => destroyEngine(engine));

const never = new AbortController().signal;
const stream = { stdin: false, stdout: true, stderr: true, logs: false, stream: true };

async function create(
  config: Partial<ContainerConfig>,
  host: Partial<HostConfig> = {},
  name = "",
): Promise<string> {
  const body = createBody(config, { NetworkMode: "none", ...host });
  return (await engine.service.create(body, { name, platform: "" })).id;
}

/** Runs to the end and removes. */
async function run(
  command: string,
  config: Partial<ContainerConfig> = {},
  host: Partial<HostConfig> = {},
): Promise<{ out: string; err: string; exitCode: number }> {
  const id = await create({ Cmd: ["sh", "-c", command], ...config }, host);
  const client = new Collector();
  const session = await engine.service.attach(id, client, stream);
  const wait = await engine.service.wait(id, "next-exit", never);
  try {
    await engine.service.start(id);
    const { exitCode } = await wait.result;
    await session.done;
    return { out: client.text(), err: client.text("stderr"), exitCode };
  } finally {
    await engine.service.remove(id, { force: true, volumes: true });
  }
}

async function started(
  command: string,
  config: Partial<ContainerConfig> = {},
  host: Partial<HostConfig> = {},
  name = "",
): Promise<string> {
  const id = await create({ Cmd: ["sh", "-c", command], ...config }, host, name);
  await engine.service.start(id);
  return id;
}

async function failure(action: Promise<unknown>): Promise<{ kind: string; message: string }> {
  try {
    await action;
  } catch (error) {
    return { kind: isNaruError(error) ? error.kind : "other", message: errorMessage(error) };
  }
  throw new Error("did not fail");
}

async function exec(id: string, cmd: string[], over: object = {}): Promise<string> {
  const execId = await engine.service.execCreate(id, execBody({ Cmd: cmd, ...over }));
  const client = new Collector();
  const session = await engine.service.execStart(
    execId,
    { detach: false, tty: undefined, consoleSize: undefined },
    client,
  );
  await client.over;
  await session.done;
  return `${client.text()}|${client.text("stderr")}|${engine.service.execInspect(execId).ExitCode}`;
}

async function remove(id: string): Promise<void> {
  await engine.service.remove(id, { force: true, volumes: true });
}

describe("what a container is told", () => {
  test("output, errors and the exit code arrive whole", async () => {
    const result = await run("echo out; echo err >&2; exit 7");
    expect(result).toEqual({ out: "out\n", err: "err\n", exitCode: 7 });
  });

  test("environment, host name, directory and user", async () => {
    const result = await run("echo $FROM_IMAGE $A $HOME; hostname; pwd; id", {
      Env: ["A=1"],
      Hostname: "web",
      WorkingDir: "/made/for/it",
      User: "app",
    });
    expect(result.out).toBe(
      "yes 1 /tmp\nweb\n/made/for/it\nuid=1000(app) gid=1001(app) groups=1001(app),1002(extra)\n",
    );
  });

  test("a read-only root, a tmpfs and a bind", async () => {
    const dir = join(engine.roots.dir, "bind");
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "x"), "host\n");
    const result = await run(
      "touch /no 2>/dev/null || echo ro; touch /t/yes && echo rw; cat /b/x; touch /b/y || echo bind-ro; mount | grep ' /t ' | grep -c size=64k",
      {},
      { ReadonlyRootfs: true, Tmpfs: { "/t": "size=64k" }, Binds: [`${dir}:/b:ro`] },
    );
    expect(result.out).toBe("ro\nrw\nhost\nbind-ro\n1\n");
  });

  test("limits, capabilities, sysctls, ulimits and no new privileges", async () => {
    const result = await run(
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; cat /proc/sys/kernel/shm_rmid_forced; ulimit -n; grep -E 'CapEff|NoNewPrivs' /proc/self/status",
      {},
      {
        Memory: 32 * 1024 * 1024,
        CapDrop: ["ALL"],
        Sysctls: { "kernel.shm_rmid_forced": "1" },
        Ulimits: [{ Name: "nofile", Soft: 100, Hard: 200 }],
        SecurityOpt: ["no-new-privileges"],
      },
    );
    expect(result.out).toBe("33554432\n1\n100\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
  });

  test("a tty has one stream and a size that can be changed", async () => {
    const id = await create({
      Cmd: ["sh", "-c", "read x; stty size; echo err >&2"],
      Tty: true,
      OpenStdin: true,
    });
    const client = new Collector();
    const session = await engine.service.attach(id, client, { ...stream, stdin: true });
    await engine.service.start(id);
    await engine.service.resize(id, { rows: 40, columns: 100 });
    await session.stdin?.write(new TextEncoder().encode("\n"));
    await session.done;
    expect(client.text()).toContain("40 100\r\nerr\r\n");
    await remove(id);
  });

  test("stdin reaches the container and its end ends it", async () => {
    const id = await create({ Cmd: ["sh", "-c", "wc -c"], OpenStdin: true, StdinOnce: true });
    const client = new Collector();
    const session = await engine.service.attach(id, client, { ...stream, stdin: true });
    const bytes = new Uint8Array(300_000).fill(65);
    const writing = session.stdin?.write(bytes).then(() => session.stdin?.close());
    await engine.service.start(id);
    await writing;
    await session.done;
    expect(client.text()).toBe("300000\n");
    await remove(id);
  });
});

describe("volumes", () => {
  test("the image's volume is filled from the image and goes with rm -v", async () => {
    const id = await create({
      Cmd: ["sh", "-c", "cat /data/file; echo changed > /data/file; ls /data"],
    });
    const { Mounts } = await engine.service.inspect(id, { size: false });
    const source = Mounts[0]?.Source ?? "";
    expect(Mounts[0]).toMatchObject({ Type: "volume", Destination: "/data", RW: true });
    const wait = await engine.service.wait(id, "next-exit", never);
    await engine.service.start(id);
    expect((await wait.result).exitCode).toBe(0);
    expect(readFileSync(join(source, "file"), "utf8")).toBe("changed\n");
    await remove(id);
    await engine.work.idle();
    expect(existsSync(source)).toBe(false);
  });

  test("a named volume is shared and stays", async () => {
    await run("echo one > /v/x", {}, { Binds: ["shared:/v"] });
    expect((await run("cat /v/x", {}, { Binds: ["shared:/v:ro"] })).out).toBe("one\n");
  });

  test("a bind that is not there: -v makes it, --mount names it", async () => {
    const made = join(engine.roots.dir, "made");
    await run("true", {}, { Binds: [`${made}:/m`] });
    expect(existsSync(made)).toBe(true);
    const missing = join(engine.roots.dir, "missing");
    const error = await failure(
      create({}, { Mounts: [{ Type: "bind", Source: missing, Target: "/m" }] }),
    );
    expect(error.message).toBe(
      `invalid mount config for type "bind": bind source path does not exist: ${missing}`,
    );
  });
});

describe("network", () => {
  test("bridge: an address, names in /etc/hosts; another joins its namespace", async () => {
    const id = await started("sleep 60", { Hostname: "web" }, { NetworkMode: "default" });
    const { NetworkSettings: settings } = await engine.service.inspect(id, { size: false });
    const address = settings.Networks["bridge"]?.IPAddress ?? "";
    expect(address).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(await exec(id, ["cat", "/etc/hosts"])).toContain(`${address}\tweb`);
    const joined = await run(
      "ip -o -4 addr show eth0; hostname",
      {},
      { NetworkMode: `container:${id}` },
    );
    expect(joined.out).toContain(address);
    await remove(id);
  });

  test("none has loopback alone, host is the host's", async () => {
    expect((await run("ls /sys/class/net", {}, { NetworkMode: "none" })).out.trim()).toBe("lo");
    const { out } = await run(
      "readlink /proc/self/ns/net || ls -l /proc/self/ns/net",
      {},
      { NetworkMode: "host" },
    );
    const own = /net:\[\d+\]/.exec(out)?.[0];
    expect(own).toBeDefined();
  });
});

describe("states", () => {
  test("created, running, paused, exited, with Docker's words on the way", async () => {
    const id = await create(
      { Cmd: ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"] },
      {},
      "states",
    );
    const word = async (): Promise<string> =>
      (await engine.service.inspect("states", { size: false })).State.Status;
    expect(await word()).toBe("created");
    expect((await failure(engine.service.kill(id, ""))).message).toContain("is not running");
    await engine.service.start("/states");
    expect(await word()).toBe("running");
    expect((await failure(engine.service.start(id))).kind).toBe("not_modified");
    expect(
      (await failure(engine.service.remove(id, { force: false, volumes: false }))).message,
    ).toBe(
      'cannot remove container "states": container is running: stop the container before removing or force remove',
    );
    await engine.service.pause(id);
    expect(await word()).toBe("paused");
    expect((await failure(engine.service.pause(id))).message).toContain("already paused");
    expect((await failure(engine.service.execCreate(id, execBody()))).message).toContain(
      "is paused",
    );
    await engine.service.unpause(id);
    await engine.service.stop(id, { signal: "", timeoutSeconds: undefined });
    const { State } = await engine.service.inspect(id, { size: false });
    expect(State).toMatchObject({ Status: "exited", ExitCode: 5, Running: false, Pid: 0 });
    expect((await failure(engine.service.stop(id, { signal: "", timeoutSeconds: 0 }))).kind).toBe(
      "not_modified",
    );
    await engine.service.restart(id, { signal: "", timeoutSeconds: 0 });
    expect(await word()).toBe("running");
    await remove(id);
    expect((await failure(engine.service.inspect(id, { size: false }))).message).toBe(
      `No such container: ${id}`,
    );
  });

  test("stop falls back on SIGKILL, kill does not wait for a stop", async () => {
    const id = await started("trap '' TERM; while :; do sleep 0.05; done");
    const stop = engine.service.stop(id, { signal: "", timeoutSeconds: 60 });
    await engine.service.kill(id, "KILL");
    await stop;
    const { State } = await engine.service.inspect(id, { size: false });
    expect(State.ExitCode).toBe(137);
    await engine.service.start(id);
    await engine.service.stop(id, { signal: "", timeoutSeconds: 0 });
    await remove(id);
  });

  const commands: readonly [string[], number, RegExp][] = [
    [["nosuchcommand"], 127, /exec: "nosuchcommand": executable file not found in \$PATH/],
    [["/bin/nosuch"], 127, /no such file or directory/],
    [["/etc"], 126, /permission denied|is a directory/],
  ];
  for (const [cmd, exitCode, words] of commands) {
    test(`a start that fails keeps it created: ${cmd[0]}`, async () => {
      const id = await create({ Cmd: cmd });
      const error = await failure(engine.service.start(id));
      expect(error.kind).toBe("invalid_argument");
      expect(error.message).toMatch(words);
      const { State } = await engine.service.inspect(id, { size: false });
      expect(State).toMatchObject({ Status: "created", ExitCode: exitCode });
      expect(State.Error).toBe(error.message);
      expect(mountsBelow(join(engine.roots.dir, "run", "bundles", id), listMounts())).toEqual([]);
      await remove(id);
    });
  }

  test("names are unique and free after a removal", async () => {
    const id = await create({}, {}, "twice");
    const error = await failure(create({}, {}, "twice"));
    expect(error).toEqual({
      kind: "conflict",
      message: `Conflict. The container name "/twice" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    });
    await engine.service.rename(id, "once");
    await remove("once");
    await remove(await create({}, {}, "twice"));
  });

  test("restart policy: starts again until the count is reached", async () => {
    const id = await create(
      { Cmd: ["sh", "-c", "exit 1"] },
      { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 } },
    );
    const ended = engine.events.subscribe({
      sinceNs: undefined,
      untilNs: undefined,
      filters: new Map([
        ["container", [id]],
        ["event", ["die"]],
      ]),
      signal: never,
    });
    await engine.service.start(id);
    let deaths = 0;
    for await (const _ of ended) {
      deaths += 1;
      if (deaths === 3) break;
    }
    await engine.service.stop(id, { signal: "", timeoutSeconds: 0 }).catch(() => undefined);
    const view = await engine.service.inspect(id, { size: false });
    expect(view.RestartCount).toBe(2);
    expect(view.State.Status).toBe("exited");
    await remove(id);
  });

  test("health: starting, then healthy by its check", async () => {
    const id = await started("sleep 60", {
      Healthcheck: { Test: ["CMD-SHELL", "echo fine"], Interval: 50_000_000 },
    });
    const events = engine.events.subscribe({
      sinceNs: 0n,
      untilNs: undefined,
      filters: new Map([
        ["container", [id]],
        ["event", ["health_status"]],
      ]),
      signal: never,
    });
    for await (const event of events) {
      expect(event.Action).toBe("health_status: healthy");
      break;
    }
    const { State } = await engine.service.inspect(id, { size: false });
    expect(State.Health?.Status).toBe("healthy");
    expect(State.Health?.Log[0]?.Output).toBe("fine\n");
    const [summary] = await engine.service.list({
      all: false,
      limit: 0,
      size: false,
      filters: new Map([["id", [id]]]),
    });
    expect(summary?.Status).toMatch(/^Up .* \(healthy\)$/);
    await remove(id);
  });
});

describe("exec", () => {
  test("output from the first byte, exit codes, user, directory", async () => {
    const id = await started("sleep 60", { User: "app" });
    for (let index = 0; index < 5; index += 1) {
      expect(await exec(id, ["echo", "hi"])).toBe("hi\n||0");
    }
    expect(
      await exec(id, ["sh", "-c", "id -u; pwd; echo e >&2; exit 4"], {
        User: "0",
        WorkingDir: "/etc",
      }),
    ).toBe("0\n/etc\n|e\n|4");
    expect(await exec(id, ["nosuch"])).toMatch(/executable file not found in \$PATH.*\r\n\|\|127$/);
    expect(await exec(id, ["sh", "-c", "echo $HOME"], { User: "root" })).toBe("/root\n||0");
    await remove(id);
    expect((await failure(engine.service.execCreate(id, execBody()))).kind).toBe("not_found");
  });

  test("a second start is refused, inspect stays true after the end", async () => {
    const id = await started("sleep 60");
    const execId = await engine.service.execCreate(id, execBody({ Cmd: ["true"] }));
    expect(engine.service.execInspect(execId)).toMatchObject({ Running: false, ExitCode: null });
    const options = { detach: true, tty: undefined, consoleSize: undefined };
    const session = await engine.service.execStart(execId, options, undefined);
    await session.done;
    expect(engine.service.execInspect(execId)).toMatchObject({ Running: false, ExitCode: 0 });
    expect((await failure(engine.service.execStart(execId, options, undefined))).kind).toBe(
      "conflict",
    );
    await remove(id);
  });
});

describe("logs", () => {
  test("lines of both streams, tail, follow to the end", async () => {
    const id = await started("echo a; echo b >&2; sleep 0.2; printf c");
    const { entries } = await engine.service.logs(id, {
      stdout: true,
      stderr: true,
      follow: true,
      sinceNs: undefined,
      untilNs: undefined,
      tailLines: undefined,
      signal: never,
    });
    const lines: string[] = [];
    for await (const entry of entries) {
      lines.push(`${entry.stream}:${Buffer.from(entry.bytes).toString()}`);
    }
    expect(lines.sort()).toEqual(["stderr:b\n", "stdout:a\n", "stdout:c"]);
    const client = new Collector();
    const session = await engine.service.attach(id, client, {
      ...stream,
      logs: true,
      stream: false,
    });
    await session.done;
    expect(client.text()).toBe("a\nc");
    await remove(id);
  });
});

test("events come in Docker's order", async () => {
  const stop = new AbortController();
  const events = engine.events.subscribe({
    sinceNs: undefined,
    untilNs: undefined,
    filters: new Map([["type", ["container"]]]),
    signal: stop.signal,
  });
  const id = await create(
    { Cmd: ["sleep", "60"], Labels: { a: "b" } },
    { AutoRemove: true },
    "ordered",
  );
  const session = await engine.service.attach(id, new Collector(), stream);
  const removed = await engine.service.wait(id, "removed", never);
  await engine.service.start(id);
  await engine.service.stop(id, { signal: "", timeoutSeconds: 0 });
  expect((await removed.result).exitCode).toBe(137);
  await session.done;
  stop.abort();
  const seen: EventMessage[] = [];
  for await (const event of events) if (event.Actor.ID === id) seen.push(event);
  expect(seen.map((event) => event.Action)).toEqual([
    "create",
    "attach",
    "start",
    "kill",
    "kill",
    "die",
    "stop",
    "destroy",
  ]);
  expect(seen[0]?.Actor.Attributes).toEqual({
    a: "b",
    of: "image",
    image: "busybox",
    name: "ordered",
  });
});

test("twenty at once: no name, address, mount or directory is left", async () => {
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      run(`echo ${index}`, {}, { NetworkMode: index % 2 === 0 ? "default" : "none" }),
    ),
  );
  expect(results.map(({ out }) => Number(out))).toEqual([...Array(20).keys()]);
  await engine.work.idle();
  const bundles = join(engine.roots.dir, "run", "bundles");
  expect(mountsBelow(bundles, listMounts())).toEqual([]);
  expect(engine.service.counts()).toEqual({ running: 0, paused: 0, stopped: 0 });
});
