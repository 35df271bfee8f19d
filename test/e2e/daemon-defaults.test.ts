/** What the daemon's flags give to containers that do not say otherwise, and the engine by itself. */
import { afterAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { naruCommand } from "../harness/program.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const LIMIT_MS = 60_000;
const execute = promisify(execFile);
const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function ownFolder(): Promise<string> {
  const folder = await mkdtemp("/tmp/naru-defaults-");
  folders.push(folder);
  return folder;
}

function its(name: string, body: () => Promise<void>): void {
  test(name, body, LIMIT_MS);
}

/** An engine with busybox and `flags`, taken away whatever `body` does. */
async function withEngine(
  flags: readonly string[],
  body: (engine: TestEngine) => Promise<void>,
): Promise<void> {
  const engine = await startEngine({ args: flags });
  try {
    await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
    await body(engine);
  } finally {
    await engine.destroy();
  }
}

function run(engine: TestEngine, ...args: readonly string[]): Promise<string> {
  return cliOk(engine, ["run", "--rm", ...args]);
}

async function inspect(engine: TestEngine, name: string): Promise<Inspected> {
  return (await (await engine.fetch(`/containers/${name}/json`)).json()) as Inspected;
}

interface Inspected {
  readonly Id: string;
  readonly State: { readonly Pid: number };
  readonly HostConfig: { readonly Runtime: string; readonly CgroupParent: string };
}

async function infoOf(engine: TestEngine): Promise<Record<string, unknown>> {
  return (await (await engine.fetch("/info")).json()) as Record<string, unknown>;
}

describe.skipIf(!privileged())("runtimes", () => {
  its("--default-runtime runc runs all, and another one where a container asks", async () => {
    await withEngine(["--default-runtime", "runc"], async (engine) => {
      expect((await infoOf(engine))["DefaultRuntime"]).toBe("runc");
      expect(await run(engine, "busybox", "echo", "hi")).toBe("hi");
      await cliOk(engine, ["run", "-d", "--name", "one", "busybox", "sleep", "1000"]);
      await cliOk(engine, ["run", "-d", "--name", "two", "--runtime", "crun", "busybox", "top"]);
      expect((await inspect(engine, "one")).HostConfig.Runtime).toBe("runc");
      expect((await inspect(engine, "two")).HostConfig.Runtime).toBe("crun");
      for (const name of ["one", "two"]) {
        expect(await cliOk(engine, ["exec", name, "echo", "in"])).toBe("in");
      }
      await engine.kill9();
      await engine.start();
      expect(await cliOk(engine, ["exec", "one", "echo", "again"])).toBe("again");
      await cliOk(engine, ["stop", "-t", "1", "one", "two"]);
    });
  });

  its("--add-runtime: a program of one's own, with its name in info", async () => {
    const folder = await ownFolder();
    const program = join(folder, "my-runtime");
    await writeFile(program, `#!/bin/sh\necho "$@" >> ${folder}/calls\nexec /usr/bin/crun "$@"\n`);
    await chmod(program, 0o755);
    await withEngine(["--add-runtime", `mine=${program}`], async (engine) => {
      expect((await infoOf(engine))["Runtimes"]).toHaveProperty("mine.path", program);
      expect(await run(engine, "--runtime", "mine", "busybox", "echo", "hi")).toBe("hi");
      expect(readFileSync(join(folder, "calls"), "utf8")).toContain("create");
      const unknown = await cli(engine, ["run", "--rm", "--runtime", "none", "busybox"]);
      expect(unknown.exitCode).toBe(125);
      expect(unknown.stderr).toContain("none");
      expect(await cliOk(engine, ["ps", "-aq"])).toBe("");
    });
  });
});

describe.skipIf(!privileged())("limits and cgroups", () => {
  its("--default-ulimit holds, and a container's own goes before it", async () => {
    const flags = ["--default-ulimit", "nofile=200:300", "--default-ulimit", "core=0"];
    await withEngine(flags, async (engine) => {
      const limits = "ulimit -Sn; ulimit -Hn; ulimit -c";
      expect(await run(engine, "busybox", "sh", "-c", limits)).toBe("200\n300\n0");
      const own = ["--ulimit", "nofile=50:60"];
      expect(await run(engine, ...own, "busybox", "sh", "-c", limits)).toBe("50\n60\n0");
    });
  });

  its("--cgroup-parent is above the containers, and a container's own goes before it", async () => {
    await withEngine([], async (engine) => {
      const cgroup = async (name: string): Promise<string> =>
        readFileSync(`/proc/${(await inspect(engine, name)).State.Pid}/cgroup`, "utf8");
      await cliOk(engine, ["run", "-d", "--name", "one", "busybox", "sleep", "1000"]);
      expect(await cgroup("one")).toContain(`:${engine.cgroupParent}/`);
      const own = `${engine.cgroupParent}/below`;
      const flags = ["--cgroup-parent", own, "--name", "two"];
      await cliOk(engine, ["run", "-d", ...flags, "busybox", "sleep", "1000"]);
      expect(await cgroup("two")).toContain(`:${own}/`);
      await cliOk(engine, ["rm", "-f", "one", "two"]);
      removeCgroups(own);
    });
  });

  its("--exec-opt native.cgroupdriver is seen in info", async () => {
    await withEngine(["--exec-opt", "native.cgroupdriver=cgroupfs"], async (engine) => {
      expect((await infoOf(engine))["CgroupDriver"]).toBe("cgroupfs");
    });
  });
});

describe.skipIf(!privileged())("the default bridge", () => {
  its("--bridge none: no link, containers have loopback only", async () => {
    const engine = await startEngine({ args: ["--bridge", "none", "--bip", ""] });
    try {
      await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
      expect(existsSync(`/sys/class/net/${engine.bridge}`)).toBe(false);
      expect(await run(engine, "busybox", "ls", "/sys/class/net")).toBe("lo");
      const asked = await cli(engine, ["run", "--rm", "--network", "bridge", "busybox"]);
      expect(asked.exitCode).toBe(125);
      expect(await cliOk(engine, ["network", "ls", "--format", "{{.Name}}"])).not.toContain(
        "bridge",
      );
      expect(await run(engine, "--network", "host", "busybox", "ls", "/sys/class/net")).toContain(
        "lo",
      );
    } finally {
      await engine.destroy();
    }
  });

  its("--mtu is that of the bridge and of containers", async () => {
    await withEngine(["--mtu", "1380"], async (engine) => {
      expect(await run(engine, "busybox", "cat", "/sys/class/net/eth0/mtu")).toBe("1380");
      const ofBridge = (): string =>
        readFileSync(`/sys/class/net/${engine.bridge}/mtu`, "utf8").trim();
      expect(ofBridge()).toBe("1380");
      await engine.stop();
      await engine.start({ args: ["--mtu", "1420"] });
      expect(ofBridge()).toBe("1420");
    });
  });
});

describe.skipIf(!privileged())("an engine started by the command line", () => {
  its("starts at the first command, says so once, and stays", async () => {
    const folder = await ownFolder();
    const id = folder.slice(-6).toLowerCase();
    const config = { bridge: `nra${id}`.slice(0, 15), "cgroup-parent": `/nra${id}` };
    await writeFile(join(folder, "daemon.json"), JSON.stringify(config));
    try {
      // The default places, in a mount and a network namespace of its own: this host's are not touched.
      const { stdout } = await execute(
        "unshare",
        ["-m", "-n", "--propagation", "private", "sh", "-eu", "-c", AUTOSTART, "sh", folder],
        {
          env: {
            PATH: process.env["PATH"],
            HOME: folder,
            NARU: naruCommand().join(" "),
            ROOTFS: (await busyboxFiles()).rootfs,
          },
          timeout: LIMIT_MS,
        },
      );
      const said = (name: string): string => readFileSync(join(folder, name), "utf8");
      expect(stdout).toContain("refused with 1\n");
      expect(said("refused")).toContain("/run/naru/naru.sock");
      expect(said("first")).toContain(
        "no engine answers at unix:///run/naru/naru.sock, starting one",
      );
      expect(said("second")).toBe("");
      expect(stdout).toContain("hello from pid 1\n");
      expect(stdout).toContain("one engine\n");
      expect(stdout).toContain("socket gone\n");
    } finally {
      removeCgroups(config["cgroup-parent"]);
    }
  });
});

const AUTOSTART = `
cd "$1"
mount -t tmpfs tmpfs /run
mkdir /run/etc /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work etc /etc
mkdir -p /etc/naru
cp daemon.json /etc/naru/daemon.json
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
ip link set lo up
code=0; $NARU --no-autostart ps 2>refused || code=$?
echo "refused with $code"
test ! -e /run/naru/naru.sock
$NARU import "$ROOTFS" base:1 2>first
trap 'kill $(cat /run/naru/naru.pid)' EXIT
$NARU run --rm base:1 sh -c 'echo hello from pid $$' 2>second
$NARU ps & $NARU ps & wait
test -s /var/log/naru/daemon.log
test "$(grep -c 'engine ready' /var/log/naru/daemon.log)" = 1 && echo "one engine"
$NARU system check --wait >/dev/null
trap - EXIT
pid=$(cat /run/naru/naru.pid)
kill $pid
while test -d /proc/$pid; do sleep 0.05; done
test ! -e /run/naru/naru.sock && echo "socket gone"
`;

function removeCgroups(parent: string): void {
  const tops = ["", ...readdirSync("/sys/fs/cgroup")].map((name) =>
    join("/sys/fs/cgroup", name, parent),
  );
  for (const top of tops.filter((path) => existsSync(path))) removeBelow(top);
}

function removeBelow(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeBelow(join(folder, entry.name));
  }
  rmdirSync(folder);
}
