/**
 * dockerode, unchanged, drives every operation of the engine. What is asserted is what the client's
 * user gets: bytes of streams, states, exit codes, messages.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createReadStream } from "node:fs";
import type Dockerode from "dockerode";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import {
  bytesOf,
  connect,
  demuxed,
  ended,
  execIn,
  followed,
  hears,
  idle,
  loadBusybox,
  logsOf,
  refused,
  run,
} from "./dockerode-client.ts";

const TEST_TIMEOUT_MS = 20_000;

let engine: TestEngine;
let docker: Dockerode;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

async function list(
  filters: Record<string, string[]>,
  options: Record<string, unknown> = {},
): Promise<string[]> {
  const found = await docker.listContainers({ all: true, ...options, filters });
  return found.map(({ Names }) => Names[0]?.slice(1) ?? "").toSorted();
}

describe.skipIf(!privileged())("dockerode", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    await loadBusybox(docker);
  }, TEST_TIMEOUT_MS);
  afterAll(() => engine?.destroy(), TEST_TIMEOUT_MS);
  afterEach(() => engine.removeContainers(), TEST_TIMEOUT_MS);

  describe("system", systemTests);
  describe("images", imageTests);
  describe("containers: streams", streamTests);
  describe("containers: states", stateTests);
  describe("containers: wait and list", listTests);
  describe("logs", logTests);
  describe("exec", execTests);
});

function systemTests(): void {
  its("ping, version and info agree with the host", async () => {
    expect(String(await docker.ping())).toBe("OK");
    const version = await docker.version();
    expect(version).toMatchObject({ Os: "linux", ApiVersion: "1.56", MinAPIVersion: "1.24" });
    const info = await docker.info();
    const meminfo = await Bun.file("/proc/meminfo").text();
    expect(info.MemTotal).toBe(Number(/^MemTotal: +(\d+) kB/m.exec(meminfo)?.[1]) * 1024);
    expect(info.NCPU).toBe(navigator.hardwareConcurrency);
    expect(info).toMatchObject({ OSType: "linux", Containers: 0, ContainersRunning: 0, Images: 1 });
    await idle(docker);
    expect(await docker.info()).toMatchObject({ Containers: 1, ContainersRunning: 1 });
  });

  its("events are told as they happen and again from the past, in order", async () => {
    const since = Math.floor(Date.now() / 1000);
    const live = await docker.getEvents({ filters: { type: ["container"], label: ["told=yes"] } });
    const lines: string[] = [];
    live.on("data", (chunk: Buffer) => lines.push(...chunk.toString().split("\n")));
    await run(docker, "exit 3", { Labels: { told: "yes" }, name: "told" });
    await run(docker, "true", { Labels: { told: "no" } });
    while (!lines.some((line) => line.includes('"destroy"'))) await Bun.sleep(10);
    (live as unknown as { destroy(): void }).destroy();
    const told = lines.filter((line) => line.trim() !== "").map((line) => JSON.parse(line));
    const actions = ["create", "attach", "start", "die", "destroy"];
    expect(told.map(({ Action }) => Action)).toEqual(actions);
    expect(told[3].Actor.Attributes).toMatchObject({ exitCode: "3", name: "told", told: "yes" });
    const until = Date.now() / 1000;
    const past = await docker.getEvents({ since, until, filters: { container: ["told"] } });
    const again = (await bytesOf(past)).toString().trim().split("\n");
    expect(again.map((line) => JSON.parse(line).Action)).toEqual(actions);
  });
}

function imageTests(): void {
  its("load: an OCI archive keeps one id with the docker archive", async () => {
    const { Id } = await docker.getImage("busybox").inspect();
    const { ociArchive } = await busyboxFiles();
    const told = await followed(docker, await docker.loadImage(createReadStream(ociArchive)));
    expect(told.at(-1)).toEqual({ stream: "Loaded image: busybox:latest\n" });
    expect((await docker.getImage("busybox").inspect()).Id).toBe(Id);
    expect(await docker.getImage("busybox:latest").inspect()).toMatchObject({
      Os: "linux",
      RepoTags: ["busybox:latest"],
      Config: { Cmd: ["sh"] },
    });
  });

  its("import, list, history, tag and remove", async () => {
    const { rootfs } = await busyboxFiles();
    const stream = await docker.importImage(rootfs, {
      repo: "made",
      tag: "1",
      changes: 'CMD ["echo","imported"]',
    });
    const told = await followed(docker, stream);
    const id = String(told.at(-1)?.["status"]);
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect((await run(docker, [], { Image: "made:1", Cmd: [] })).stdout).toBe("imported\n");
    const image = docker.getImage("made:1");
    const history = (await image.history()) as { Id: string; Tags: string[] }[];
    expect(history[0]).toMatchObject({ Id: id, Tags: ["made:1"] });
    await image.tag({ repo: "made", tag: "2" });
    const listed = await docker.listImages({ filters: { reference: ["made"] } });
    expect(listed.map(({ RepoTags }) => RepoTags?.toSorted())).toEqual([["made:1", "made:2"]]);
    expect(await docker.getImage("made:2").remove()).toEqual([{ Untagged: "made:2" }]);
    const used = await docker.createContainer({ Image: "made:1", Cmd: ["true"] });
    const inUse = await refused(image.remove());
    expect(inUse.status).toBe(409);
    expect(inUse.text).toContain("unable to");
    await used.remove();
    const last = (await image.remove()) as Record<string, string>[];
    expect(last).toContainEqual({ Untagged: "made:1" });
    expect(last).toContainEqual({ Deleted: id });
    expect(await refused(image.inspect())).toEqual({
      status: 404,
      text: "No such image: made:1",
    });
  });
}

function streamTests(): void {
  its("output of both streams and the exit code", async () => {
    const result = await run(docker, "echo out; echo err >&2; exit 42");
    expect(result).toMatchObject({ exitCode: 42, stdout: "out\n", stderr: "err\n" });
  });

  its("stdin through hijack, its end reaches the process, output after it arrives", async () => {
    const container = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh", "-c", "wc -c; sleep 0.2; echo after >&2"],
      OpenStdin: true,
      StdinOnce: true,
    });
    const options = { stream: true, hijack: true, stdin: true, stdout: true, stderr: true };
    const stream = await container.attach(options);
    const texts = demuxed(docker, stream);
    await container.start();
    const block = Buffer.alloc(1_000_000, "x");
    for (let count = 0; count < 5; count += 1) stream.write(block);
    stream.end();
    expect(await texts).toEqual({ stdout: "5000000\n", stderr: "after\n" });
    expect(await container.wait()).toMatchObject({ StatusCode: 0 });
  });

  its("a tty is one raw stream, keys and resize reach it, detach keys leave it", async () => {
    const container = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh"],
      Tty: true,
      OpenStdin: true,
    });
    const options = { stream: true, hijack: true, stdin: true, stdout: true, stderr: true };
    const stream = await container.attach(options);
    let shown = "";
    stream.on("data", (chunk: Buffer) => {
      shown += chunk.toString();
    });
    const sees = async (text: string): Promise<void> => {
      const deadlineMs = Date.now() + 5000;
      while (!shown.includes(text)) {
        if (Date.now() > deadlineMs) throw new Error(`no ${text} in ${JSON.stringify(shown)}`);
        await Bun.sleep(5);
      }
    };
    await container.start();
    await container.resize({ h: 33, w: 101 });
    stream.write('stty size; test -t 0 && echo ter""minal\n');
    await sees("33 101\r\n");
    await sees("terminal\r\n");
    stream.write("\x10\x11");
    await ended(stream);
    expect((await container.inspect()).State.Running).toBe(true);
    const again = await container.attach({ ...options, detachKeys: "ctrl-a,x" });
    again.resume();
    again.write("\x01x");
    await ended(again);
    expect((await container.inspect()).State.Running).toBe(true);
  });

  its("attach replays the log and goes on live; two clients see the same", async () => {
    const container = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh", "-c", "echo early; read word; echo got $word; read word; echo and $word"],
      OpenStdin: true,
    });
    await container.start();
    const both = { stream: true, stdout: true, stderr: true, logs: true };
    while ((await logsOf(container)).stdout === "") await Bun.sleep(5);
    const readers = await Promise.all([container.attach(both), container.attach(both)]);
    const texts = Promise.all(readers.map((reader) => demuxed(docker, reader)));
    const stdin = await container.attach({ stream: true, hijack: true, stdin: true });
    stdin.end("one\n"); // without StdinOnce the end of one client's input is not the container's
    const second = await container.attach({ stream: true, hijack: true, stdin: true });
    second.end("two\n");
    const whole = { stdout: "early\ngot one\nand two\n", stderr: "" };
    expect(await texts).toEqual([whole, whole]);
  });
}

function stateTests(): void {
  its("start, stop, restart, kill, pause and rename say what is so", async () => {
    const container = await idle(docker, { name: "life" });
    expect((await refused(container.start())).status).toBe(304);
    expect(await refused(container.remove())).toMatchObject({ status: 409 });
    await container.pause();
    expect((await container.inspect()).State).toMatchObject({ Status: "paused", Paused: true });
    expect((await refused(container.pause())).status).toBe(409);
    expect((await refused(container.exec({ Cmd: ["true"] }))).status).toBe(409);
    await container.unpause();
    const before = (await container.inspect()).State;
    await container.restart({ t: 5 });
    const after = (await container.inspect()).State;
    expect(after.Status).toBe("running");
    expect(after.Pid).not.toBe(before.Pid);
    expect(await Bun.file(`/proc/${after.Pid}/comm`).text()).toBe("sh\n");
    await container.rename({ name: "renamed" });
    expect((await docker.getContainer("renamed").inspect()).Name).toBe("/renamed");
    await container.stop({ t: 5 });
    expect((await container.inspect()).State).toMatchObject({ Status: "exited", ExitCode: 0 });
    expect((await refused(container.stop())).status).toBe(304);
    const dead = await refused(container.kill());
    expect(dead.status).toBe(409);
    expect(dead.text).toContain("is not running");
    await container.start();
    await hears(container);
    await container.kill({ signal: "SIGUSR1" });
    expect(await container.wait()).toMatchObject({ StatusCode: 12 });
    await container.remove();
    expect(await refused(container.inspect())).toEqual({
      status: 404,
      text: `No such container: ${container.id}`,
    });
  });

  its("StopSignal, StopTimeout and a process that ignores them", async () => {
    const trap = "trap 'echo bye; exit 9' USR2; echo up; while :; do sleep 0.05; done";
    const polite = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh", "-c", trap],
      StopSignal: "SIGUSR2",
    });
    await polite.start();
    const log = async (): Promise<string> => (await logsOf(polite)).stdout;
    while ((await log()) === "") await Bun.sleep(5);
    await polite.stop();
    expect((await polite.inspect()).State.ExitCode).toBe(9);
    expect(await log()).toBe("up\nbye\n");
    const deaf = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"],
      StopTimeout: 1,
    });
    await deaf.start();
    const startedMs = performance.now();
    await deaf.stop();
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect((await deaf.inspect()).State.ExitCode).toBe(137);
  });

  its("prune takes the stopped ones that match", async () => {
    await run(docker, "true", { name: "old", Labels: { keep: "no" }, keep: true });
    await run(docker, "true", { name: "kept", Labels: { keep: "yes" }, keep: true });
    const running = await idle(docker, { Labels: { keep: "no" } });
    const pruned = await docker.pruneContainers({ filters: { label: ["keep=no"] } });
    expect(pruned.ContainersDeleted).toHaveLength(1);
    expect(await list({})).toEqual(["kept", (await running.inspect()).Name.slice(1)].toSorted());
  });

  its("AutoRemove: gone after the end, a wait for removed has the code", async () => {
    const container = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh", "-c", "sleep 0.1; exit 6"],
      HostConfig: { AutoRemove: true },
    });
    const removed = container.wait({ condition: "removed" });
    await container.start();
    expect(await removed).toMatchObject({ StatusCode: 6 });
    expect((await refused(container.inspect())).status).toBe(404);
  });

  its("names: a clash and a bad one are told in Docker's words", async () => {
    const { id } = await idle(docker, { name: "taken" });
    const clash = await refused(docker.createContainer({ Image: "busybox", name: "taken" }));
    expect(clash).toEqual({
      status: 409,
      text: `Conflict. The container name "/taken" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    });
    const bad = await refused(docker.createContainer({ Image: "busybox", name: "a/b" }));
    expect(bad.status).toBe(400);
    expect(bad.text).toContain("Invalid container name (a/b)");
  });
}

function listTests(): void {
  its("wait: not-running answers at once, next-exit waits for the next one", async () => {
    const { id } = await run(docker, "sleep 0.2; exit 4", { keep: true });
    const container = docker.getContainer(id);
    expect(await container.wait({ condition: "not-running" })).toMatchObject({ StatusCode: 4 });
    let told = false;
    const next = container.wait({ condition: "next-exit" }).then((result: unknown) => {
      told = true;
      return result;
    });
    await Bun.sleep(100);
    expect(told).toBe(false);
    await container.start();
    expect(await next).toMatchObject({ StatusCode: 4 });
    const removed = container.wait({ condition: "removed" });
    await Bun.sleep(50);
    await container.remove();
    expect(await removed).toMatchObject({ StatusCode: 4 });
  });

  its("every filter of list", async () => {
    const Labels = { app: "web", tier: "1" };
    await docker.createContainer({ Image: "busybox", name: "one", Labels, Cmd: ["sh"] });
    const HostConfig = { Binds: ["data:/data"] };
    const two = await idle(docker, {
      name: "two",
      Labels: { app: "db" },
      HostConfig,
      ExposedPorts: { "80/tcp": {}, "53/udp": {} },
    });
    await run(docker, "exit 7", { name: "three", keep: true, HostConfig: { NetworkMode: "none" } });
    const Healthcheck = { Test: ["CMD", "true"], Interval: 3_600_000_000_000 };
    await docker.createContainer({ Image: "busybox", name: "four", Healthcheck, Cmd: ["sh"] });
    expect(await list({}, { all: false })).toEqual(["two"]);
    expect(await list({}, { limit: 1 })).toEqual(["four"]);
    const cases: [Record<string, string[]>, string[]][] = [
      [{ status: ["running"] }, ["two"]],
      [{ status: ["created", "exited"] }, ["four", "one", "three"]],
      [{ exited: ["7"] }, ["three"]],
      [{ label: ["app"] }, ["one", "two"]],
      [{ label: ["app=web", "tier=1"] }, ["one"]],
      [{ name: ["^/t"] }, ["three", "two"]],
      [{ name: ["wo", "our"] }, ["four", "two"]],
      [{ id: [two.id.slice(0, 12)] }, ["two"]],
      [{ ancestor: ["busybox"] }, ["four", "one", "three", "two"]],
      [{ ancestor: ["other"] }, []],
      [{ before: ["two"] }, ["one"]],
      [{ since: ["two"] }, ["four", "three"]],
      [{ volume: ["data"] }, ["two"]],
      [{ volume: ["/data"] }, ["two"]],
      [{ network: ["none"] }, ["three"]],
      [{ network: ["bridge"], status: ["running"] }, ["two"]],
      [{ expose: ["80"] }, ["two"]],
      [{ expose: ["50-60/udp"] }, ["two"]],
      [{ publish: ["80"] }, []],
      [{ health: ["none"], status: ["exited"] }, ["three"]],
      [{ "is-task": ["false"], status: ["running"] }, ["two"]],
      [{ "is-task": ["true"] }, []],
      [{ isolation: ["default"], status: ["running"] }, ["two"]],
    ];
    for (const [filters, names] of cases) {
      expect({ filters, names: await list(filters) }).toEqual({ filters, names });
    }
    const unknown = await refused(list({ colour: ["red"] }));
    expect(unknown.status).toBe(400);
    expect(unknown.text).toContain("colour");
    const status = await refused(list({ status: ["asleep"] }));
    expect(status.status).toBe(400);
    expect(status.text).toContain("asleep");
    const [sized] = await docker.listContainers({ size: true });
    expect((sized as unknown as { SizeRootFs: number }).SizeRootFs).toBeGreaterThan(1_000_000);
  });
}

function logTests(): void {
  its("streams apart, tail, timestamps, since and until", async () => {
    const script = "echo one; echo two >&2; sleep 1.1; echo three; printf four";
    const { id } = await run(docker, script, { keep: true });
    const container = docker.getContainer(id);
    const logs = (options: Dockerode.ContainerLogsOptions) => logsOf(container, options);
    expect(await logs({})).toEqual({ stdout: "one\nthree\nfour", stderr: "two\n" });
    expect(await logs({ stderr: false })).toEqual({ stdout: "one\nthree\nfour", stderr: "" });
    expect(await logs({ tail: 2 })).toEqual({ stdout: "three\nfour", stderr: "" });
    expect(await logs({ tail: 0 })).toEqual({ stdout: "", stderr: "" });
    const { stdout } = await logs({ timestamps: true, stderr: false });
    const times = [...stdout.matchAll(/^(\S+Z) /gm)].map((match) => match[1] ?? "");
    expect(times).toHaveLength(3);
    const since = times[1] ?? "";
    expect(await logs({ since: since as unknown as number })).toEqual({
      stdout: "three\nfour",
      stderr: "",
    });
    const until = Date.parse(since) / 1000 - 0.5;
    expect(await logs({ until })).toEqual({ stdout: "one\n", stderr: "two\n" });
    const neither = await refused(container.logs({ stdout: false, stderr: false }));
    expect(neither.status).toBe(400);
  });

  its("follow brings what comes and ends with the container", async () => {
    const container = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.05; done"],
    });
    await container.start();
    const stream = await container.logs({ follow: true, stdout: true, stderr: true });
    const { stdout } = await demuxed(docker, stream);
    expect(stdout).toBe("line 1\nline 2\nline 3\nline 4\nline 5\n");
  });
}

function execTests(): void {
  its("output, exit code, environment, user, directory", async () => {
    const container = await idle(docker);
    const result = await execIn(docker, container, "echo $A $(id -u) $(pwd); echo e >&2; exit 5", {
      Env: ["A=b"],
      User: "12:34",
      WorkingDir: "/tmp",
    });
    expect(result).toMatchObject({ exitCode: 5, stdout: "b 12 /tmp\n", stderr: "e\n" });
    const inspect = await docker.getExec(result.id).inspect();
    expect(inspect).toMatchObject({ Running: false, ExitCode: 5, ContainerID: container.id });
    expect((await refused(docker.getExec(result.id).start({}))).status).toBe(409);
    const missing = await execIn(docker, container, ["nosuchthing"]);
    expect(missing.exitCode).toBe(127);
    const unknown = await refused(docker.getExec("nothing").inspect());
    expect(unknown).toEqual({ status: 404, text: "No such exec instance: nothing" });
  });

  its("stdin through hijack with its end", async () => {
    const container = await idle(docker);
    const exec = await container.exec({
      Cmd: ["sh", "-c", "md5sum; echo done"],
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    });
    const stream = await exec.start({ hijack: true, stdin: true });
    const texts = demuxed(docker, stream);
    const block = Buffer.alloc(3_000_000, "abcdefg");
    stream.end(block);
    const md5 = new Bun.CryptoHasher("md5").update(block).digest("hex");
    expect(await texts).toEqual({ stdout: `${md5}  -\ndone\n`, stderr: "" });
    expect((await exec.inspect()).ExitCode).toBe(0);
  });

  its("a tty with a size that changes", async () => {
    const container = await idle(docker);
    const exec = await container.exec({
      Cmd: ["sh", "-c", "read line; stty size; echo $line; exit 3"],
      AttachStdin: true,
      AttachStdout: true,
      Tty: true,
    });
    const stream = await exec.start({ hijack: true, stdin: true, Tty: true });
    const text = bytesOf(stream);
    await exec.resize({ h: 17, w: 71 });
    stream.write("typed\n");
    expect((await text).toString()).toBe("typed\r\n17 71\r\ntyped\r\n");
    expect((await exec.inspect()).ExitCode).toBe(3);
  });

  its("detached goes on alone; one in a stopped container is refused", async () => {
    const container = await idle(docker);
    const exec = await container.exec({ Cmd: ["sh", "-c", "sleep 0.1; echo x > /made"] });
    await exec.start({ Detach: true });
    while ((await exec.inspect()).Running) await Bun.sleep(10);
    expect((await execIn(docker, container, "cat /made")).stdout).toBe("x\n");
    await container.kill();
    const dead = await refused(container.exec({ Cmd: ["true"] }));
    expect(dead.status).toBe(409);
    expect(dead.text).toContain("is not running");
  });
}
