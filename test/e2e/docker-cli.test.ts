/**
 * The stock docker client, unchanged, with DOCKER_HOST at the engine's socket: what a person types
 * and what they then see. Every client that is installed is driven. NARU_SOCK names another engine to
 * judge (dockerd itself, to check the test).
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { realpathSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type OpenedSocket, openSocket } from "../conformance/engine.ts";
import { type CliOptions, type CliResult, cli, cliOk, privileged } from "../harness/cli.ts";
import { TerminalSession } from "../harness/pty.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const CLIENTS: readonly string[] = [
  ...new Set(
    ["/usr/local/bin/docker", "/usr/bin/docker"]
      .filter((path) => Bun.which(path) !== null)
      .map((path) => realpathSync(path)),
  ),
];
const TEST_TIMEOUT_MS = 60_000;
const DETACH = "\x10\x11"; // ctrl-p ctrl-q

let engine: OpenedSocket;
let folder: string;

function docker(
  client: string,
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  return cli(engine, args, { ...options, program: "docker", env: pathFirst(client) });
}

function shown(client: string, args: readonly string[], options: CliOptions = {}): Promise<string> {
  return cliOk(engine, args, { ...options, program: "docker", env: pathFirst(client) });
}

function pathFirst(client: string): Record<string, string> {
  return { PATH: `${dirname(client)}:${process.env["PATH"] ?? ""}` };
}

function onTerminal(client: string, ...args: readonly string[]): TerminalSession {
  return new TerminalSession([client, ...args], {
    env: { DOCKER_HOST: engine.host },
    cols: 90,
    rows: 30,
  });
}

describe.skipIf(!privileged() || CLIENTS.length === 0)("the stock docker client", () => {
  beforeAll(async () => {
    engine = await openSocket();
    folder = await mkdtemp("/tmp/naru-docker-cli-");
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await engine?.close();
  }, TEST_TIMEOUT_MS);

  afterEach(async () => {
    const client = CLIENTS[0] ?? "docker";
    const ids = (await shown(client, ["ps", "-aq"])).split("\n").filter((id) => id !== "");
    if (ids.length > 0) await shown(client, ["rm", "-f", ...ids]);
  });

  for (const client of CLIENTS) describe(client, () => clientTests(client));
});

function clientTests(client: string): void {
  const its = (name: string, body: () => Promise<void>): void => test(name, body, TEST_TIMEOUT_MS);

  its("load says the name, images lists it", async () => {
    const { dockerArchive } = await busyboxFiles();
    expect(await shown(client, ["load", "-i", dockerArchive])).toContain(
      "Loaded image: busybox:latest",
    );
    const [head, line] = (await shown(client, ["images", "busybox"])).split("\n");
    expect(head).toMatch(/^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$/);
    expect(line).toMatch(/^busybox +latest +[0-9a-f]{12} /);
  });

  its("import makes an image that runs, tag and rmi", async () => {
    const { rootfs } = await busyboxFiles();
    const id = await shown(client, [
      "import",
      "--change",
      'CMD ["echo","hi"]',
      rootfs,
      "imported:x",
    ]);
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await shown(client, ["run", "--rm", "imported:x"])).toBe("hi");
    await shown(client, ["tag", "imported:x", "other:y"]);
    expect(await shown(client, ["rmi", "other:y"])).toBe("Untagged: other:y");
    const last = await shown(client, ["rmi", "imported:x"]);
    expect(last).toContain("Untagged: imported:x");
    expect(last).toContain(`Deleted: ${id}`);
    expect((await docker(client, ["inspect", "imported:x"])).exitCode).toBe(1);
  });

  its("run --rm passes stdout, stderr and the exit code, and leaves nothing", async () => {
    const script = "echo out; echo err >&2; exit 42";
    const result = await docker(client, [
      "run",
      "--rm",
      "--name",
      "gone",
      "busybox",
      "sh",
      "-c",
      script,
    ]);
    expect(result).toMatchObject({ exitCode: 42, stdout: "out\n", stderr: "err\n" });
    expect(await shown(client, ["ps", "-a", "--filter", "name=gone", "-q"])).toBe("");
  });

  its("run -i reads a pipe to its end, whole", async () => {
    const stdin = Buffer.alloc(3_000_000, "0123456789abcde\n");
    const result = await docker(client, ["run", "--rm", "-i", "busybox", "cat"], { stdin });
    expect(result.exitCode).toBe(0);
    expect(result.stdoutBytes.equals(stdin)).toBe(true);
  });

  its("run without what to run says 127 and 126, and a missing image 125", async () => {
    const missing = await docker(client, ["run", "--rm", "busybox", "nosuchcommand"]);
    expect(missing.exitCode).toBe(127);
    expect(missing.stderr).toContain('"nosuchcommand"');
    expect((await docker(client, ["run", "--rm", "busybox", "/etc"])).exitCode).toBe(126);
    const image = await docker(client, ["run", "--rm", "--pull", "never", "nosuchimage"]);
    expect(image.exitCode).toBe(125);
    expect(image.stderr).toContain("No such image: nosuchimage:latest");
  });

  its("run -it has a terminal of this size, reads keys, follows a resize", async () => {
    await using session = onTerminal(client, "run", "--rm", "-it", "busybox", "sh");
    await session.expect("#");
    await Bun.sleep(200); // the client sends the first size after the start
    session.type('stty size; test -t 0 && echo a-t""ty\r');
    await session.expect("30 90");
    await session.expect("a-tty");
    session.resize(100, 40);
    await Bun.sleep(300);
    session.type("stty size\r");
    await session.expect("40 100");
    session.type("exit 5\r");
    expect(await session.exited()).toBe(5);
  });

  its("-e, -w, -u, --hostname, --entrypoint reach the process", async () => {
    const flags = [
      "-e",
      "A=1",
      "-w",
      "/tmp",
      "-u",
      "1234:77",
      "--hostname",
      "box",
      "--entrypoint",
      "/bin/sh",
    ];
    const script = "echo $A $(pwd) $(id -u):$(id -g) $(hostname)";
    expect(await shown(client, ["run", "--rm", ...flags, "busybox", "-c", script])).toBe(
      "1 /tmp 1234:77 box",
    );
  });

  its("-v binds both ways, and :ro refuses writes", async () => {
    await writeFile(join(folder, "in"), "from outside\n");
    const script = "cat /x/in; echo from inside > /x/out";
    expect(
      await shown(client, ["run", "--rm", "-v", `${folder}:/x`, "busybox", "sh", "-c", script]),
    ).toBe("from outside");
    expect(await Bun.file(join(folder, "out")).text()).toBe("from inside\n");
    const refused = await docker(client, [
      "run",
      "--rm",
      "-v",
      `${folder}:/x:ro`,
      "busybox",
      "touch",
      "/x/y",
    ]);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain("Read-only file system");
  });

  its("-m and --cpus are set, --read-only holds, --init is pid 1", async () => {
    const limits = ["-d", "--name", "limited", "-m", "32m", "--cpus", "0.5"];
    await shown(client, ["run", ...limits, "busybox", "sleep", "60"]);
    const format = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}";
    expect(await shown(client, ["inspect", "-f", format, "limited"])).toBe("33554432 500000000");
    const readOnly = await docker(client, ["run", "--rm", "--read-only", "busybox", "touch", "/x"]);
    expect(readOnly.stderr).toContain("Read-only file system");
    const first = await shown(client, [
      "run",
      "--rm",
      "--init",
      "busybox",
      "cat",
      "/proc/1/cmdline",
    ]);
    expect(first).toContain("cat");
    expect(first.startsWith("cat")).toBe(false);
  });

  its("-d prints the id; ps, logs, stop, start, restart and rm speak of it", async () => {
    const script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done";
    const id = await shown(client, ["run", "-d", "--name", "web", "busybox", "sh", "-c", script]);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const [head, line] = (await shown(client, ["ps"])).split("\n");
    expect(head).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
    expect(line).toMatch(new RegExp(`^${id.slice(0, 12)} +busybox +"sh -c .* Up .* web$`));
    expect(await shown(client, ["logs", "web"])).toBe("ready");
    const refused = await docker(client, ["rm", "web"]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/container is running|running container/);
    expect(await shown(client, ["stop", "-t", "5", "web"])).toBe("web");
    expect(await shown(client, ["ps", "-a", "--format", "{{.Names}} {{.Status}}"])).toMatch(
      /^web Exited \(7\) /,
    );
    expect(await shown(client, ["wait", "web"])).toBe("7");
    expect(await shown(client, ["start", "web"])).toBe("web");
    expect(await shown(client, ["restart", "-t", "5", "web"])).toBe("web");
    expect(await shown(client, ["kill", "web"])).toBe("web");
    expect(await shown(client, ["wait", "web"])).toBe("137");
    expect(await shown(client, ["rm", "web"])).toBe("web");
    expect((await docker(client, ["inspect", "web"])).exitCode).toBe(1);
  });

  its("logs -f follows to the end; --tail and -t", async () => {
    await shown(client, [
      "run",
      "-d",
      "--name",
      "log",
      "busybox",
      "sh",
      "-c",
      "for i in 1 2 3 4; do echo $i; sleep 0.1; done",
    ]);
    expect(await shown(client, ["logs", "-f", "log"])).toBe("1\n2\n3\n4");
    expect(await shown(client, ["logs", "--tail", "2", "log"])).toBe("3\n4");
    expect(await shown(client, ["logs", "-t", "--tail", "1", "log"])).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z 4$/,
    );
  });

  its("attach on a terminal, detach by keys, attach again; the container goes on", async () => {
    await shown(client, ["run", "-dit", "--name", "tty", "busybox", "sh"]);
    for (const word of ["one", "two"]) {
      await using session = onTerminal(client, "attach", "tty");
      session.type("\r");
      await session.expect("#");
      session.type(`echo ${word}-""seen\r`);
      await session.expect(`${word}-seen`);
      session.type(DETACH);
      await session.expect("read escape sequence"); // the client's own words, and its exit code 1
      expect(await session.exited()).toBe(1);
    }
    expect(await shown(client, ["inspect", "-f", "{{.State.Running}}", "tty"])).toBe("true");
  });

  its("detached from run -it, the container goes on", async () => {
    await using session = onTerminal(client, "run", "-it", "--name", "left", "busybox", "sh");
    await session.expect("#");
    session.type(DETACH);
    expect(await session.exited()).toBe(0);
    expect(await shown(client, ["inspect", "-f", "{{.State.Running}}", "left"])).toBe("true");
  });

  its("exec gives output and exit code, exec -it a terminal", async () => {
    await shown(client, ["run", "-d", "--name", "web", "busybox", "sleep", "60"]);
    const plain = await docker(client, [
      "exec",
      "-e",
      "A=2",
      "web",
      "sh",
      "-c",
      "echo $A; echo err >&2; exit 3",
    ]);
    expect(plain).toMatchObject({ exitCode: 3, stdout: "2\n", stderr: "err\n" });
    expect(await shown(client, ["exec", "-i", "web", "cat"], { stdin: "piped\n" })).toBe("piped");
    await using session = onTerminal(client, "exec", "-it", "web", "sh");
    await session.expect("#");
    session.type('test -t 0 && echo a-t""ty; exit 4\r');
    await session.expect("a-tty");
    expect(await session.exited()).toBe(4);
  });

  its("events tells the life of a container in order", async () => {
    const since = Math.floor(Date.now() / 1000);
    await shown(client, ["run", "--rm", "--name", "told", "busybox", "true"]);
    await Bun.sleep(1100);
    const until = Math.floor(Date.now() / 1000);
    const window = ["--since", String(since), "--until", String(until)];
    const filters = ["--filter", "container=told", "--filter", "type=container"];
    const told = await shown(client, ["events", ...window, ...filters, "--format", "{{.Action}}"]);
    expect(told.split("\n")).toEqual(["create", "attach", "start", "die", "destroy"]);
  });

  its("an unknown name is said to be unknown", async () => {
    const result = await docker(client, ["inspect", "nothing"]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr.toLowerCase()).toContain("no such object: nothing");
  });

  its("info and version name the engine", async () => {
    expect(await shown(client, ["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"])).toBe(
      "linux/amd64",
    );
    expect(await shown(client, ["info", "--format", "{{.OSType}} {{.NCPU}}"])).toMatch(
      /^linux \d+$/,
    );
    const text = await shown(client, ["info"]);
    for (const word of [
      "Containers:",
      "Images:",
      "Storage Driver:",
      "Cgroup Version:",
      "CPUs:",
      "Total Memory:",
    ]) {
      expect(text).toContain(word);
    }
  });
}
