/**
 * One proof for each field of Config and HostConfig that `src/containers/fields.ts` calls honoured
 * or recorded: a container that shows the effect, from inside where it has one there. Limits are in
 * fields-limits.test.ts. A test is named after its field; a unit test compares the two.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type Dockerode from "dockerode";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { connect, execIn, idle, loadBusybox, logsOf, refused, run } from "./dockerode-client.ts";

const TEST_TIMEOUT_MS = 20_000;
const POLL_MS = 20;

type Fields = Readonly<Record<string, unknown>>;
type Proofs = Readonly<Record<string, () => Promise<void>>>;

let engine: TestEngine;
let docker: Dockerode;
let folder: string;

/** What a script prints in a container with these fields. */
async function seen(script: string, host: Fields = {}, config: Fields = {}): Promise<string> {
  const { stdout, stderr, exitCode } = await run(docker, script, { ...config, HostConfig: host });
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${stdout}${stderr}`);
  return stdout.trim();
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 10 s: ${what}`);
    await Bun.sleep(POLL_MS);
  }
}

/** A field without an effect of its own in the engine is shown again. */
async function isShown(part: "Config" | "HostConfig", field: string, value: unknown) {
  const fields = part === "Config" ? { [field]: value } : { HostConfig: { [field]: value } };
  const container = await docker.createContainer({ Image: "busybox", Cmd: ["true"], ...fields });
  const shown = (await container.inspect()) as unknown as Record<string, Fields>;
  expect(shown[part]?.[field]).toEqual(value);
}

const namespaceOf = (kind: string): string => readlinkSync(`/proc/self/ns/${kind}`);

const CONFIG: Proofs = {
  "Config.Hostname": async () => {
    expect(await seen("hostname", {}, { Hostname: "box" })).toBe("box");
  },
  "Config.Domainname": async () => {
    const asked = { Hostname: "box", Domainname: "example.org" };
    expect(await seen("cat /proc/sys/kernel/domainname", {}, asked)).toBe("example.org");
  },
  "Config.User": async () => {
    expect(await seen("id -u; id -g", {}, { User: "12:34" })).toBe("12\n34");
  },
  "Config.AttachStdin": () => isShown("Config", "AttachStdin", true),
  "Config.AttachStdout": () => isShown("Config", "AttachStdout", true),
  "Config.AttachStderr": () => isShown("Config", "AttachStderr", true),
  "Config.ExposedPorts": async () => {
    const container = await idle(docker, { ExposedPorts: { "81/tcp": {} } });
    expect((await container.inspect()).NetworkSettings.Ports).toHaveProperty(["81/tcp"]);
  },
  "Config.Tty": async () => {
    const container = await idle(docker, { Tty: true, Cmd: ["sh", "-c", "tty; sleep 60"] });
    await until("a terminal in the log", async () => {
      const log = await container.logs({ stdout: true, follow: false });
      return log.toString().startsWith("/dev/pts/");
    });
  },
  "Config.OpenStdin": async () => {
    expect(await answersInput({ OpenStdin: true, StdinOnce: false })).toEqual({ ended: false });
  },
  "Config.StdinOnce": async () => {
    expect(await answersInput({ OpenStdin: true, StdinOnce: true })).toEqual({ ended: true });
  },
  "Config.Env": async () => {
    expect(await seen("echo $GREETING", {}, { Env: ["GREETING=hello world"] })).toBe("hello world");
  },
  "Config.Cmd": async () => {
    expect((await run(docker, ["echo", "a  b"])).stdout).toBe("a  b\n");
  },
  "Config.Healthcheck": async () => {
    const Healthcheck = { Test: ["CMD-SHELL", "echo fine"], Interval: 50_000_000 };
    const container = await idle(docker, { Healthcheck });
    const health = async () => (await container.inspect()).State.Health;
    await until("healthy", async () => (await health())?.Status === "healthy");
    expect((await health())?.Log[0]).toMatchObject({ ExitCode: 0, Output: "fine\n" });
  },
  "Config.ArgsEscaped": () => isShown("Config", "ArgsEscaped", true),
  "Config.Image": async () => {
    const { Id } = await docker.getImage("busybox").inspect();
    expect(await seen("ls /bin/busybox", {}, { Image: Id })).toBe("/bin/busybox");
  },
  "Config.Volumes": async () => {
    expect(await seen("grep -c ' /data ' /proc/mounts", {}, { Volumes: { "/data": {} } })).toBe(
      "1",
    );
  },
  "Config.WorkingDir": async () => {
    expect(await seen("pwd", {}, { WorkingDir: "/made/here" })).toBe("/made/here");
  },
  "Config.Entrypoint": async () => {
    expect((await run(docker, ["two"], { Entrypoint: ["echo", "one"] })).stdout).toBe("one two\n");
  },
  "Config.NetworkDisabled": async () => {
    expect(await seen("ls /sys/class/net", {}, { NetworkDisabled: true })).not.toContain("eth0");
  },
  "Config.MacAddress": async () => {
    const MacAddress = "02:42:00:00:00:77";
    expect(await seen("cat /sys/class/net/eth0/address", {}, { MacAddress })).toBe(MacAddress);
  },
  "Config.OnBuild": () => isShown("Config", "OnBuild", ["RUN true"]),
  "Config.Labels": async () => {
    const container = await docker.createContainer({ Image: "busybox", Labels: { of: "fields" } });
    const filters = JSON.stringify({ label: ["of=fields"] });
    const found = await docker.listContainers({ all: true, filters });
    expect(found.map(({ Id }) => Id)).toEqual([container.id]);
  },
  "Config.StopSignal": async () => {
    const container = await idle(docker, { StopSignal: "SIGUSR1" });
    await container.stop({ t: 10 });
    expect((await container.inspect()).State.ExitCode).toBe(12);
  },
  "Config.StopTimeout": async () => {
    const container = await idle(docker, { Cmd: ["sleep", "60"], StopTimeout: 1 });
    const startedMs = performance.now();
    await container.stop();
    expect((await container.inspect()).State.ExitCode).toBe(137);
    expect(performance.now() - startedMs).toBeGreaterThan(900);
    expect(performance.now() - startedMs).toBeLessThan(8000); // Docker's own is 10 s
  },
  "Config.Shell": () => isShown("Config", "Shell", ["/bin/ash", "-c"]),
};

