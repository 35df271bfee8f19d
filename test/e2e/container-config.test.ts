/**
 * What a container is given: environment, user, file systems, volumes, networks. Asked from the
 * inside, and on the host's side where something must stay or go.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type Dockerode from "dockerode";
import { tarArchive } from "../../scripts/tar-writer.ts";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxLayer, dockerArchive } from "../harness/rootfs.ts";
import {
  connect,
  execIn,
  followed,
  idle,
  inside,
  loadBusybox,
  logsOf,
  run,
} from "./dockerode-client.ts";
import { Outside } from "./outside.ts";

const TEST_TIMEOUT_MS = 20_000;

let engine: TestEngine;
let docker: Dockerode;
let folder: string;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

/** Resolves when the path is gone: files are removed after the answer. */
async function goes(path: string): Promise<void> {
  const deadlineMs = Date.now() + 5000;
  while (existsSync(path)) {
    if (Date.now() > deadlineMs) throw new Error(`${path} stays`);
    await Bun.sleep(10);
  }
}

describe.skipIf(!privileged())("a container is given", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    folder = await mkdtemp("/tmp/naru-given-");
    await loadBusybox(docker);
  }, TEST_TIMEOUT_MS);
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await engine?.destroy();
  }, TEST_TIMEOUT_MS);
  afterEach(() => engine.removeContainers(), TEST_TIMEOUT_MS);

  describe("configuration", configurationTests);
  describe("mounts and volumes", mountTests);
  describe("network", networkTests);
});

function configurationTests(): void {
  its("Env, WorkingDir, User with its groups, Entrypoint and Cmd", async () => {
    const script = "echo $GREETING; pwd; id; cat /proc/self/status | grep Groups";
    const seen = await inside(
      docker,
      script,
      { GroupAdd: ["77"] },
      { Env: ["GREETING=hello world"], WorkingDir: "/made/here", User: "1000:2000" },
    );
    const lines = seen.split("\n");
    expect(lines.slice(0, 2)).toEqual(["hello world", "/made/here"]);
    expect(lines[2]).toContain("uid=1000 gid=2000");
    expect(lines[3]).toMatch(/\b77\b/);
    const entry = await run(docker, ["two"], { Entrypoint: ["echo", "one"] });
    expect(entry.stdout).toBe("one two\n");
    const unknown = await idle(docker, { User: "nobodyknows", Cmd: ["true"] }).catch(
      (error: { json?: { message: string } }) => error.json?.message,
    );
    expect(unknown).toContain("nobodyknows");
  });

  its("Init is pid 1, reaps, and passes signals on", async () => {
    const HostConfig = { Init: true };
    expect(await inside(docker, "cat /proc/1/cmdline | tr '\\0' ' '", HostConfig)).toMatch(
      /init|tini|sh -c/,
    );
    expect(await inside(docker, "cat /proc/1/comm", HostConfig)).not.toBe("sh");
    const zombies =
      "sh -c 'sleep 0.1 & exec true'; sleep 0.4; grep -l '^State:.Z' /proc/[0-9]*/status; echo ok";
    expect(await inside(docker, zombies, HostConfig)).toBe("ok");
    const container = await idle(docker, { HostConfig, Cmd: ["sleep", "60"] });
    await container.stop({ t: 10 });
    expect((await container.inspect()).State.ExitCode).toBe(143);
  });

  its("a read-only root with a tmpfs in it", async () => {
    const HostConfig = { ReadonlyRootfs: true, Tmpfs: { "/scratch": "size=1m,mode=1750,uid=5" } };
    const script =
      "touch /x 2>&1; touch /scratch/x && echo wrote; stat -c '%a %u' /scratch; grep scratch /proc/self/mounts; dd if=/dev/zero of=/scratch/y bs=1M count=2";
    const { stdout, stderr } = await run(docker, script, { HostConfig });
    expect(stdout).toContain("touch: /x: Read-only file system");
    expect(stdout).toContain("wrote\n1750 5\n");
    expect(stdout).toMatch(/tmpfs \/scratch tmpfs rw,nosuid,nodev,noexec.*size=1024k/);
    expect(stderr).toContain("No space left");
    expect(await inside(docker, "touch /dev/shm/x /dev/x; echo $?", HostConfig)).toBe("0");
  });

  its("the root file system of one is not that of another, and survives a restart", async () => {
    const first = await idle(docker);
    const second = await idle(docker);
    await execIn(docker, first, "echo mine > /file; rm /bin/wget");
    expect((await execIn(docker, second, "ls /file /bin/wget")).stdout).toBe("/bin/wget\n");
    await first.restart({ t: 5 });
    expect((await execIn(docker, first, "cat /file; ls /bin/wget")).stdout).toBe("mine\n");
  });
}

