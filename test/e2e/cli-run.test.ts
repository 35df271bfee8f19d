/**
 * naru's own command line, as a person and a script use it. NARU_SOCK names another engine to judge
 * (dockerd itself, to check the test).
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type OpenedSocket, openSocket } from "../conformance/engine.ts";
import { type CliOptions, type CliResult, cli, cliOk, privileged } from "../harness/cli.ts";
import { naruCommand } from "../harness/program.ts";
import { TerminalSession } from "../harness/pty.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const TEST_TIMEOUT_MS = 60_000;
const STREAM_BYTES = 20_000_000; // far beyond every buffer on the way
const NONE = ["--network", "none"] as const;

let engine: OpenedSocket;
let folder: string;

const naru = (...args: string[]): Promise<CliResult> => cli(engine, args);
const shown = (...args: string[]): Promise<string> => cliOk(engine, args);
const run = (...args: string[]): Promise<CliResult> => naru("run", "--rm", ...NONE, ...args);
const fed = (stdin: string | Uint8Array, ...args: string[]): Promise<CliResult> =>
  cli(engine, args, { stdin } satisfies CliOptions);

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

describe.skipIf(!privileged())("the naru command line", () => {
  beforeAll(async () => {
    engine = await openSocket();
    folder = await mkdtemp("/tmp/naru-cli-");
    const { dockerArchive } = await busyboxFiles();
    expect(await shown("load", "-i", dockerArchive)).toContain("Loaded image: busybox:latest");
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await engine?.close();
  }, TEST_TIMEOUT_MS);

  afterEach(async () => {
    const ids = (await shown("ps", "-aq")).split("\n").filter((id) => id !== "");
    if (ids.length > 0) await shown("rm", "-f", ...ids);
  });

  describe("run", runTests);
  describe("terminal", terminalTests);
  describe("lists and life", lifeTests);
});

function runTests(): void {
  its("keeps the streams apart and gives the exit code", async () => {
    const result = await run("busybox", "sh", "-c", "echo out; echo err >&2; exit 7");
    expect(result).toMatchObject({ exitCode: 7, stdout: "out\n", stderr: "err\n" });
  });

  its("125, 126 and 127 say why nothing ran", async () => {
    expect((await run("busybox", "nosuch")).exitCode).toBe(127);
    expect((await run("busybox", "/etc")).exitCode).toBe(126);
    expect((await run("--nosuch", "busybox")).exitCode).toBe(125);
    const missing = await run("--pull", "never", "nosuchimage", "true");
    expect(missing.exitCode).toBe(125);
    expect(missing.stderr).toContain("No such image: nosuchimage:latest");
    expect(await shown("ps", "-aq")).toBe("");
  });

  its("input reaches the container whole, and its end too", async () => {
    const bytes = new Uint8Array(STREAM_BYTES).fill(120);
    const result = await fed(bytes, "run", "--rm", "-i", ...NONE, "busybox", "cat");
    expect(result.stdoutBytes.length).toBe(STREAM_BYTES);
    expect(Bun.hash(result.stdoutBytes)).toBe(Bun.hash(bytes));
  });

  its("input that the container does not read stops nothing", async () => {
    const bytes = new Uint8Array(STREAM_BYTES);
    const result = await fed(bytes, "run", "--rm", "-i", ...NONE, "busybox", "true");
    expect(result).toMatchObject({ exitCode: 0, stdout: "" });
  });

  its("--cidfile, --env-file, -e, -w, -h and -v", async () => {
    const cid = join(folder, "cid");
    const env = join(folder, "env");
    await writeFile(env, "FROM_FILE=1\n");
    const script = 'echo "$FROM_FILE $B $(pwd) $(hostname)"; cat /in/env';
    const result = await run(
      ...["--cidfile", cid, "--env-file", env, "-e", "B=2", "-w", "/tmp", "-h", "box"],
      ...["-v", `${folder}:/in:ro`, "busybox", "sh", "-c", script],
    );
    expect(result.stdout).toBe("1 2 /tmp box\nFROM_FILE=1\n");
    expect(await readFile(cid, "utf8")).toMatch(/^[0-9a-f]{64}$/);
    expect((await run("--cidfile", cid, "busybox", "true")).exitCode).toBe(125);
  });

  its("-d prints the id; attach, logs and wait find what it did", async () => {
    const id = await shown(
      "run",
      "-d",
      ...NONE,
      "busybox",
      "sh",
      "-c",
      "echo a; echo b >&2; exit 3",
    );
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await shown("wait", id)).toBe("3");
    expect(await naru("logs", id)).toMatchObject({ stdout: "a\n", stderr: "b\n" });
    expect(await shown("logs", "--tail", "0", id)).toBe("");
  });
}

function terminalTests(): void {
  const onTerminal = (...args: readonly string[]): TerminalSession =>
    new TerminalSession([...naruCommand(), ...args], {
      env: { DOCKER_HOST: engine.host },
      cols: 90,
      rows: 30,
    });

  its("-it is a terminal of the right size, and its exit code is ours", async () => {
    const session = onTerminal("run", "--rm", "-it", ...NONE, "busybox", "sh");
    await session.expect("# ");
    session.type("stty size; exit 5\n");
    await session.expect("30 90");
    expect(await session.exited()).toBe(5);
  });

  its("detach keys leave it running; attach comes back", async () => {
    const session = onTerminal("run", "-it", "--name", "shell", ...NONE, "busybox", "sh");
    await session.expect("# ");
    session.type("\x10\x11");
    await session.expect("read escape sequence");
    expect(await session.exited()).toBe(0);
    expect(await shown("ps", "--format", "{{.Names}}")).toBe("shell");
    const again = onTerminal("attach", "shell");
    again.type("echo b$((1+1))k; exit 3\n");
    await again.expect("b2k");
    expect(await again.exited()).toBe(3);
  });

  its("-t needs a terminal", async () => {
    const result = await run("-it", "busybox", "true");
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain("the input device is not a TTY");
  });
}

function lifeTests(): void {
  its("exec, ps, inspect, stop, start, rename, rm", async () => {
    await shown("run", "-d", "--name", "web", ...NONE, "busybox", "sleep", "1000");
    expect((await naru("exec", "web", "sh", "-c", "exit 4")).exitCode).toBe(4);
    expect((await fed("abc", "exec", "-i", "web", "cat")).stdout).toBe("abc");
    const [head = "", line = ""] = (await shown("ps")).split("\n");
    expect(head).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
    expect(line).toMatch(/^[0-9a-f]{12} +busybox +"sleep 1000" +.* +Up .* +web$/);
    expect(await shown("inspect", "-f", "{{.State.Running}} {{json .Config.Cmd}}", "web")).toBe(
      'true ["sleep","1000"]',
    );
    expect(JSON.parse(await shown("ps", "--format", "json"))).toMatchObject({ Names: "web" });
    expect(await shown("stop", "-t", "0", "web")).toBe("web");
    expect(await shown("ps", "-q")).toBe("");
    await shown("rename", "web", "db");
    expect(await shown("start", "db")).toBe("db");
    const refused = await naru("rm", "db");
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/running container|container is running/);
    expect(await shown("rm", "-f", "db")).toBe("db");
  });

  its("tag, images, history, rmi", async () => {
    await shown("tag", "busybox", "my/own:1");
    expect(await shown("images", "--format", "{{.Repository}}:{{.Tag}}")).toContain("my/own:1");
    expect(await shown("history", "-q", "my/own:1")).not.toBe("");
    expect(await shown("rmi", "my/own:1")).toBe("Untagged: my/own:1");
  });

  its("what is wrong with a command line is said with its command", async () => {
    const typo = await naru("pss");
    expect(typo).toMatchObject({ exitCode: 1 });
    expect(typo.stderr).toContain("did you mean 'ps'?");
    expect((await naru("run", "--help")).stdout).toContain("--health-start-interval duration");
    expect((await naru("inspect", "nothing")).stderr).toContain("no such object: nothing");
  });
}
