/**
 * What a process inside a container sees and may do, asked from the inside: cgroup files, /proc,
 * the mount table, the network. Never what an inspect merely repeats.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type Dockerode from "dockerode";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { connect, execIn, idle, inside, loadBusybox, refused, run } from "./dockerode-client.ts";

const TEST_TIMEOUT_MS = 20_000;
const MIB = 1024 * 1024;

let engine: TestEngine;
let docker: Dockerode;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

/** The value of a cgroup file, by its name in version 2 or in version 1, seen from the inside. */
async function limit(v2: string, v1: string, HostConfig: Dockerode.HostConfig): Promise<string> {
  const script = `cat /sys/fs/cgroup/${v2} 2>/dev/null || cat /sys/fs/cgroup/${v1}`;
  return await inside(docker, script, HostConfig);
}

function capabilities(status: string, name: string): bigint {
  return BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? ""}`);
}

const DEFAULT_CAPABILITIES = 0xa80425fbn; // Docker's fourteen
const CAP_CHOWN = 1n << 0n;
const CAP_NET_ADMIN = 1n << 12n;
const CAP_SYS_ADMIN = 1n << 21n;

describe.skipIf(!privileged())("from inside a container", () => {
  beforeAll(async () => {
    engine = await startEngine();
    docker = connect(engine.socket);
    await loadBusybox(docker);
  }, TEST_TIMEOUT_MS);
  afterAll(() => engine?.destroy(), TEST_TIMEOUT_MS);
  afterEach(() => engine.removeContainers(), TEST_TIMEOUT_MS);

  describe("namespaces and masks", isolationTests);
  describe("rights", rightsTests);
  describe("limits", limitTests);
});

function isolationTests(): void {
  its("every namespace is its own, and only its own processes are seen", async () => {
    const kinds = ["pid", "mnt", "uts", "ipc", "net", "cgroup"];
    const script = `for n in ${kinds.join(" ")}; do readlink /proc/self/ns/$n; done; ls /proc`;
    const lines = (await inside(docker, script)).split("\n");
    const outside = kinds.map((kind) => readlinkSync(`/proc/self/ns/${kind}`));
    const own = lines.slice(0, kinds.length);
    expect(own.every((name) => /^\w+:\[\d+\]$/.test(name))).toBe(true);
    // Docker's default too: a control group namespace of one's own where there is only version 2.
    const shared = (await docker.info()).CgroupVersion === "1" ? [outside.at(-1)] : [];
    expect(own.filter((name) => outside.includes(name)) as unknown[]).toEqual(shared);
    const pids = lines.slice(kinds.length).filter((name) => /^\d+$/.test(name));
    expect(pids.length).toBeLessThanOrEqual(2); // the shell and ls
    const ownCgroups = { CgroupnsMode: "private" } as Dockerode.HostConfig;
    const cgroup = "readlink /proc/self/ns/cgroup; cut -d : -f 3 /proc/self/cgroup | sort -u";
    const [name, path] = (await inside(docker, cgroup, ownCgroups)).split("\n");
    expect(name).not.toBe(outside.at(-1));
    expect(path).toBe("/");
  });

  its("the host name is the short id and can be chosen; the host's stays", async () => {
    const { stdout, id } = await run(docker, "hostname; cat /etc/hostname");
    expect(stdout).toBe(`${id.slice(0, 12)}\n${id.slice(0, 12)}\n`);
    const named = { Hostname: "box", Domainname: "example.org" };
    expect(await inside(docker, "hostname; hostname -d", {}, named)).toBe("box\nexample.org");
    expect(hostname()).not.toBe("box");
  });

  its("what tells of the host is masked, kernel settings are read-only", async () => {
    const masked = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats"];
    const script = masked.map((path) => `test -e ${path} && wc -c < ${path}`).join("; ");
    expect(
      (await inside(docker, `${script}; true`)).split("\n").every((size) => size === "0"),
    ).toBe(true);
    expect(
      await inside(
        docker,
        "ls -A /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v :; true",
      ),
    ).toBe("");
    const writes = [
      "/proc/sys/kernel/hostname",
      "/proc/sysrq-trigger",
      "/proc/sys/vm/drop_caches",
      "/sys/kernel/mm/ksm/run",
      "/proc/irq/default_smp_affinity",
    ];
    for (const path of writes.filter((one) => existsSync(one))) {
      const { exitCode, stderr } = await run(docker, `echo 1 > ${path}`);
      expect({ path, exitCode }).not.toEqual({ path, exitCode: 0 });
      expect(stderr).toContain("Read-only file system");
    }
    const unmasked = await inside(docker, "cat /proc/self/mountinfo", {
      SecurityOpt: ["systempaths=unconfined"],
    });
    expect(unmasked).not.toContain(" /proc/sys ");
  });

  its("devices: the usual ones and no other", async () => {
    const usual = ["console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random"];
    const rest = ["shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"];
    const seen = (await inside(docker, "ls /dev")).split("\n");
    expect(seen.filter((name) => ![...usual, ...rest].includes(name))).toEqual([]);
    expect(seen).toEqual(expect.arrayContaining(["null", "zero", "full", "random", "tty"]));
    const made = await run(docker, "mknod /disk b 254 0 && head -c 1 /disk");
    expect(made.exitCode).not.toBe(0);
    expect(made.stderr).toContain("Operation not permitted");
    const kept = { PathOnHost: "/dev/kmsg", PathInContainer: "/dev/mine", CgroupPermissions: "r" };
    expect(await inside(docker, "ls -l /dev/mine", { Devices: [kept] })).toMatch(
      /^c.* 1, +11 .*\/dev\/mine$/,
    );
    const write = await run(docker, "echo x > /dev/mine", { HostConfig: { Devices: [kept] } });
    expect(write.stderr).toContain("Operation not permitted");
  });

  its("pid, ipc and uts of the host or of another container, when asked for", async () => {
    const script = "for kind in pid ipc uts; do readlink /proc/self/ns/$kind; done";
    const kinds = ["pid", "ipc", "uts"];
    const host = await inside(docker, script, {
      PidMode: "host",
      IpcMode: "host",
      UTSMode: "host",
    });
    expect(host.split("\n")).toEqual(kinds.map((kind) => readlinkSync(`/proc/self/ns/${kind}`)));
    const other = await idle(docker, { HostConfig: { IpcMode: "shareable" } });
    const { Pid } = (await other.inspect()).State;
    const shared = { PidMode: `container:${other.id}`, IpcMode: `container:${other.id}` };
    const [pid, ipc, uts] = (await inside(docker, script, shared)).split("\n");
    expect(pid).toBe(readlinkSync(`/proc/${Pid}/ns/pid`));
    expect(ipc).toBe(readlinkSync(`/proc/${Pid}/ns/ipc`));
    expect(uts).not.toBe(readlinkSync(`/proc/${Pid}/ns/uts`));
  });
}

function rightsTests(): void {
  its("capabilities: Docker's set, added, dropped, all and none", async () => {
    const status = "cat /proc/self/status";
    const plain = await inside(docker, status);
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) {
      expect(capabilities(plain, set)).toBe(DEFAULT_CAPABILITIES);
    }
    expect(capabilities(plain, "CapAmb")).toBe(0n);
    const changed = await inside(docker, status, { CapAdd: ["NET_ADMIN"], CapDrop: ["CAP_CHOWN"] });
    expect(capabilities(changed, "CapEff")).toBe(
      (DEFAULT_CAPABILITIES | CAP_NET_ADMIN) & ~CAP_CHOWN,
    );
    expect(capabilities(await inside(docker, status, { CapDrop: ["ALL"] }), "CapBnd")).toBe(0n);
    expect(capabilities(await inside(docker, status, { CapAdd: ["ALL"] }), "CapEff")).toBe(
      capabilities(readFileSync("/proc/self/status", "utf8"), "CapBnd"),
    );
    const user = await inside(docker, status, {}, { User: "1000" });
    expect(capabilities(user, "CapEff")).toBe(0n);
    const unknown = await refused(run(docker, "true", { HostConfig: { CapAdd: ["FLY"] } }));
    expect(unknown).toMatchObject({ status: 400, text: expect.stringContaining("FLY") });
  });

  its("dangerous calls are refused by default", async () => {
    const calls = [
      "mount -t tmpfs none /mnt",
      "unshare -m true",
      "unshare -U true",
      "swapoff -a; swapon /etc/hostname",
      "chroot / mount -o remount,rw /proc/sys",
      "hostname other",
      "date -s 2001-01-01; false", // it ends with 0 all the same
      "ip link set eth0 down",
      "insmod /etc/hostname",
      "reboot -f",
    ];
    for (const call of calls) {
      const { exitCode, stderr } = await run(docker, call);
      expect({ call, refused: exitCode !== 0 }).toEqual({ call, refused: true });
      expect(stderr).toMatch(/ermitted|denied/);
    }
    expect(await inside(docker, "grep Seccomp: /proc/self/status")).toMatch(/\t2$/);
    const open = await inside(
      docker,
      "grep Seccomp: /proc/self/status; unshare -U true && echo made",
      {
        SecurityOpt: ["seccomp=unconfined"],
      },
    );
    expect(open).toMatch(/\t0\nmade$/);
    const profile = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] as unknown[] };
    profile.syscalls.push({ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" });
    const own = await run(docker, "mkdir /x", {
      HostConfig: { SecurityOpt: [`seccomp=${JSON.stringify(profile)}`] },
    });
    expect(own.stderr).toContain("Operation not permitted");
  });

  its("no-new-privileges: a set-user-id program gains nothing, in exec neither", async () => {
    const Binds = ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"];
    const gain = async (SecurityOpt: string[]): Promise<string> => {
      const container = await idle(docker, { HostConfig: { Binds, SecurityOpt } });
      await execIn(docker, container, "mkdir -p /tmp; cp /usr/bin/id /tmp/id; chmod 4755 /tmp/id");
      const script = "/tmp/id -u; grep NoNewPrivs /proc/self/status";
      return (await execIn(docker, container, script, { User: "5" })).stdout;
    };
    expect(await gain([])).toBe("0\nNoNewPrivs:\t0\n");
    expect(await gain(["no-new-privileges"])).toBe("5\nNoNewPrivs:\t1\n");
  });

  its("privileged: all capabilities, devices, writable settings", async () => {
    const script = "cat /proc/self/status; ls /dev; mount -t tmpfs none /tmp && echo mounted";
    const seen = await inside(docker, script, { Privileged: true });
    expect(capabilities(seen, "CapEff") & CAP_SYS_ADMIN).toBe(CAP_SYS_ADMIN);
    expect(seen).toMatch(/^Seccomp:\t0$/m);
    expect(seen).toContain("kmsg");
    expect(seen).toContain("mounted");
    const mounts = await inside(docker, "cat /proc/self/mountinfo", { Privileged: true });
    expect(mounts).not.toContain(" /proc/sys ");
    expect(mounts).toMatch(/ \/sys rw,/);
  });

  its("signals are as a fresh process has them", async () => {
    const { stdout: status } = await run(docker, ["grep", "Sig", "/proc/self/status"]);
    expect(/^SigIgn:\t([0-9a-f]+)$/m.exec(status)?.[1]).toBe("0".repeat(16));
    expect(/^SigBlk:\t([0-9a-f]+)$/m.exec(status)?.[1]).toBe("0".repeat(16));
  });

  its("no descriptor of the engine, monitor or runtime is inherited", async () => {
    expect(await inside(docker, "ls /proc/1/fd; true")).toBe("0\n1\n2");
  });
}

function limitTests(): void {
  its("the numbers stand in the cgroup files", async () => {
    const memory = { Memory: 64 * MIB };
    expect(await limit("memory.max", "memory/memory.limit_in_bytes", memory)).toBe(
      String(64 * MIB),
    );
    expect(await limit("pids.max", "pids/pids.max", { PidsLimit: 33 })).toBe("33");
    expect(await limit("pids.max", "pids/pids.max", {})).toBe("max");
    const cpus = await limit("cpu.max", "cpu/cpu.cfs_quota_us", { NanoCpus: 250_000_000 });
    expect(["25000", "25000 100000"]).toContain(cpus);
    const set = { CpusetCpus: "1" };
    expect(await inside(docker, "grep Cpus_allowed_list /proc/self/status", set)).toMatch(/\t1$/);
    const shares = await limit("cpu.weight", "cpu/cpu.shares", { CpuShares: 2048 });
    expect(["2048", "79", "160", "174"]).toContain(shares); // converters of crun versions differ
  });

  its("too much memory kills, and inspect says so; others of 137 do not", async () => {
    const HostConfig = { Memory: 16 * MIB, MemorySwap: 16 * MIB };
    const { id, exitCode } = await run(docker, "x=$(head -c 80m /dev/zero | tr '\\0' x); echo $x", {
      HostConfig,
      keep: true,
    });
    const { State } = await docker.getContainer(id).inspect();
    expect({ exitCode, ...State }).toMatchObject({ OOMKilled: true });
    const direct = await run(docker, ["tail", "/dev/zero"], { HostConfig, keep: true });
    expect(direct.exitCode).toBe(137);
    const after = (await docker.getContainer(direct.id).inspect()).State;
    expect(after).toMatchObject({ OOMKilled: true, ExitCode: 137, Status: "exited" });
    const killed = await idle(docker, { HostConfig });
    await killed.kill();
    await killed.wait();
    expect((await killed.inspect()).State).toMatchObject({ OOMKilled: false, ExitCode: 137 });
  });

  its("a fork above the pids limit is refused", async () => {
    const script = "i=0; while [ $i -lt 30 ]; do sleep 2 & i=$((i+1)); done; echo no limit";
    const { stdout, stderr } = await run(docker, script, { HostConfig: { PidsLimit: 10 } });
    expect(stderr).toMatch(/can't fork|Resource temporarily unavailable/);
    expect(stdout).toBe("");
  });

  its("a cpu quota throttles", async () => {
    const script =
      "timeout 1 sh -c 'while :; do :; done'; cat /sys/fs/cgroup/cpu.stat 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.stat";
    const { stdout } = await run(docker, script, { HostConfig: { NanoCpus: 200_000_000 } });
    expect(Number(/^nr_throttled (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(3);
  });

  its("ulimits, sysctls, shm size, oom score", async () => {
    const HostConfig: Dockerode.HostConfig = {
      Ulimits: [{ Name: "nofile", Soft: 123, Hard: 456 }],
      Sysctls: { "net.ipv4.ip_unprivileged_port_start": "77", "kernel.msgmax": "8000" },
      ShmSize: 8 * MIB,
      OomScoreAdj: 300,
    };
    const script =
      "ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax /proc/self/oom_score_adj; grep ' /dev/shm ' /proc/self/mounts";
    const lines = (await inside(docker, script, HostConfig)).split("\n");
    expect(lines.slice(0, 5)).toEqual(["123", "456", "77", "8000", "300"]);
    expect(lines[5]).toContain("size=8192k");
    const hostSysctl = await refused(
      run(docker, "true", { HostConfig: { Sysctls: { "kernel.panic": "1" } } }),
    );
    expect(hostSysctl.status).toBe(400);
    expect(hostSysctl.text).toContain("kernel.panic");
  });
}
