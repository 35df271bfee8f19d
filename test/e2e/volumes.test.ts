/** Volumes as people and their tools use them: the API, the stock docker CLI, naru's own. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type Dockerode from "dockerode";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { naruCommand } from "../harness/program.ts";
import { VolumePlugin } from "../harness/volume-plugin.ts";
import { connect, execIn, idle, loadBusybox, refused, run } from "./dockerode-client.ts";

const TEST_TIMEOUT_MS = 20_000;

let engine: TestEngine;
let docker: Dockerode;
let folder: string;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function ran(program: readonly string[], ...args: readonly string[]): Ran {
  const [file = "", ...before] = program;
  const env = { ...process.env, DOCKER_HOST: engine.host, DOCKER_CONFIG: folder };
  const { status, stdout, stderr } = spawnSync(file, [...before, ...args], {
    env,
    encoding: "utf8",
  });
  return { code: status, out: stdout, err: stderr };
}

const naru = (...args: readonly string[]): Ran => ran(naruCommand(), ...args);

const mounted = (path: string): boolean =>
  readFileSync("/proc/self/mountinfo", "utf8").includes(` ${path} `);

const dataOf = (name: string): string => join(engine.dataRoot, "volumes", name, "_data");

const withVolume = (
  name: string,
  options: object = {},
  more: object = {},
): Dockerode.ContainerCreateOptions => ({
  HostConfig: {
    Mounts: [{ Type: "volume", Source: name, Target: "/v", VolumeOptions: options, ...more }],
  } as unknown as Dockerode.HostConfig,
});

describe.skipIf(!privileged())("volumes", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    folder = mkdtempSync("/tmp/naru-volumes-e2e-");
    await loadBusybox(docker);
  }, TEST_TIMEOUT_MS);
  afterAll(async () => {
    await engine?.destroy();
    rmSync(folder, { recursive: true, force: true });
  }, TEST_TIMEOUT_MS);
  afterEach(async () => {
    await engine.removeContainers();
    await engine.fetch('/volumes/prune?filters={"all":["1"]}', { method: "POST" });
  }, TEST_TIMEOUT_MS);

  its("keep what containers wrote, and are removed only when nobody refers to them", life);
  its("anonymous ones go with their container when told, named ones never", anonymous);
  its("of a file system are mounted for the first container and unmounted after the last", tmpfs);
  its("of a bind, read-only ones too, and errors say what the kernel said", binds);
  its("of a file have the size that was asked for, on any file system", image);
  its("are unmounted after a crash when nobody uses them any more, and stay otherwise", crash);
  its("take what the image has, with owners, links and attributes", copyUp);
  its("tell of themselves: events, df, who uses them", telling);
  its("give to cp of a stopped container what a start would", copies);
  its("of a plugin are made, mounted, shown and removed by it", plugged);
  its("cluster volumes are refused by name", cluster);
  for (const name of ["docker", "naru"]) its(`${name} volume`, () => commandLine(name));
});

async function life(): Promise<void> {
  await docker.createVolume({ Name: "life", Labels: { of: "tests" } });
  await run(docker, "echo kept > /v/file", withVolume("life"));
  expect((await run(docker, "cat /v/file", withVolume("life"))).stdout).toBe("kept\n");
  const container = await docker.createContainer({ Image: "busybox", ...withVolume("life") });
  const inUse = await refused(docker.getVolume("life").remove());
  const message = `remove life: volume is in use - [${container.id}]`;
  expect(inUse).toEqual({ status: 409, text: message });
  expect(await refused(docker.getVolume("life").remove({ force: true }))).toEqual(inUse);
  const { VolumesDeleted } = (await docker.pruneVolumes({ filters: { all: ["1"] } })) as {
    VolumesDeleted: string[];
  };
  expect(VolumesDeleted).toEqual([]);
  await container.remove({ v: true }); // named: stays
  expect(readFileSync(join(dataOf("life"), "file"), "utf8")).toBe("kept\n");
  await docker.getVolume("life").remove();
  expect(existsSync(dataOf("life"))).toBe(false);
  const gone = await refused(docker.getVolume("life").inspect());
  expect(gone).toEqual({ status: 404, text: "get life: no such volume" });
}

async function anonymous(): Promise<void> {
  const names = async (): Promise<string[]> =>
    ((await docker.listVolumes()).Volumes ?? []).map(({ Name }) => Name);
  const both = { Volumes: { "/a": {} }, HostConfig: { Binds: ["named:/n"] } };
  const container = await idle(docker, both);
  const user = (await names()).find((name) => name !== "named");
  await container.remove({ force: true });
  expect(await names()).toHaveLength(2); // without v both stay
  const again = await idle(docker, both);
  const others = await docker.createContainer({
    Image: "busybox",
    HostConfig: { VolumesFrom: [again.id] },
  });
  await again.remove({ force: true, v: true });
  expect(await names()).toHaveLength(3); // another container has them from it
  await others.remove({ v: true }); // the last that refers to the anonymous one takes it along
  expect((await names()).toSorted()).toEqual([user ?? "", "named"].toSorted());
  await run(docker, "true", { Volumes: { "/b": {} }, HostConfig: { AutoRemove: false } });
  expect(await names()).toHaveLength(2);
  await docker.pruneVolumes();
  expect(await names()).toEqual(["named"]);
}

async function tmpfs(): Promise<void> {
  const options = { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=7,nodev" };
  await docker.createVolume({ Name: "mem", Driver: "local", DriverOpts: options });
  expect(mounted(dataOf("mem"))).toBe(false);
  const first = await idle(docker, withVolume("mem"));
  const second = await idle(docker, withVolume("mem"));
  expect(mounted(dataOf("mem"))).toBe(true);
  expect((await execIn(docker, first, "stat -c %u /v; echo x > /v/f")).stdout).toBe("7\n");
  expect((await execIn(docker, second, "cat /v/f")).stdout).toBe("x\n");
  const full = await execIn(docker, second, "dd if=/dev/zero of=/v/big bs=64k count=64 2>&1");
  expect(full.stdout).toContain("No space left");
  await first.remove({ force: true });
  expect(mounted(dataOf("mem"))).toBe(true);
  await second.remove({ force: true });
  expect(mounted(dataOf("mem"))).toBe(false);
  expect((await run(docker, "ls /v", withVolume("mem"))).stdout).toBe("");
}

async function binds(): Promise<void> {
  const source = join(folder, "source");
  mkdirSync(source, { recursive: true });
  writeFileSync(join(source, "here"), "");
  const DriverConfig = { Name: "local", Options: { type: "none", device: source, o: "bind,ro" } };
  const seen = await run(
    docker,
    "ls /v; touch /v/x 2>/dev/null || echo read-only",
    withVolume("bound", { DriverConfig }),
  );
  expect(seen.stdout).toBe("here\nread-only\n");
  await docker.getVolume("bound").remove();
  expect(existsSync(join(source, "here"))).toBe(true);
  const missing = { type: "none", device: join(folder, "missing"), o: "bind" };
  await docker.createVolume({ Name: "broken", DriverOpts: missing });
  const { status, text } = await refused(run(docker, "true", withVolume("broken")));
  expect(status).toBe(400);
  expect(text).toContain("failed to mount local volume");
  expect(text).toContain("no such file or directory");
  const secret = { type: "cifs", device: "//127.0.0.1/x", o: "user=me,password=hush-hush" };
  await docker.createVolume({ Name: "secret", DriverOpts: secret });
  const told = (await refused(run(docker, "true", withVolume("secret")))).text;
  expect(told).toContain("password=********");
  expect(told).not.toContain("hush");
}

async function image(): Promise<void> {
  const options = { backing: "image", size: "16m" };
  await docker.createVolume({ Name: "sized", DriverOpts: options });
  expect(mounted(dataOf("sized"))).toBe(false);
  const script = "ls -A /v; dd if=/dev/zero of=/v/big bs=1M count=32 2>&1 | grep -o 'No space.*'";
  expect((await run(docker, script, withVolume("sized"))).stdout).toBe("No space left on device\n");
  expect((await run(docker, "ls /v", withVolume("sized"))).stdout).toBe("big\n");
  expect(mounted(dataOf("sized"))).toBe(false);
  const loops = execFileSync("losetup", ["-a"], { encoding: "utf8" });
  expect(loops).not.toContain(engine.dataRoot);
  const tooMuch = { size: "10m" };
  const { status } = await refused(docker.createVolume({ Name: "quota", DriverOpts: tooMuch }));
  expect(status).toBe(400);
}

async function crash(): Promise<void> {
  const options = { type: "tmpfs", device: "tmpfs" };
  for (const Name of ["stays", "goes"]) await docker.createVolume({ Name, DriverOpts: options });
  const stays = await idle(docker, withVolume("stays"));
  const goes = await idle(docker, withVolume("goes"));
  const { Pid } = (await goes.inspect()).State;
  await engine.kill9();
  process.kill(Pid, "SIGKILL");
  await engine.start();
  expect(mounted(dataOf("stays"))).toBe(true);
  expect(mounted(dataOf("goes"))).toBe(false);
  expect((await execIn(docker, stays, "touch /v/x")).exitCode).toBe(0);
  await stays.remove({ force: true });
  expect(mounted(dataOf("stays"))).toBe(false);
}

async function copyUp(): Promise<void> {
  const listing = "cd /v && find . -maxdepth 1 | sort | head -5; ls -ln /v | head -3";
  const from = await run(docker, "cd /bin && find . -maxdepth 1 | sort | head -5");
  const at = { Type: "volume", Source: "filled", Target: "/bin" };
  const HostConfig = { Mounts: [at] } as unknown as Dockerode.HostConfig;
  await run(docker, ["/bin/busybox", "true"], { HostConfig });
  expect((await run(docker, listing, withVolume("filled"))).stdout).toStartWith(from.stdout);
  await docker.createVolume({ Name: "empty" }); // an existing one that is empty, too
  const existing = { Mounts: [{ ...at, Source: "empty" }] } as unknown as Dockerode.HostConfig;
  await run(docker, ["/bin/busybox", "true"], { HostConfig: existing });
  expect((await run(docker, listing, withVolume("empty"))).stdout).toStartWith(from.stdout);
  const blank = { ...at, Source: "blank", VolumeOptions: { NoCopy: true } };
  const none = { Mounts: [{ ...blank, Target: "/etc" }] } as unknown as Dockerode.HostConfig;
  await run(docker, "true", { HostConfig: none });
  expect((await run(docker, "ls /v/group 2>/dev/null; true", withVolume("blank"))).stdout).toBe("");
}

async function telling(): Promise<void> {
  const sinceS = Date.now() / 1000 - 1;
  await docker.createVolume({ Name: "told" });
  await run(docker, "dd if=/dev/zero of=/v/f bs=1000 count=5 2>/dev/null", withVolume("told"));
  const container = await docker.createContainer({ Image: "busybox", ...withVolume("told") });
  const df = (await (await engine.fetch("/v1.50/system/df?type=volume")).json()) as {
    Volumes: { Name: string; UsageData: unknown }[];
  };
  const used = df.Volumes.find(({ Name }) => Name === "told");
  expect(used?.UsageData).toEqual({ Size: 5000, RefCount: 1 });
  await container.remove();
  await docker.getVolume("told").remove();
  const filters = encodeURIComponent(JSON.stringify({ type: ["volume"] }));
  const untilS = Date.now() / 1000 + 0.01; // beyond the millisecond of the last event
  const query = `since=${sinceS.toFixed(3)}&until=${untilS.toFixed(3)}&filters=${filters}`;
  const text = await (await engine.fetch(`/events?${query}`)).text();
  const events = text
    .trim()
    .split("\n")
    .map(
      (line) => JSON.parse(line) as { Action: string; Actor: { ID: string; Attributes: object } },
    )
    .filter(({ Actor }) => Actor.ID === "told");
  expect(events.map(({ Action }) => Action)).toEqual(["create", "mount", "unmount", "destroy"]);
  expect(events[1]?.Actor.Attributes).toMatchObject({
    ...{ driver: "local", destination: "/v", "read/write": "true", propagation: "" },
  });
}

async function copies(): Promise<void> {
  const options = { type: "tmpfs", device: "tmpfs" };
  await docker.createVolume({ Name: "copied", DriverOpts: options });
  const container = await docker.createContainer({ Image: "busybox", ...withVolume("copied") });
  const archive = await container.getArchive({ path: "/v" });
  archive.resume();
  await new Promise((resolve) => archive.once("end", resolve));
  for (let waited = 0; mounted(dataOf("copied")) && waited < 100; waited += 1) await Bun.sleep(20);
  expect(mounted(dataOf("copied"))).toBe(false);
}

async function plugged(): Promise<void> {
  const name = `naru-test-${engine.id}`;
  const plugin = await VolumePlugin.start(`/run/docker/plugins/${name}.sock`);
  try {
    const HostConfig = { Binds: ["far:/v"], VolumeDriver: name };
    const container = await idle(docker, { HostConfig });
    await execIn(docker, container, "echo there > /v/file");
    expect(readFileSync(join(plugin.root, "far", "file"), "utf8")).toBe("there\n");
    expect((await container.inspect()).Mounts[0]).toMatchObject({
      ...{ Driver: name, Name: "far", Source: join(plugin.root, "far") },
    });
    expect([...(plugin.mounts.get("far") ?? [])]).toEqual([container.id]);
    await engine.kill9();
    await engine.start();
    await container.remove({ force: true });
    expect([...(plugin.mounts.get("far") ?? [])]).toEqual([]);
    expect(await docker.getVolume("far").inspect()).toMatchObject({
      ...{ Driver: name, Scope: "global", Status: { colour: "blue" } },
    });
    plugin.mounts.set("elsewhere", new Set());
    const filters = { driver: [name] };
    const listed = (await docker.listVolumes({ filters })).Volumes.map(({ Name }) => Name);
    expect(listed).toEqual(["elsewhere", "far"]);
    expect((await docker.getVolume("elsewhere").inspect()).Driver).toBe(name);
    const { VolumesDeleted } = await docker.pruneVolumes({ filters: { all: ["1"] } });
    expect(VolumesDeleted).toEqual([]); // a plugin's volumes are not ours to prune
    plugin.misbehave = (method) =>
      method === "VolumeDriver.Remove" ? { Err: "not now" } : undefined;
    expect((await refused(docker.getVolume("far").remove())).text).toContain("not now");
    plugin.misbehave = undefined;
    await docker.getVolume("far").remove();
    expect(plugin.mounts.has("far")).toBe(false);
  } finally {
    await plugin.close();
    rmSync(`/run/docker/plugins/${name}.sock`, { force: true });
  }
}

async function cluster(): Promise<void> {
  const body = { Name: "c", ClusterVolumeSpec: {} };
  const headers = { "Content-Type": "application/json" };
  const made = await engine.fetch("/volumes/create", {
    ...{ method: "POST", headers, body: JSON.stringify(body) },
  });
  expect(made.status).toBe(503);
  const updated = await engine.fetch("/volumes/c?version=1", {
    ...{ method: "PUT", headers, body: "{}" },
  });
  expect(updated.status).toBe(503);
  expect(await updated.text()).toContain("not a swarm manager");
}

async function commandLine(name: string): Promise<void> {
  const program = name === "naru" ? naruCommand() : ["docker"];
  if (name === "docker" && spawnSync("docker", ["--version"]).status !== 0) {
    console.error("SKIPPED docker volume: there is no docker CLI");
    return;
  }
  const volume = (...args: readonly string[]): Ran => ran(program, "volume", ...args);
  expect(
    volume("create", "--label", "of=cli", "-o", "type=tmpfs", "-o", "device=tmpfs", "one"),
  ).toEqual({
    ...{ code: 0, out: "one\n", err: "" },
  });
  expect(volume("create", "two").out).toBe("two\n");
  const nameless = volume("create").out.trim();
  expect(nameless).toMatch(/^[0-9a-f]{64}$/);
  expect(volume("ls", "-q", "-f", "name=one", "-f", "name=two").out).toBe("one\ntwo\n");
  const table = volume("ls", "-f", "label=of")
    .out.split("\n")
    .map((line) => line.split(/\s{2,}/));
  expect(table).toEqual([["DRIVER", "VOLUME NAME"], ["local", "one"], [""]]);
  expect(
    volume("ls", "--format", '{{.Name}} {{.Scope}} {{.Label "of"}}', "-f", "name=one").out,
  ).toBe("one local cli\n");
  const [seen] = JSON.parse(volume("inspect", "one").out) as Record<string, unknown>[];
  expect(seen).toMatchObject({
    ...{ Name: "one", Labels: { of: "cli" }, Mountpoint: dataOf("one") },
    Options: { type: "tmpfs", device: "tmpfs" },
  });
  expect(volume("rm", "one", "nosuch")).toMatchObject({ code: 1, out: "one\n" });
  expect(volume("rm", "nosuch").err).toContain("no such volume");
  const pruned = volume("prune", "-f");
  expect(pruned.out).toBe(`Deleted Volumes:\n${nameless}\n\nTotal reclaimed space: 0B\n`);
  expect(volume("prune", "-f", "-a").out).toContain("two\n");
  expect(volume("create", "-o", "colour=red", "three")).toMatchObject({ code: 1, out: "" });
  expect(volume("create", "-o", "colour=red", "three").err).toContain('invalid option: "colour"');
  expect(naru("system", "df").out).toContain("Local Volumes");
  expect(naru("system", "prune", "-f", "--volumes").code).toBe(0);
}