/** A line in, the line out; then the client leaves. Did that end the container's input? */
async function answersInput(config: Fields): Promise<{ ended: boolean }> {
  const Cmd = ["sh", "-c", "read line; echo got $line; cat"];
  const container = await docker.createContainer({ Image: "busybox", Cmd, ...config });
  const options = { stream: true, stdin: true, stdout: true, stderr: true, hijack: true };
  const stream = await container.attach(options);
  await container.start();
  stream.write("a line\n");
  await until("the line", async () => (await logsOf(container)).stdout.includes("got a line"));
  (stream as unknown as { destroy(): void }).destroy();
  if (config["StdinOnce"] === true) await container.wait();
  else await Bun.sleep(300);
  return { ended: !(await container.inspect()).State.Running };
}

const FILES: Proofs = {
  "HostConfig.Binds": async () => {
    await writeFile(join(folder, "in"), "from outside\n");
    expect(await seen("cat /in", { Binds: [`${join(folder, "in")}:/in:ro`] })).toBe("from outside");
  },
  "HostConfig.VolumeDriver": async () => {
    const Binds = ["driven:/v"];
    const other = await refused(seen("true", { Binds, VolumeDriver: "nosuch" }));
    expect(other).toMatchObject({
      status: 400,
      text: expect.stringContaining('"nosuch" not found'),
    });
    expect(await seen("ls -d /v", { Binds, VolumeDriver: "local" })).toBe("/v");
  },
  "HostConfig.VolumesFrom": async () => {
    const donor = await idle(docker, { Volumes: { "/shared": {} } });
    await execIn(docker, donor, "echo theirs > /shared/file");
    expect(await seen("cat /shared/file", { VolumesFrom: [donor.id] })).toBe("theirs");
  },
  "HostConfig.Mounts": async () => {
    const Mounts = [{ Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 65536 } }];
    expect(await seen("grep ' /t ' /proc/mounts", { Mounts })).toContain("size=64k");
  },
  "HostConfig.ReadonlyRootfs": async () => {
    const { stderr } = await run(docker, "touch /x", { HostConfig: { ReadonlyRootfs: true } });
    expect(stderr).toContain("Read-only file system");
  },
  "HostConfig.Tmpfs": async () => {
    expect(await seen("stat -c %a /t", { Tmpfs: { "/t": "mode=1750" } })).toBe("1750");
  },
  "HostConfig.ShmSize": async () => {
    const ShmSize = 8 * 1024 * 1024;
    expect(await seen("grep ' /dev/shm ' /proc/mounts", { ShmSize })).toContain("size=8192k");
  },
  "HostConfig.MaskedPaths": async () => {
    expect(await seen("cat /proc/uptime | wc -c", { MaskedPaths: ["/proc/uptime"] })).toBe("0");
  },
  "HostConfig.ReadonlyPaths": async () => {
    const host = { ReadonlyPaths: ["/etc"] };
    const { stderr } = await run(docker, "touch /etc/x", { HostConfig: host });
    expect(stderr).toContain("Read-only file system");
  },
};

