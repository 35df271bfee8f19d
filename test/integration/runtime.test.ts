import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { newId } from "../../src/base/mod.ts";
import { isAlive } from "../../src/linux/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import {
  buildExecProcess,
  buildRuntimeSpec,
  type ContainerMonitor,
  connectStdio,
  type ExecProcess,
  resizeTerminal,
} from "../../src/runtime/mod.ts";
import { rejection, rejectionMessage } from "../fakes/rejection.ts";
import {
  type Bench,
  Collector,
  CRUN,
  eventually,
  host,
  openBench,
  openMonitor,
  RUNC,
  type Run,
} from "./runtime-fixture.ts";

let bench: Bench;
/** Engines that followed on the bench's folders; they share its mounts, so they close after it. */
const followers: ContainerMonitor[] = [];

beforeAll(async () => {
  bench = await openBench();
});

afterAll(async () => {
  await bench.close();
  for (const follower of followers) await follower.close();
});

async function outputOf(run: Run): Promise<{ exitCode: number; out: string }> {
  const { exitCode } = await run.finish();
  return { exitCode, out: run.output.text() };
}

async function logText(run: Run, tailLines?: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  const options = { stdout: true, stderr: true, follow: false, sinceNs: undefined };
  const signal = new AbortController().signal;
  for await (const entry of run.log.read({ ...options, untilNs: undefined, tailLines, signal })) {
    pieces.push(entry.bytes);
  }
  return Buffer.concat(pieces).toString("utf8");
}

describe("life", () => {
  test("exit codes, both streams, and the log", async () => {
    const run = await bench.run(["sh", "-c", "echo out; echo err >&2; printf tail; exit 7"]);
    expect((await run.finish()).exitCode).toBe(7);
    expect(run.output.text()).toBe("out\ntail");
    expect(run.output.text("stderr")).toBe("err\n");
    expect(run.output.over).toBe(true);
    expect((await logText(run)).length).toBe("out\nerr\ntail".length);
  });

  test("nothing is left after delete", async () => {
    const run = await bench.run(["true"]);
    await run.finish();
    expect(await bench.monitor.state(run.id, CRUN)).toBeUndefined();
    expect(await bench.monitor.list(CRUN)).not.toContain(run.id);
    const found = Bun.spawnSync(["find", "/sys/fs/cgroup", "-name", run.id]).stdout.toString();
    expect(found).toBe("");
    await bench.monitor.delete(run.id, CRUN); // idempotent
  });

  test("a signal ends the container with 128 and its number", async () => {
    const run = await bench.run([
      "sh",
      "-c",
      "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done",
    ]);
    await run.output.until("ready");
    await bench.monitor.kill(run.id, CRUN, 10);
    expect((await run.finish()).exitCode).toBe(5);
    const sleeper = await bench.run(["sleep", "100"]);
    await bench.monitor.kill(sleeper.id, CRUN, 9);
    expect((await sleeper.finish()).exitCode).toBe(137);
    expect(await rejectionMessage(bench.monitor.kill(sleeper.id, CRUN, 9))).toContain(
      "is not running",
    );
  });

  test("delete of a running container kills it", async () => {
    const run = await bench.run(["sleep", "100"]);
    await bench.monitor.delete(run.id, CRUN);
    expect((await bench.monitor.waitExit(run.id, run.handle, run.paths)).exitCode).toBe(137);
    expect(await bench.monitor.isRunning(run.handle)).toBe(false);
  });

  test("pause and resume", async () => {
    const run = await bench.run(["sleep", "100"]);
    await bench.monitor.pause(run.id, CRUN);
    expect((await bench.monitor.state(run.id, CRUN))?.status).toBe("paused");
    await bench.monitor.resume(run.id, CRUN);
    expect((await bench.monitor.state(run.id, CRUN))?.status).toBe("running");
    await bench.monitor.kill(run.id, CRUN, 9);
    await run.finish();
  });

  test("runc gives the same", async () => {
    const run = await bench.run(["sh", "-c", "echo out; exit 3"], { runtime: RUNC });
    expect(await outputOf(run)).toEqual({ exitCode: 3, out: "out\n" });
  });
});

