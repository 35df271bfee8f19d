/** `naru daemon` as an administrator meets it: its flags, files, sockets, signals and names. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { chmod, copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { ROOT } from "../harness/program.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import {
  Authority,
  activationLauncher,
  daemonEnds,
  freePort,
  NotifySocket,
} from "./daemon-outside.ts";

const LIMIT_MS = 60_000;
const UNITS = ["packaging/systemd/naru.service", "packaging/systemd/naru.socket"] as const;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp("/tmp/naru-daemon-");
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function its(name: string, body: () => Promise<void>): void {
  test(name, body, LIMIT_MS);
}

async function configFile(name: string, content: unknown): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** Starts an engine, and takes it away whatever `body` does. */
async function withEngine(
  options: Parameters<typeof startEngine>[0],
  body: (engine: TestEngine) => Promise<void>,
): Promise<void> {
  const engine = await startEngine(options);
  try {
    await body(engine);
  } finally {
    await engine.destroy();
  }
}

async function infoOf(engine: TestEngine): Promise<Record<string, unknown>> {
  return (await (await engine.fetch("/info")).json()) as Record<string, unknown>;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error(`not within 10 s: ${what}`);
    await Bun.sleep(20);
  }
}

describe("a configuration that is not taken", () => {
  const validate = async (content: unknown, ...flags: readonly string[]): Promise<string> => {
    const file = await configFile("bad.json", content);
    const ended = await daemonEnds(["--validate", "--config-file", file, ...flags]);
    expect(ended.exitCode).toBe(1);
    expect(ended.stdout).toBe("");
    return ended.stderr;
  };

  its("unknown keys are named, all of them", async () => {
    const said = await validate({ debug: true, "no-such-key": 1, other: [] });
    expect(said).toContain("unknown keys: no-such-key, other");
    expect(said).toContain(join(folder, "bad.json"));
  });

  its("wrong types are named with what is wanted", async () => {
    expect(await validate({ debug: "yes" })).toContain('debug: want true or false, got "yes"');
    expect(await validate({ hosts: "tcp://x" })).toContain("hosts: want a list of strings");
    expect(await validate({ mtu: 1.5 })).toContain("mtu: want a whole number, got 1.5");
    expect(await validate({ labels: [1] })).toContain("labels: want a list of strings");
    expect(await validate({ runtimes: { x: {} } })).toContain("runtimes: want an object like");
    expect(await validate("{")).toContain("not JSON");
    expect(await validate([])).toContain("want a JSON object");
  });

  its("an option both as a flag and in the file is refused", async () => {
    const said = await validate({ debug: true, labels: ["a=b"] }, "--debug", "--label", "c=d");
    expect(said).toContain("given both as a flag and in the configuration file: debug, labels");
  });

  its("what naru cannot honour is refused by name", async () => {
    expect(await validate({ "userns-remap": "default" })).toContain("userns-remap");
    expect(await validate({ iptables: false })).toContain("iptables: cannot be switched off");
    expect(await validate({}, "--storage-driver", "zfs")).toContain("storage-driver");
  });

  its("flags: unknown, without a value, of the wrong type, and words too many", async () => {
    const said = async (...args: readonly string[]): Promise<string> => {
      const ended = await daemonEnds(["--validate", ...args]);
      expect(ended.exitCode).toBe(1);
      return ended.stderr;
    };
    expect(await said("--no-such-flag")).toContain("unknown flag: --no-such-flag");
    expect(await said("--host")).toContain("flag needs an argument: --host");
    expect(await said("--mtu", "many")).toContain('--mtu: want a whole number, got "many"');
    expect(await said("--debug=maybe")).toContain("--debug: want true or false");
    expect(await said("start")).toContain('the daemon takes no arguments, got "start"');
    expect(await said("--host", "ftp://x")).toContain("ftp://x");
    expect(await said("--exec-opt", "native.cgroupdriver=x")).toContain("native.cgroupdriver");
    expect(await said("--default-ulimit", "nofile=9:5")).toContain("nofile");
    expect(await said("--tlsverify")).toContain("tls: needs tlscert and tlskey");
    expect(await said("--config-file", join(folder, "none"))).toContain("cannot read");
  });

  its("it also refuses to start with it, and makes no roots", async () => {
    const file = await configFile("bad.json", { "no-such-key": 1 });
    const roots = ["--data-root", join(folder, "d"), "--exec-root", join(folder, "x")];
    const ended = await daemonEnds(["--config-file", file, ...roots]);
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain("no-such-key");
    expect(existsSync(join(folder, "d"))).toBe(false);
  });

  its("--validate says OK of a good one and starts nothing", async () => {
    const file = await configFile("good.json", { debug: true, "data-root": join(folder, "d") });
    const ended = await daemonEnds(["--validate", "--config-file", file]);
    expect(ended).toEqual({ exitCode: 0, stdout: "configuration OK\n", stderr: "" });
    expect(existsSync(join(folder, "d"))).toBe(false);
  });
});