const NETWORK: Proofs = {
  "HostConfig.NetworkMode": async () => {
    expect(await seen("readlink /proc/self/ns/net", { NetworkMode: "host" })).toBe(
      namespaceOf("net"),
    );
  },
  "HostConfig.PortBindings": async () => {
    const PortBindings = { "81/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] };
    const container = await idle(docker, { HostConfig: { PortBindings } });
    const { Ports } = (await container.inspect()).NetworkSettings;
    expect(Ports["81/tcp"]).toEqual([
      { HostIp: "127.0.0.1", HostPort: expect.stringMatching(/^[1-9]\d+$/) },
    ]);
  },
  "HostConfig.PublishAllPorts": async () => {
    const HostConfig = { PublishAllPorts: true };
    const container = await idle(docker, { ExposedPorts: { "82/udp": {} }, HostConfig });
    const { Ports } = (await container.inspect()).NetworkSettings;
    expect(Ports["82/udp"]?.[0]).toMatchObject({ HostIp: "0.0.0.0" });
  },
  "HostConfig.Dns": async () => {
    expect(await seen("cat /etc/resolv.conf", { Dns: ["192.0.2.53"] })).toMatch(
      /^nameserver 192\.0\.2\.53$/m,
    );
  },
  "HostConfig.DnsOptions": async () => {
    expect(await seen("cat /etc/resolv.conf", { DnsOptions: ["ndots:7"] })).toMatch(
      /^options .*ndots:7/m,
    );
  },
  "HostConfig.DnsSearch": async () => {
    expect(await seen("cat /etc/resolv.conf", { DnsSearch: ["example.org"] })).toMatch(
      /^search example\.org$/m,
    );
  },
  "HostConfig.ExtraHosts": async () => {
    expect(await seen("cat /etc/hosts", { ExtraHosts: ["other:10.9.8.7"] })).toMatch(
      /^10\.9\.8\.7\s+other$/m,
    );
  },
};

const LINKS: Proofs = {
  "HostConfig.Links": async () => {
    const more = { name: "linked", Hostname: "dbhost", ExposedPorts: { "5432/tcp": {} } };
    const other = await idle(docker, { ...more, Env: ["SECRET=x"] });
    const { IPAddress } = (await other.inspect()).NetworkSettings.Networks["bridge"] ?? {};
    const host = { Links: ["linked:db-1"] };
    const text = await seen(
      "cat /etc/hosts; env; ping -c 1 -W 2 db-1 > /dev/null && echo up",
      host,
    );
    for (const name of ["db-1", "dbhost", "linked"]) {
      expect(text).toMatch(new RegExp(`^${IPAddress}\\s+${name}$`, "m"));
    }
    expect(text).toContain(`DB_1_PORT=tcp://${IPAddress}:5432\n`);
    expect(text).toContain(`DB_1_PORT_5432_TCP_ADDR=${IPAddress}\n`);
    expect(text).toMatch(/^DB_1_NAME=\/\w+\/db-1$/m);
    expect(text).toContain("DB_1_ENV_SECRET=x\n");
    expect(text).toEndWith("up");
    await other.stop({ t: 0 });
    expect((await refused(seen("true", host))).text).toContain("non running container");
    const { status, text: unknown } = await refused(seen("true", { Links: ["nothere"] }));
    expect(unknown).toBe("could not get container for nothere: No such container: nothere");
    expect(status).toBe(400);
  },
};

const NAMESPACES: Proofs = {
  "HostConfig.PidMode": async () => {
    expect(await seen("readlink /proc/self/ns/pid", { PidMode: "host" })).toBe(namespaceOf("pid"));
  },
  "HostConfig.IpcMode": async () => {
    expect(await seen("readlink /proc/self/ns/ipc", { IpcMode: "host" })).toBe(namespaceOf("ipc"));
  },
  "HostConfig.UTSMode": async () => {
    expect(await seen("readlink /proc/self/ns/uts", { UTSMode: "host" })).toBe(namespaceOf("uts"));
  },
  "HostConfig.CgroupnsMode": async () => {
    const script = "readlink /proc/self/ns/cgroup; cut -d : -f 3 /proc/self/cgroup | sort -u";
    const [own, path] = (await seen(script, { CgroupnsMode: "private" })).split("\n");
    expect(own).not.toBe(namespaceOf("cgroup"));
    expect(path).toBe("/");
    expect(await seen(script, { CgroupnsMode: "host" })).toStartWith(namespaceOf("cgroup"));
  },
  "HostConfig.Sysctls": async () => {
    const Sysctls = { "kernel.msgmax": "8000" };
    expect(await seen("cat /proc/sys/kernel/msgmax", { Sysctls })).toBe("8000");
  },
};

const RIGHTS: Proofs = {
  "HostConfig.CapAdd": async () => {
    expect(await seen("ip link set lo mtu 1400; echo $?", { CapAdd: ["NET_ADMIN"] })).toBe("0");
  },
  "HostConfig.CapDrop": async () => {
    const { stderr } = await run(docker, "chown 5 /tmp", { HostConfig: { CapDrop: ["CHOWN"] } });
    expect(stderr).toContain("Operation not permitted");
  },
  "HostConfig.GroupAdd": async () => {
    expect(await seen("grep Groups /proc/self/status", { GroupAdd: ["77"] })).toMatch(/\b77\b/);
  },
  "HostConfig.Privileged": async () => {
    expect(await seen("mount -t tmpfs none /tmp && echo ok", { Privileged: true })).toBe("ok");
  },
  "HostConfig.SecurityOpt": async () => {
    const host = { SecurityOpt: ["no-new-privileges", "seccomp=unconfined"] };
    expect(await seen("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status", host)).toBe(
      "NoNewPrivs:\t1\nSeccomp:\t0",
    );
  },
};

const LIFE: Proofs = {
  "HostConfig.ContainerIDFile": () => isShown("HostConfig", "ContainerIDFile", "/tmp/cid"),
  "HostConfig.LogConfig": async () => {
    const container = await idle(docker, { HostConfig: { LogConfig: { Type: "none" } } as never });
    const { text } = await refused(logsOf(container));
    expect(text).toContain("does not support reading");
  },
  "HostConfig.RestartPolicy": async () => {
    const RestartPolicy = { Name: "on-failure", MaximumRetryCount: 2 };
    const container = await idle(docker, { Cmd: ["false"], HostConfig: { RestartPolicy } });
    await until("two restarts", async () => {
      const { RestartCount, State } = await container.inspect();
      return RestartCount === 2 && State.Status === "exited";
    });
  },
  "HostConfig.AutoRemove": async () => {
    const HostConfig = { AutoRemove: true };
    const container = await docker.createContainer({ Image: "busybox", Cmd: ["true"], HostConfig });
    const removed = container.wait({ condition: "removed" });
    await container.start();
    await removed;
    expect((await refused(container.inspect())).status).toBe(404);
  },
  "HostConfig.ConsoleSize": async () => {
    const options = { Tty: true, HostConfig: { ConsoleSize: [33, 77] } as Dockerode.HostConfig };
    const Cmd = ["sh", "-c", "stty size; sleep 60"];
    const container = await idle(docker, { ...options, Cmd });
    await until("the size", async () => {
      const log = await container.logs({ stdout: true, follow: false });
      return log.toString().startsWith("33 77");
    });
  },
  "HostConfig.Annotations": async () => {
    const Annotations = { "org.example.kind": "proof" };
    const { id } = await idle(docker, { HostConfig: { Annotations } as Dockerode.HostConfig });
    const path = join(engine.execRoot, "bundles", id, "config.json");
    expect(JSON.parse(readFileSync(path, "utf8")).annotations).toMatchObject(Annotations);
  },
  "HostConfig.Runtime": async () => {
    const { id } = await idle(docker, { HostConfig: { Runtime: "runc" } });
    expect(existsSync(join(engine.execRoot, "runtimes/runc", id, "state.json"))).toBe(true);
  },
  "HostConfig.Init": async () => {
    expect(await seen("cat /proc/1/comm", { Init: true })).toMatch(/init|tini|catatonit/);
  },
};

describe.skipIf(!privileged())("a field shows its effect:", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    folder = await mkdtemp("/tmp/naru-fields-");
    await loadBusybox(docker);
  }, TEST_TIMEOUT_MS);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await engine?.destroy();
  }, TEST_TIMEOUT_MS);
  afterEach(() => engine.removeContainers(), TEST_TIMEOUT_MS);

  for (const proofs of [CONFIG, FILES, NETWORK, LINKS, NAMESPACES, RIGHTS, LIFE]) {
    for (const [field, proof] of Object.entries(proofs)) test(field, proof, TEST_TIMEOUT_MS);
  }
});
