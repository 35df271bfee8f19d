/** Snapshots, restore, export and import of volumes, through naru's command line and its API. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type Dockerode from "dockerode";
import { lgetxattr, lsetxattr } from "../../src/linux/mod.ts";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { naruCommand } from "../harness/program.ts";
import { connect, execIn, idle, loadBusybox, run } from "./dockerode-client.ts";
import { harmlessLayers, hostileLayers } from "./hostile-tars.ts";

const TEST_TIMEOUT_MS = 30_000;

let engine: TestEngine;
let docker: Dockerode;
let folder: string;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

function volume(...args: readonly string[]): { code: number | null; out: string; err: string } {
  const [program, ...before] = naruCommand();
  const env = { ...process.env, DOCKER_HOST: engine.host, DOCKER_CONFIG: folder };
  const ran = spawnSync(program, [...before, "volume", ...args], { env, encoding: "utf8" });
  return { code: ran.status, out: ran.stdout, err: ran.stderr };
}

/** What must succeed. */
function did(...args: readonly string[]): string {
  const { code, out, err } = volume(...args);
  if (code !== 0) throw new Error(`${args.join(" ")}: ${err}`);
  return out;
}

const dataOf = (name: string): string => join(engine.dataRoot, "volumes", name, "_data");
const read = (name: string, file: string): string => readFileSync(join(dataOf(name), file), "utf8");
const on = (name: string): Dockerode.ContainerCreateOptions => ({
  HostConfig: { Binds: [`${name}:/v`] },
});

describe.skipIf(!privileged())("volume backups", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    folder = mkdtempSync("/tmp/naru-backups-");
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

  its("a snapshot is what the volume held, and outlives it", snapshots);
  its("a restore waits for nobody: it is refused while containers run on the volume", inUse);
  its("containers stand still while a snapshot is taken, unless told otherwise", paused);
  its("an export holds owners, links, holes and attributes, and an import gives them back", travel);
  its("an import replaces only when told, and is all or nothing", wholeImports);
  its("hostile archives touch nothing outside the volume", hostile);
  its("volumes that are mounted are exported, imported and restored too", mounted);
});

async function snapshots(): Promise<void> {
  did("create", "--label", "of=backups", "data");
  writeFileSync(join(dataOf("data"), "file"), "one");
  expect(did("snapshot", "data", "first")).toBe("first\n");
  writeFileSync(join(dataOf("data"), "file"), "two");
  writeFileSync(join(dataOf("data"), "more"), "");
  const named = did("snapshot", "data").trim();
  expect(named).toMatch(/^\d{8}T\d{6}Z$/);
  expect(volume("snapshot", "data", "first")).toMatchObject({ code: 1 });
  expect(did("snapshots", "-q", "data")).toBe(`${named}\nfirst\n`);
  expect(did("snapshots")).toMatch(/^VOLUME NAME +SNAPSHOT +CREATED +SIZE\n/);
  did("restore", "data", "first");
  expect(readdirSync(dataOf("data"))).toEqual(["file"]);
  expect(read("data", "file")).toBe("one");
  did("rm", "data");
  did("restore", "data", named);
  expect(read("data", "file")).toBe("two");
  const [seen] = JSON.parse(did("inspect", "data")) as { Labels: object }[];
  expect(seen?.Labels).toEqual({ of: "backups" });
  expect(volume("restore", "data", "nosuch").err).toContain("no such snapshot");
  for (const bad of ["../x", "a/b", "-x"]) {
    const { status } = await engine.fetch(
      `/naru/v1/volumes/data/snapshot?name=${encodeURIComponent(bad)}`,
      { method: "POST" },
    );
    expect({ bad, status }).toEqual({ bad, status: 400 });
  }
  did("snapshot", "--rm", "data", "first");
  did("snapshot", "--rm", "data", named);
  expect(did("snapshots", "-q")).toBe("");
  expect(volume("snapshot", "--rm", "data", "first").err).toContain("no such snapshot");
}

async function inUse(): Promise<void> {
  did("create", "busy");
  did("snapshot", "busy", "empty");
  const container = await idle(docker, on("busy"));
  const refusal = volume("restore", "busy", "empty");
  expect(refusal.code).toBe(1);
  expect(refusal.err).toContain(`in use by running containers - [${container.id}]`);
  await execIn(docker, container, "echo x > /v/file");
  await container.stop({ t: 0 });
  did("restore", "busy", "empty");
  await container.start();
  expect((await execIn(docker, container, "ls -A /v")).stdout).toBe("");
  did("snapshot", "--rm", "busy", "empty");
}

async function paused(): Promise<void> {
  did("create", "live");
  const container = await idle(docker, on("live"));
  const sinceS = Math.floor(Date.now() / 1000);
  did("snapshot", "live", "still");
  did("snapshot", "--pause=false", "live", "moving");
  const untilS = Date.now() / 1000 + 0.01;
  const filters = encodeURIComponent(JSON.stringify({ container: [container.id] }));
  const query = `since=${sinceS}&until=${untilS.toFixed(3)}&filters=${filters}`;
  const text = await (await engine.fetch(`/events?${query}`)).text();
  const actions = text
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { Action: string }).Action);
  expect(actions.filter((action) => action.endsWith("pause"))).toEqual(["pause", "unpause"]);
  expect((await container.inspect()).State.Paused).toBe(false);
  for (const name of ["still", "moving"]) did("snapshot", "--rm", "live", name);
}