its("the binary by the names docker and dockerd", async () => {
  const version = await daemonEnds(["--version"], [join(ROOT, "dist/dockerd")]);
  expect(version.exitCode).toBe(0);
  expect(version.stdout).toMatch(/version \d+\.\d+/);
  const refused = await daemonEnds(["--no-such-flag"], [join(ROOT, "dist/dockerd")]);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toStartWith("dockerd: unknown flag: --no-such-flag");
  const client = await daemonEnds(["--help"], [join(ROOT, "dist/docker")]);
  expect(client.exitCode).toBe(0);
  expect(client.stdout).toContain("docker");
});

test.skipIf(Bun.which("systemd-analyze") === null)("systemd finds no fault in the units", () => {
  for (const unit of UNITS) {
    const said = Bun.spawnSync(["systemd-analyze", "verify", join(ROOT, unit)]).stderr.toString();
    const faults = said.split("\n").filter((line) => line.startsWith("naru."));
    // The binary is not installed where the units expect it: the only complaint there may be.
    expect(faults.filter((line) => !/not executable: No such file/.test(line))).toEqual([]);
  }
});

describe.skipIf(!privileged())("a daemon that runs", () => {
  its("listens at unix and tcp at once, writes its pid, and leaves neither", async () => {
    const port = await freePort();
    await withEngine({ args: ["--host", `tcp://127.0.0.1:${port}`] }, async (engine) => {
      const ping = await fetch(`http://127.0.0.1:${port}/_ping`);
      expect(await ping.text()).toBe("OK");
      const pidFile = join(engine.root, "naru.pid");
      expect(readFileSync(pidFile, "utf8")).toBe(String(engine.pid));
      expect(await engine.stop()).toBe(0);
      expect(existsSync(engine.socket)).toBe(false);
      expect(existsSync(pidFile)).toBe(false);
      expect(fetch(`http://127.0.0.1:${port}/_ping`)).rejects.toThrow();
    });
  });

  its("all hosts or none: a taken port ends the start and leaves nothing", async () => {
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const taken = `tcp://127.0.0.1:${server.port}`;
      await withEngine({}, async (engine) => {
        await engine.stop();
        const ended = await daemonEnds([...engine.flags, "--host", taken]);
        expect(ended.exitCode).toBe(1);
        expect(ended.stderr).toContain(`cannot listen on ${taken}`);
        expect(existsSync(engine.socket)).toBe(false);
        expect(existsSync(join(engine.root, "naru.pid"))).toBe(false);
        await engine.start();
      });
    } finally {
      server.stop(true);
    }
  });

  its("a second engine on the same data root is refused by name", async () => {
    await withEngine({}, async (engine) => {
      const others = ["--exec-root", join(folder, "x2"), "--pidfile", join(folder, "p2")];
      const places = ["--data-root", engine.dataRoot, "--host", `unix://${folder}/n2.sock`];
      const ended = await daemonEnds([...places, ...others]);
      expect(ended.exitCode).toBe(1);
      expect(ended.stderr).toContain(
        `the data root ${engine.dataRoot} is in use by another engine (process ${engine.pid})`,
      );
      expect(existsSync(join(folder, "n2.sock"))).toBe(false);
      const pidFile = ["--pidfile", join(engine.root, "naru.pid")];
      const own = ["--data-root", join(folder, "d3"), "--exec-root", join(folder, "x3")];
      const same = await daemonEnds([...own, ...pidFile, "--host", `unix://${folder}/n3.sock`]);
      expect(same.exitCode).toBe(1);
      expect(same.stderr).toContain(`names process ${engine.pid}, which is alive`);
      const socket = await daemonEnds([
        ...own,
        ...["--pidfile", join(folder, "p3"), "--host", engine.host],
        ...["--bridge", "none"],
      ]);
      expect(socket.exitCode).toBe(1);
      expect(socket.stderr).toContain(`another process is listening on ${engine.socket}`);
      expect(await engine.answers()).toBe(true);
    });
  });

  its("tells the service manager READY and STOPPING", async () => {
    using manager = await NotifySocket.open(join(folder, "notify"));
    await withEngine({ env: { NOTIFY_SOCKET: manager.path } }, async (engine) => {
      await manager.expect("READY=1");
      await manager.expect(`MAINPID=${engine.pid}`);
      await engine.stop();
      await manager.expect("STOPPING=1");
    });
  });

  its("takes a listening socket from the service manager", async () => {
    const path = join(folder, "activated.sock");
    const options = { args: ["--host", "fd://"], launcher: activationLauncher(path) };
    await withEngine(options, async (engine) => {
      const activated = { host: `unix://${path}` };
      await cliOk(engine, ["import", (await busyboxFiles()).rootfs, "base:1"]);
      await cliOk(engine, ["run", "-d", "base:1", "sleep", "1000"]);
      expect(await cliOk(activated, ["version", "--format", "{{.Server.Version}}"])).not.toBe("");
      const events = connect(path);
      expect(holdersOf(path)).toEqual([engine.pid]); // no monitor and no container has it
      events.write("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
      let got = "";
      events.on("data", (chunk: Buffer) => {
        got += chunk.toString();
      });
      await until("the headers of /events", () => got.includes("\r\n\r\n"));
      const closed = once(events, "close");
      expect(await engine.stop()).toBe(0); // at once, although a client follows the events
      await closed;
      expect(existsSync(path)).toBe(true); // it is the service manager's
      await rm(path);
      await engine.start();
    });
  });

  its("fd:// without such a socket is refused", async () => {
    const roots = ["--data-root", join(folder, "d4"), "--exec-root", join(folder, "x4")];
    const rest = ["--pidfile", join(folder, "p4"), "--bridge", "none", "--host", "fd://"];
    const ended = await daemonEnds([...roots, ...rest]);
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain("fd://");
    expect(ended.stderr).toContain("no socket was passed");
    expect(existsSync(join(folder, "p4"))).toBe(false);
  });

  its("TLS: clients without a certificate of the authority are turned away", async () => {
    const authority = new Authority(await mkdtemp(join(folder, "tls-")));
    const port = await freePort();
    const args = [
      ...["--host", `tcp://127.0.0.1:${port}`, "--tlsverify"],
      ...["--tlscacert", authority.path("ca"), "--tlscert", authority.path("server")],
      ...["--tlskey", authority.path("server-key")],
    ];
    await withEngine({ args }, async () => {
      const url = `https://127.0.0.1:${port}/_ping`;
      const ca = authority.read("ca");
      const [cert, key] = [authority.read("client"), authority.read("client-key")];
      expect(await (await fetch(url, { tls: { ca, cert, key } })).text()).toBe("OK");
      expect(fetch(url, { tls: { ca } })).rejects.toThrow();
      expect(fetch(`http://127.0.0.1:${port}/_ping`)).rejects.toThrow();
      const certificates = [
        ...["--tlsverify", "--tlscacert", authority.path("ca")],
        ...["--tlscert", authority.path("client"), "--tlskey", authority.path("client-key")],
      ];
      const remote = { host: `tcp://127.0.0.1:${port}` };
      expect(await cliOk(remote, [...certificates, "ps", "-q"])).toBe("");
      expect((await cli(remote, ["ps"])).exitCode).not.toBe(0);
    });
  });

  its("TLS that cannot be read ends the start", async () => {
    const roots = ["--data-root", join(folder, "d5"), "--exec-root", join(folder, "x5")];
    const rest = ["--pidfile", join(folder, "p5"), "--bridge", "none"];
    const tls = ["--host", "tcp://127.0.0.1:1", "--tls", "--tlscert", "/none", "--tlskey", "/none"];
    const ended = await daemonEnds([...roots, ...rest, ...tls]);
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain("tlscert: cannot read /none");
  });

  its("SIGHUP reads the file again, says so as an event, and survives a bad one", async () => {
    const file = await configFile("reload.json", { labels: ["a=1"], debug: false });
    await withEngine({ args: ["--config-file", file] }, async (engine) => {
      expect(await infoOf(engine)).toMatchObject({ Labels: ["a=1"], Debug: false });
      await configFile("reload.json", {
        labels: ["a=2", "b=3"],
        debug: true,
        "default-runtime": "runc",
        dns: ["192.0.2.1"],
      });
      process.kill(engine.pid, "SIGHUP");
      await until("the new labels", async () => (await infoOf(engine))["Debug"] === true);
      expect(await infoOf(engine)).toMatchObject({
        Labels: ["a=2", "b=3"],
        DefaultRuntime: "runc",
      });
      expect(engine.logTail()).toMatch(/count after a restart only.* keys=dns/);
      await configFile("reload.json", { labels: ["a=9"], "no-such-key": true });
      process.kill(engine.pid, "SIGHUP");
      await until("the complaint", () => engine.logTail().includes("no-such-key"));
      expect(await infoOf(engine)).toMatchObject({ Labels: ["a=2", "b=3"], Debug: true });
      const until1 = Math.floor(Date.now() / 1000) + 1;
      const events = await engine.fetch(`/events?since=0&until=${until1}&type=daemon`);
      const seen = (await events.text()).trim().split("\n").filter(Boolean);
      const reloads = seen.map((line) => JSON.parse(line) as DaemonEvent);
      const daemons = reloads.filter((event) => event.Type === "daemon");
      expect(daemons.map((event) => event.Action)).toEqual(["reload"]);
      expect(daemons[0]?.Actor.Attributes).toMatchObject({
        debug: "true",
        labels: '["a=2","b=3"]',
        "default-runtime": "runc",
      });
    });
  });

  its("--group may use the socket, others may not", async () => {
    await withEngine({ args: ["--group", "daemon"] }, async (engine) => {
      const groups = readFileSync("/etc/group", "utf8");
      const { gid, mode } = statSync(engine.socket);
      expect(String(gid)).toBe(/^daemon:[^:]*:(\d+)/m.exec(groups)?.[1] ?? "");
      expect(mode & 0o777).toBe(0o660);
      await engine.stop();
      const ended = await daemonEnds([...engine.flags, "--group", "no-such-group"]);
      expect(ended.exitCode).toBe(1);
      expect(ended.stderr).toContain('group: no group "no-such-group"');
    });
  });

  its("without root it says so, and still checks a configuration", async () => {
    const copy = join(folder, "naru"); // in a folder that others may read
    await copyFile(join(ROOT, "dist/naru"), copy);
    await chmod(folder, 0o755);
    const nobody = ["setpriv", "--reuid", "65534", "--clear-groups", copy, "daemon"];
    const ended = await daemonEnds(["--data-root", join(folder, "d6")], nobody);
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain("the engine needs root");
    expect((await daemonEnds(["--validate"], nobody)).exitCode).toBe(0);
  });

  its("labels and the debug flag are seen in info", async () => {
    const args = ["--label", "rack=7", "--label", "zone=a", "--debug"];
    await withEngine({ args }, async (engine) => {
      expect(await infoOf(engine)).toMatchObject({ Labels: ["rack=7", "zone=a"], Debug: true });
      expect(await cliOk(engine, ["info"])).toContain("rack=7");
    });
  });
});

/** Processes that hold the unix socket that listens at `path`. */
function holdersOf(path: string): readonly number[] {
  const listening = / 00010000 \S+ \S+ +(\d+) (\S+)$/; // __SO_ACCEPTCON
  const inode = readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .map((line) => listening.exec(line))
    .find((match) => match?.[2] === path)?.[1];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => descriptorsOf(pid).includes(`socket:[${inode}]`));
}

function descriptorsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    return []; // it ended meanwhile
  }
}

interface DaemonEvent {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}