function mountTests(): void {
  its("binds: both ways, read-only, a file, and the host's mounts stay hidden", async () => {
    await writeFile(join(folder, "in"), "from outside\n");
    const Binds = [`${folder}:/rw`, `${folder}:/ro:ro`, `${join(folder, "in")}:/one`];
    const script = "cat /ro/in; cat /one; echo back > /rw/out; touch /ro/x";
    const { stdout, stderr } = await run(docker, script, { HostConfig: { Binds } });
    expect(stdout).toBe("from outside\nfrom outside\n");
    expect(stderr).toContain("Read-only file system");
    expect(readFileSync(join(folder, "out"), "utf8")).toBe("back\n");
    const mounts = await inside(docker, "cut -d ' ' -f 5 /proc/self/mountinfo");
    const foreign = mounts.split("\n").filter((path) => !/^\/($|proc|dev|sys|etc\/)/.test(path));
    expect(foreign).toEqual([]);
    const missing = await inside(docker, "ls -d /made", { Binds: [`${folder}/made:/made`] });
    expect(missing).toBe("/made");
    expect(statSync(join(folder, "made")).isDirectory()).toBe(true);
  });

  its(
    "volumes of the image: filled from it, gone with rm -v and --rm, kept otherwise",
    async () => {
      const layer = tarArchive([
        { path: "data", kind: "directory", mode: 0o750, uid: 7, gid: 8 },
        { path: "data/seed", kind: "file", data: "seeded\n" },
      ]);
      const plan = {
        reference: "withvolume:1",
        config: { Cmd: ["sh"], Env: ["PATH=/bin"], Volumes: { "/data": {} } },
        layers: [await busyboxLayer(), layer],
      };
      await followed(docker, await docker.loadImage(Readable.from([dockerArchive([plan])])));
      const make = (HostConfig: Dockerode.HostConfig = {}): Promise<Dockerode.Container> =>
        docker.createContainer({
          Image: "withvolume:1",
          Cmd: ["sh", "-c", "cat /data/seed; stat -c '%a %u %g' /data; echo more >> /data/seed"],
          HostConfig,
        });
      const source = async (container: Dockerode.Container): Promise<string> => {
        const [mount] = (await container.inspect()).Mounts;
        expect(mount).toMatchObject({ Type: "volume", Destination: "/data", RW: true });
        return mount?.Source ?? "";
      };
      const finish = async (container: Dockerode.Container): Promise<void> => {
        await container.start();
        await container.wait();
      };
      const first = await make();
      await finish(first);
      expect((await logsOf(first)).stdout).toBe("seeded\n750 7 8\n");
      const path = await source(first);
      expect(readFileSync(join(path, "seed"), "utf8")).toBe("seeded\nmore\n");
      await finish(first);
      expect((await logsOf(first, { tail: 3 })).stdout).toBe("seeded\nmore\n750 7 8\n");
      await first.remove({ v: true });
      await goes(path);

      const kept = await make();
      const keptPath = await source(kept);
      await finish(kept);
      await kept.remove();
      expect(existsSync(join(keptPath, "seed"))).toBe(true);

      const once = await make({ AutoRemove: true });
      const oncePath = await source(once);
      const removed = once.wait({ condition: "removed" });
      await once.start();
      await removed;
      await goes(oncePath);
    },
  );
}

