/** What the daemon's flags give to containers that do not say otherwise, and the engine by itself. */
import { afterAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { ROOT } from "../harness/program.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { daemonEnds } from "./daemon-outside.ts";

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

describe.skipIf(!privileged())("devices of vendors", () => {
  its("--cdi-spec-dir: --gpus is met by the specification there", async () => {
    const folder = await ownFolder();
    const containerEdits = {
      env: ["GPU=there"],
      deviceNodes: [{ path: "/dev/gpu0", hostPath: "/dev/zero" }],
    };
    const spec = { cdiVersion: "0.6.0", kind: "nvidia.com/gpu", devices: [] as object[] };
    const path = join(folder, "nvidia.json");
    await writeFile(path, JSON.stringify(spec));
    await withEngine(["--cdi-spec-dir", folder], async (engine) => {
      expect((await infoOf(engine))["CDISpecDirs"]).toEqual([folder]);
      const none = await cli(engine, ["run", "--rm", "--gpus", "all", "busybox", "true"]);
      expect([none.exitCode, none.stderr]).toEqual([
        ...[125, expect.stringContaining("unresolvable CDI devices nvidia.com/gpu=all")],
      ]);
      spec.devices.push({ name: "all", containerEdits });
      await writeFile(path, JSON.stringify(spec));
      const script = "echo $GPU; head -c 1 /dev/gpu0 | wc -c";
      expect(await run(engine, "--gpus", "all", "busybox", "sh", "-c", script)).toBe("there\n1");
      await rm(path);
      const gone = await cli(engine, ["run", "--rm", "--gpus", "all", "busybox", "true"]);
      expect(gone.stderr).toContain('could not select device driver "" with capabilities: [[gpu]]');
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

  test.skipIf(existsSync("/run/systemd/system"))(
    "the systemd driver is refused where no systemd runs, and a parent that is no slice anywhere",
    async () => {
      const folder = await ownFolder();
      const places = ["--data-root", `${folder}/d`, "--exec-root", `${folder}/x`];
      const driver = ["--exec-opt", "native.cgroupdriver=systemd"];
      const rest = ["--pidfile", `${folder}/pid`, "--host", `unix://${folder}/n.sock`];
      const flags = [...places, ...driver, ...rest, "--bridge", "none"];
      const refused = await daemonEnds(flags);
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toContain("native.cgroupdriver=systemd: systemd does not run");
      const noSlice = await daemonEnds([...flags, "--cgroup-parent", "/a/b"]);
      expect(noSlice.exitCode).toBe(1);
      expect(noSlice.stderr).toContain("cgroup-parent: the systemd driver wants");
    },
    LIMIT_MS,
  );
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

/**
 * Runs `script` where the default places are empty: in a mount and a network namespace of its own, so
 * that an engine of this host is not touched. Gives what it said and the files that it wrote.
 */
async function atDefaultPlaces(
  configFolder: string,
  script: string,
): Promise<{ readonly stdout: string; readonly file: (name: string) => string }> {
  const folder = await ownFolder();
  const id = folder.slice(-6).toLowerCase();
  const cgroupParent = `/nra${id}`;
  const config = { bridge: `nra${id}`, "cgroup-parent": cgroupParent };
  await writeFile(join(folder, "daemon.json"), JSON.stringify(config));
  const env = {
    PATH: process.env["PATH"],
    HOME: folder,
    DIST: join(ROOT, "dist"),
    CONFIG: configFolder,
    BRIDGE: config.bridge,
    ROOTFS: (await busyboxFiles()).rootfs,
  };
  const command = ["-m", "-n", "--propagation", "private", "sh", "-eu", "-c"];
  try {
    const { stdout } = await execute("unshare", [...command, EMPTY_PLACES + script, "sh", folder], {
      env,
      timeout: LIMIT_MS,
    });
    return { stdout, file: (name) => readFileSync(join(folder, name), "utf8") };
  } finally {
    removeCgroups(cgroupParent);
  }
}

const EMPTY_PLACES = `
cd "$1"
mount -t tmpfs tmpfs /run
mkdir /run/etc /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work etc /etc
mkdir -p "$CONFIG"
cp daemon.json "$CONFIG/daemon.json"
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
ip link set lo up
stop() { pid=$(cat "$1"); kill "$pid"; while test -d "/proc/$pid"; do sleep 0.05; done; }
`;

describe.skipIf(!privileged())("at the default places", () => {
  its("the command line starts an engine at its first command, says so once", async () => {
    const { stdout, file } = await atDefaultPlaces(
      "/etc/naru",
      `
      naru=$DIST/naru
      code=0; $naru --no-autostart ps 2>refused || code=$?
      echo "refused with $code"
      test ! -e /run/naru/naru.sock
      $naru import "$ROOTFS" base:1 2>first
      trap 'kill $(cat /run/naru/naru.pid)' EXIT
      $naru run --rm base:1 sh -c 'echo hello from pid $$' 2>second
      $naru ps & $naru ps & wait
      test "$(grep -c 'engine ready' /var/log/naru/daemon.log)" = 1 && echo "one engine"
      $naru system check --wait >/dev/null
      trap - EXIT
      stop /run/naru/naru.pid
      test ! -e /run/naru/naru.sock && echo "socket gone"`,
    );
    expect(stdout).toContain("refused with 1\n");
    expect(file("refused")).toContain("/run/naru/naru.sock");
    const told = "no engine answers at unix:///run/naru/naru.sock, starting one";
    expect(file("first")).toContain(told);
    expect(file("second")).toBe("");
    for (const line of ["hello from pid 1", "one engine", "socket gone"]) {
      expect(stdout).toContain(`${line}\n`);
    }
  });

  its("dockerd and docker, by their names, meet at Docker's places", async () => {
    const { stdout, file } = await atDefaultPlaces(
      "/etc/docker",
      `
      $DIST/dockerd > log 2>&1 &
      trap 'kill $(cat /var/run/docker.pid)' EXIT
      for i in $(seq 200); do test -S /var/run/docker.sock && break; sleep 0.05; done
      $DIST/docker import "$ROOTFS" base:1 2>said
      $DIST/docker run --rm base:1 echo hello 2>>said
      ip link show "$BRIDGE" >/dev/null && echo "own bridge"
      test ! -e /run/naru/naru.sock && echo "one engine"
      trap - EXIT
      stop /var/run/docker.pid
      test ! -e /var/run/docker.sock && echo "socket gone"`,
    );
    expect(file("said")).toBe("");
    for (const line of ["hello", "own bridge", "one engine", "socket gone"]) {
      expect(stdout).toContain(`${line}\n`);
    }
  });
});

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