describe("start failures in Docker's words", () => {
  const cases: [string, string, number][] = [
    ["foo", 'exec: "foo": executable file not found in $PATH', 127],
    ["/foo", 'exec: "/foo": stat /foo: no such file or directory', 127],
    ["/noexec", 'exec: "/noexec": permission denied', 126],
    ["/adir", 'exec: "/adir":', 126],
  ];
  for (const runtime of [CRUN, RUNC]) {
    for (const [command, message, exitCode] of cases) {
      test(`${runtime.name} ${command}`, async () => {
        const error = await bench.run([command], { runtime }).catch((thrown: unknown) => thrown);
        expect(String(error)).toContain("OCI runtime create failed");
        expect(String(error)).toContain(message);
        expect(String(error)).toEndWith(": unknown");
        expect(error).toMatchObject({ kind: "invalid_argument", details: { exitCode } });
      });
    }
  }

  test("nothing is left behind", async () => {
    const before = await bench.monitor.list(CRUN);
    await bench.run(["foo"]).catch(() => undefined);
    expect((await bench.monitor.list(CRUN)).sort()).toEqual(before.sort());
  });
});

describe("isolation", () => {
  test("pid 1, host name, memory limit, capabilities, read-only paths", async () => {
    const script =
      "echo $$; hostname; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null;" +
      "grep -i capeff /proc/1/status 2>/dev/null || cat /proc/1/status | head -60;" +
      "touch /proc/sys/kernel/hostname 2>&1; ls /proc/acpi /sys/firmware; echo $PATH";
    const run = await bench.run(["sh", "-c", script], {
      changes: { resources: { memoryBytes: 64 << 20, nanoCpus: 500_000_000, pidsLimit: 50 } },
    });
    const { out } = await outputOf(run);
    expect(out.startsWith(`1\n${run.id.slice(0, 12)}\n67108864\n`)).toBe(true);
    expect(out).toContain("Read-only file system");
    expect(out).toContain("00000000a80425fb"); // Docker's default set
    expect(out).toContain("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  });

  test("memory: a container that takes too much is killed and says so", async () => {
    const run = await bench.run(
      [
        "sh",
        "-c",
        "head -c 100m /dev/zero | tail -c 90m | wc -c; dd if=/dev/zero of=/dev/null bs=100M count=1",
      ],
      {
        changes: { resources: { memoryBytes: 16 << 20 } },
      },
    );
    const exit = await run.finish();
    expect(exit.exitCode).not.toBe(0);
    expect(exit.oomKilled).toBe(true);
  });

  test("user, groups, working directory, init", async () => {
    const run = await bench.run(["sh", "-c", "id; echo; cat /proc/1/comm"], {
      changes: {
        user: { uid: 1000, gid: 1001, additionalGids: [5, 6] },
        cwd: "/tmp",
        initPath: "/usr/bin/tini-static",
      },
    });
    const { out } = await outputOf(run);
    expect(out).toContain("uid=1000 gid=1001 groups=5,6");
    expect(out).toContain("docker-init");
  });

  test("binds, tmpfs and a read-only root", async () => {
    writeFileSync(`${bench.dir}/note`, "from the host\n");
    const script =
      "cat /mnt/note; touch /x; touch /mnt/y; touch /work/z && echo written; mount | head -100";
    const run = await bench
      .run(["sh", "-c", script], {
        changes: {
          readonlyRootfs: true,
          mounts: [
            { kind: "tmpfs", destination: "/work", options: ["size=1m"] },
            {
              kind: "bind",
              source: bench.dir,
              destination: "/mnt",
              recursive: true,
              readOnly: "recursive",
              propagation: "",
            },
          ],
        },
      })
      .catch((error: unknown) => error);
    // A read-only root cannot be given mount points that are missing: they must exist.
    if (run instanceof Error) throw run;
    const { out } = await outputOf(run as Run);
    expect(out).toContain("from the host");
    expect(out).toContain("written");
    expect((run as Run).output.text("stderr")).toContain("/x: Read-only file system");
    expect((run as Run).output.text("stderr")).toContain("/mnt/y: Read-only file system");
  });
});

describe("stdin and terminals", () => {
  test("a pipe: all bytes arrive, EOF ends it, output goes on", async () => {
    const run = await bench.run(["sh", "-c", "wc -c; echo after"], { stdin: "once" });
    const block = new Uint8Array(50_000).fill(0x61);
    for (let count = 0; count < 40; count += 1) await run.hub.writeStdin(block);
    run.hub.closeStdin();
    expect(await outputOf(run)).toEqual({ exitCode: 0, out: "2000000\nafter\n" });
  });

  test("stdin that stays open outlives closeStdin", async () => {
    const run = await bench.run(["cat"], { stdin: "open" });
    await run.hub.writeStdin(Buffer.from("one\n"));
    run.hub.closeStdin();
    await run.hub.writeStdin(Buffer.from("two\n"));
    await run.output.until("one\ntwo\n");
    await bench.monitor.kill(run.id, CRUN, 9);
    await run.finish();
  });

  test("a terminal has a size, is resized, echoes, and is not closed", async () => {
    const run = await bench.run(["sh"], {
      terminal: true,
      stdin: "once",
      changes: { consoleSize: { rows: 31, columns: 97 } },
    });
    await run.hub.writeStdin(Buffer.from("stty size\n"));
    await run.output.until("31 97");
    resizeTerminal(run.paths.bundleDir, { rows: 40, columns: 120 });
    await Bun.sleep(50);
    run.hub.closeStdin();
    await run.hub.writeStdin(Buffer.from("stty size; exit 4\n"));
    await run.output.until("40 120");
    expect((await run.finish()).exitCode).toBe(4);
  });
});

describe("exec", () => {
  let run: Run;
  beforeAll(async () => {
    run = await bench.run(["sleep", "1000"]);
  });
  afterAll(async () => {
    await bench.monitor.kill(run.id, CRUN, 9);
    await run.finish();
  });

  async function exec(
    args: string[],
    options: { terminal?: boolean; stdin?: boolean; detached?: boolean } = {},
  ): Promise<{ process: ExecProcess; output: Collector; dir: string }> {
    const { spec } = buildRuntimeSpec(bench.spec(["sleep"]), host);
    const terminal = options.terminal ?? false;
    const dir = `${bench.dir}/run/e-${newId().slice(0, 8)}`;
    const process = await bench.monitor.exec({
      containerId: run.id,
      execId: newId(),
      name: run.id,
      runtime: CRUN,
      process: buildExecProcess(
        spec.process,
        {
          args,
          env: ["A=b"],
          cwd: undefined,
          user: undefined,
          terminal,
          consoleSize: terminal ? { rows: 11, columns: 22 } : undefined,
          privileged: false,
        },
        host,
      ),
      dir,
      terminal,
      stdin: options.stdin ?? false,
      detached: options.detached ?? false,
      handle: run.handle,
    });
    const output = new Collector();
    process.stdio?.attach(output);
    return { process, output, dir };
  }

  test("output, exit code, environment, and no folder left", async () => {
    const { process, output, dir } = await exec(["sh", "-c", "echo $A; echo e >&2; exit 9"]);
    expect(await process.exited).toEqual({ exitCode: 9 });
    expect(output.text()).toBe("b\n");
    expect(output.text("stderr")).toBe("e\n");
    await eventually(() => !existsSync(dir), "the end of the exec's folder");
  });

  test("stdin and half-close", async () => {
    const { process, output } = await exec(["sh", "-c", "cat; echo done"], { stdin: true });
    await process.stdio?.writeStdin(Buffer.from("in\n"));
    process.stdio?.closeStdin();
    expect(await process.exited).toEqual({ exitCode: 0 });
    expect(output.text()).toBe("in\ndone\n");
  });

  test("a terminal with its size", async () => {
    const { process, output } = await exec(["sh"], { terminal: true, stdin: true });
    await process.stdio?.writeStdin(Buffer.from("stty size\n"));
    await output.until("11 22");
    await process.resize({ rows: 33, columns: 44 });
    await Bun.sleep(50);
    await process.stdio?.writeStdin(Buffer.from("stty size; exit 6\n"));
    await output.until("33 44");
    expect(await process.exited).toEqual({ exitCode: 6 });
  });

  test("detached", async () => {
    const { process } = await exec(["sh", "-c", "touch /tmp/detached; exit 3"], { detached: true });
    expect(process.stdio).toBeUndefined();
    expect(await process.exited).toEqual({ exitCode: 3 });
    expect(existsSync(`${bench.rootfs}/tmp/detached`)).toBe(true);
  });

  test("what cannot be run: 127 and 126", async () => {
    expect(await rejection(exec(["nope"]))).toMatchObject({
      message: expect.stringContaining(
        'OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown',
      ),
      details: { exitCode: 127 },
    });
    expect(await rejection(exec(["/noexec"]))).toMatchObject({ details: { exitCode: 126 } });
    const folders = (): string[] => readdirSync(`${bench.dir}/run`);
    await eventually(() => !folders().some((name) => name.startsWith("e-")), "the folders' end");
  });

  test("an exec is held by the container's filter", async () => {
    const { process, output } = await exec([
      "sh",
      "-c",
      "unshare -U true 2>&1; echo $?; cat /proc/self/status | head -80",
    ]);
    await process.exited;
    expect(output.text()).toContain("Operation not permitted");
    expect(output.text()).toMatch(/Seccomp:\s+2/);
  });
});

describe("conmon dies, the engine dies", () => {
  test("kill -9 of conmon: the container is killed and reported", async () => {
    const run = await bench.run(["sleep", "1000"]);
    const exit = bench.monitor.waitExit(run.id, run.handle, run.paths);
    process.kill(run.handle.conmonPid, "SIGKILL");
    expect(await exit).toMatchObject({ exitCode: 137, monitorLost: true });
    await run.hub.ended;
    const alive = (): boolean => isAlive(run.handle.pid, Number(run.handle.pidStartTime));
    await eventually(() => !alive(), "the container's end");
    await bench.monitor.delete(run.id, CRUN);
    expect(await bench.monitor.list(CRUN)).not.toContain(run.id);
  });

  test("another engine finds the container, attaches, and reads its end", async () => {
    const run = await bench.run(["sh", "-c", "echo first; read line; echo got $line; exit 12"], {
      stdin: "open",
    });
    await run.output.until("first");
    run.hub.close(); // as the death of the engine does
    const second = await openMonitor(bench.dir);
    followers.push(second);
    expect(await second.list(CRUN)).toContain(run.id);
    expect(await second.state(run.id, CRUN)).toMatchObject({ status: "running" });
    expect(await second.isRunning(run.handle)).toBe(true);
    expect(await second.readExit(run.paths)).toBeUndefined();
    const hub = await connectStdio(run.paths.bundleDir, {
      terminal: false,
      stdin: "open",
      log: undefined,
      logger: silentLogger,
    });
    const output = new Collector();
    hub.attach(output);
    await hub.writeStdin(Buffer.from("again\n"));
    expect(await second.waitExit(run.id, run.handle, run.paths)).toMatchObject({ exitCode: 12 });
    await hub.ended;
    expect(output.text()).toBe("got again\n");
    expect(await logText(run)).toBe("first\ngot again\n");
    expect(await second.readExit(run.paths)).toMatchObject({ exitCode: 12 });
    await second.delete(run.id, CRUN);
  });
});