function networkTests(): void {
  its(
    "bridge: an own address, two containers reach each other, names and servers in the files",
    async () => {
      const server = await idle(docker, { Hostname: "server" });
      const { IPAddress } = (await server.inspect()).NetworkSettings.Networks["bridge"] ?? {};
      expect(IPAddress).toMatch(new RegExp(`^${engine.subnet.replaceAll(".", "\\.")}\\.\\d+$`));
      await execIn(docker, server, "(echo hello | nc -l -p 8080) >/dev/null 2>&1 &");
      const client = await inside(
        docker,
        `for i in 1 2 3 4 5; do nc -w 2 ${IPAddress} 8080 && break; sleep 0.1; done; ip route; cat /etc/hosts`,
        { ExtraHosts: ["other:10.9.8.7", "gate:host-gateway"] },
      );
      expect(client).toContain("hello");
      expect(client).toContain(`default via ${engine.subnet}.1 dev eth0`);
      expect(client).toMatch(/^127\.0\.0\.1\s+localhost/m);
      expect(client).toMatch(/^10\.9\.8\.7\s+other$/m);
      expect(client).toMatch(new RegExp(`^${engine.subnet}\\.1\\s+gate$`, "m"));
      const hosts = (await execIn(docker, server, "cat /etc/hosts; ip -4 addr show eth0")).stdout;
      expect(hosts).toMatch(new RegExp(`^${IPAddress}\\s+server$`, "m"));
      expect(hosts).toContain(`inet ${IPAddress}/24`);
    },
  );

  its("resolv.conf: the host's servers, or those asked for", async () => {
    const asked = await inside(docker, "cat /etc/resolv.conf", {
      Dns: ["192.0.2.53"],
      DnsSearch: ["example.org"],
      DnsOptions: ["ndots:3"],
    });
    expect(asked).toMatch(/^nameserver 192\.0\.2\.53$/m);
    expect(asked).toMatch(/^search example\.org$/m);
    expect(asked).toMatch(/^options ndots:3$/m);
    const plain = await inside(docker, "cat /etc/resolv.conf");
    const servers = readFileSync("/etc/resolv.conf", "utf8").match(/^nameserver \S+/gm) ?? [];
    const far = servers.filter((line) => !/ (127\.|::1)/.test(line));
    for (const line of far) expect(plain).toContain(line);
    expect(plain).not.toMatch(/^nameserver 127\./m);
  });

  its("the outside is reached by the host's address, and does not reach in", async () => {
    using outside = new Outside();
    const { peer } = await outside.answerOnce(7070);
    const seen = await inside(docker, `nc -w 5 ${outside.address} 7070 < /dev/null`);
    expect(seen).toBe("hello");
    expect(await peer).toBe(outside.hostAddress);
  });

  its("none, host and container:ID", async () => {
    const names = "ls /sys/class/net; readlink /proc/self/ns/net";
    const alone = await inside(docker, names, { NetworkMode: "none" });
    expect(alone.split("\n")[0]).toBe("lo");
    expect(alone).not.toContain("eth0");
    const host = await inside(docker, "readlink /proc/self/ns/net; hostname", {
      NetworkMode: "host",
    });
    expect(host).toBe(`${readlinkSync("/proc/self/ns/net")}\n${hostname()}`);
    const other = await idle(docker, { Hostname: "shared" });
    const { Pid } = (await other.inspect()).State;
    const joined = await inside(docker, "readlink /proc/self/ns/net; cat /etc/hostname", {
      NetworkMode: `container:${other.id}`,
    });
    expect(joined).toBe(`${readlinkSync(`/proc/${Pid}/ns/net`)}\nshared`);
  });
}