async function travel(): Promise<void> {
  did("create", "from");
  const script = [
    "cd /v && mkdir sub && echo text > sub/file && ln sub/file again && ln -s /etc/passwd link",
    "mkfifo pipe && chown -R 7:8 sub && chmod 2751 sub && chown 5:6 . && chmod 0710 .",
    "dd if=/dev/zero of=holes bs=1 count=1 seek=20M 2>/dev/null && touch -d '2001-02-03 04:05:06' sub",
  ].join("; ");
  await run(docker, script, on("from"));
  lsetxattr(join(dataOf("from"), "sub", "file"), "user.naru", Buffer.from("kept"));
  for (const name of ["plain.tar", "small.tar.gz", "fast.tar.zst"]) {
    const file = join(folder, name);
    did("export", "-o", file, "from");
    did("import", `to-${name}`, file);
    const look =
      "cd /v && ls -lanR --full-time . | grep -v -e ^total -e ' [.][.]$' && ls -i again sub/file | awk '{print $1}' | uniq | wc -l; du -k holes | awk '{print ($1 < 1000)}'";
    const [a, b] = [await run(docker, look, on("from")), await run(docker, look, on(`to-${name}`))];
    expect(b.stdout).toBe(a.stdout);
    const shown = lgetxattr(join(dataOf(`to-${name}`), "sub", "file"), "user.naru");
    expect(shown?.toString()).toBe("kept");
  }
  expect(statSync(join(folder, "fast.tar.zst")).size).toBeLessThan(200_000);
  // Other people's tools read it and write it.
  const listing = execFileSync("tar", ["tf", join(folder, "plain.tar")], { encoding: "utf8" });
  expect(listing).toContain("./sub/file\n");
  const made = execFileSync("tar", ["-C", dataOf("from"), "-cf", "-", "./sub"]);
  const answer = await engine.fetch("/naru/v1/volumes/theirs/import", {
    method: "POST",
    body: made,
  });
  expect(answer.status).toBe(204);
  expect(read("theirs", "sub/file")).toBe("text\n");
}

async function wholeImports(): Promise<void> {
  did("create", "kept");
  writeFileSync(join(dataOf("kept"), "file"), "mine");
  const archive = execFileSync("tar", ["-C", "/etc", "-cf", "-", "hostname", "passwd"]);
  const send = (body: Uint8Array, query = ""): Promise<Response> =>
    engine.fetch(`/naru/v1/volumes/kept/import${query}`, { method: "POST", body });
  expect((await send(archive)).status).toBe(409);
  expect((await send(archive.subarray(0, 700), "?replace=1")).status).toBe(400);
  expect((await send(Buffer.from("no archive at all".repeat(100)), "?replace=1")).status).toBe(400);
  expect(readdirSync(dataOf("kept"))).toEqual(["file"]);
  expect(readdirSync(join(engine.dataRoot, "volumes", "kept"))).toEqual(["_data"]);
  expect((await send(archive, "?replace=1")).status).toBe(204);
  expect(readdirSync(dataOf("kept")).sort()).toEqual(["hostname", "passwd"]);
}

async function hostile(): Promise<void> {
  const canary = mkdtempSync("/tmp/naru-canary-");
  try {
    writeFileSync(join(canary, "file"), "untouched");
    for (const { name, bytes } of [...hostileLayers(canary), ...harmlessLayers(canary)]) {
      did("create", "target");
      symlinkSync(canary, join(dataOf("target"), "out"));
      const { status } = await engine.fetch("/naru/v1/volumes/target/import?replace=1", {
        method: "POST",
        body: bytes,
      });
      expect({ name, fault: status >= 500 }).toEqual({ name, fault: false });
      expect(readdirSync(canary)).toEqual(["file"]);
      expect(readFileSync(join(canary, "file"), "utf8")).toBe("untouched");
      expect(statSync(join(canary, "file")).nlink).toBe(1);
      if (status >= 400) expect(readdirSync(dataOf("target"))).toEqual(["out"]);
      did("rm", "target");
    }
  } finally {
    rmSync(canary, { recursive: true, force: true });
  }
}

async function mounted(): Promise<void> {
  did("create", "-o", "backing=image", "-o", "size=16m", "file-backed");
  await run(docker, "echo one > /v/file", on("file-backed"));
  did("snapshot", "file-backed", "one");
  const archive = join(folder, "file-backed.tar");
  did("export", "-o", archive, "file-backed");
  await run(docker, "echo two > /v/file; touch /v/other", on("file-backed"));
  did("restore", "file-backed", "one");
  const cat = "cat /v/file; ls /v";
  expect((await run(docker, cat, on("file-backed"))).stdout).toBe("one\nfile\n");
  expect(volume("import", "file-backed", archive).err).toContain("is not empty");
  did("import", "--replace", "file-backed", archive);
  expect((await run(docker, cat, on("file-backed"))).stdout).toBe("one\nfile\n");
  did("snapshot", "--rm", "file-backed", "one");
}
