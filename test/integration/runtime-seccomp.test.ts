import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { buildRuntimeSpec } from "../../src/runtime/mod.ts";
import { runFilter } from "./filter-program.ts";
import { host, openBench, openMonitor, type Run } from "./runtime-fixture.ts";

async function outputOf(run: Run): Promise<{ exitCode: number; out: string }> {
  const { exitCode } = await run.finish();
  return { exitCode, out: run.output.text() };
}

describe("seccomp through both paths", () => {
  // Each line: a call that must be refused, made by a busybox applet, or one that must be allowed.
  const script = [
    "mount -t tmpfs x /tmp; echo mount $?",
    "umount /proc; echo umount $?",
    "unshare -m true; echo unshare-mount $?",
    "unshare -U true; echo unshare-user $?",
    "unshare -n true; echo unshare-net $?",
    "chroot / true; echo chroot $?",
    "mkdir -p /tmp/d; echo mkdir $?",
    "cat /proc/self/status | head -80",
  ].join("\n");

  test("the same calls are refused, the same program is loaded", async () => {
    const cached = await openBench({ seccompCache: true });
    const results: string[] = [];
    const programs: string[] = [];
    try {
      for (const turn of ["compiled by crun", "from the cache"]) {
        const run = await cached.run(["sh", "-c", script]);
        const config = JSON.parse(readFileSync(`${run.paths.bundleDir}/config.json`, "utf8"));
        expect([turn, config.linux.seccomp === undefined]).toEqual([
          turn,
          turn === "from the cache",
        ]);
        const state = `${cached.dir}/run/runtimes/crun/${run.id}/seccomp.bpf`;
        if (existsSync(state))
          programs.push(createHash("sha256").update(readFileSync(state)).digest("hex"));
        const { out } = await outputOf(run);
        results.push(
          out
            .split("\n")
            .filter((line) => /^(\w[\w-]* \d+|Seccomp.*)$/.test(line))
            .join("\n"),
        );
      }
      expect(results[0]).toMatch(
        /mount 1\numount 1\nunshare-mount 1\nunshare-user 1\nunshare-net 1/,
      );
      expect(results[0]).toContain("chroot 0\nmkdir 0");
      expect(results[0]).toMatch(/Seccomp:\s+2/);
      expect(results[1]).toBe(results[0] ?? "");
      expect(new Set(programs).size).toBe(1);
    } finally {
      await cached.close();
    }
  });

  const X86_64 = 0xc000_003e;
  const REFUSED: Readonly<Record<string, number>> = {
    mount: 165,
    umount2: 166,
    pivot_root: 155,
    swapon: 167,
    reboot: 169,
    sethostname: 170,
    init_module: 175,
    delete_module: 176,
    settimeofday: 164,
    clock_settime: 227,
    kexec_load: 246,
    kexec_file_load: 320,
    add_key: 248,
    request_key: 249,
    keyctl: 250,
    perf_event_open: 298,
    bpf: 321,
    userfaultfd: 323,
    open_by_handle_at: 304,
    setns: 308,
    unshare: 272,
    finit_module: 313,
    move_mount: 429,
    fsopen: 430,
    open_tree: 428,
    mount_setattr: 442,
    io_uring_setup: 425,
    acct: 163,
    iopl: 172,
    ioperm: 173,
    mbind: 237,
    kcmp: 312,
    pidfd_getfd: 438,
    syslog: 103,
    quotactl: 179,
  };
  const ALLOWED: Readonly<Record<string, number>> = {
    read: 0,
    write: 1,
    mmap: 9,
    execve: 59,
    fork: 57,
    futex: 202,
    openat: 257,
    chroot: 161,
    ptrace: 101,
    seccomp: 317,
    getrandom: 318,
    statx: 332,
    pidfd_open: 434,
  };

  test.if(process.arch === "x64")("the program itself, call by call", async () => {
    const cached = await openBench();
    try {
      await (await cached.run(["true"])).finish();
      const [name = ""] = readdirSync(`${cached.dir}/data/seccomp`);
      const program = readFileSync(`${cached.dir}/data/seccomp/${name}`).subarray(32);
      const ask = (number: number, args: number[] = []) =>
        runFilter(program, { arch: X86_64, number, args });
      for (const [call, number] of Object.entries(REFUSED)) {
        expect([call, ask(number)]).toEqual([call, { action: "errno", errno: 1 }]);
      }
      for (const [call, number] of Object.entries(ALLOWED)) {
        expect([call, ask(number)]).toEqual([call, { action: "allow", errno: 0 }]);
      }
      const clone = 56;
      expect(ask(clone, [0x11]).action).toBe("allow");
      for (const flag of [
        0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
      ]) {
        expect([flag, ask(clone, [flag | 0x11])]).toEqual([flag, { action: "errno", errno: 1 }]);
      }
      expect(ask(435)).toEqual({ action: "errno", errno: 38 }); // clone3
      expect(ask(41, [40]).action).toBe("errno"); // socket(AF_VSOCK)
      expect(ask(41, [2]).action).toBe("allow");
      expect(ask(135, [0x40000]).action).toBe("errno"); // personality(ADDR_NO_RANDOMIZE)
      expect(ask(135, [8]).action).toBe("allow");
      // Calls of other processors' tables, and x32's numbers, have no way around.
      expect(runFilter(program, { arch: 0x4000_0003, number: 21 }).action).toBe("errno"); // i386 mount
      expect(ask(0x4000_0000 + 165).action).toBe("errno"); // x32 mount
      expect(runFilter(program, { arch: 0xc000_00b7, number: 40 }).action).not.toBe("allow");
    } finally {
      await cached.close();
    }
  });

  test("a damaged entry is thrown away and compiled anew", async () => {
    const cached = await openBench();
    try {
      const first = await cached.run(["true"]);
      await first.finish();
      const folder = `${cached.dir}/data/seccomp`;
      const [name = ""] = readdirSync(folder);
      const bytes = readFileSync(`${folder}/${name}`);
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      writeFileSync(`${folder}/${name}`, bytes);
      // A new engine, which knows the entry by its file alone.
      const next = await openMonitor(cached.dir);
      try {
        const second = await cached.run(["unshare", "-U", "true"], { monitor: next });
        expect((await second.finish()).exitCode).toBe(1);
      } finally {
        await next.close();
      }
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      expect(readFileSync(`${folder}/${name}`)).toEqual(bytes);
    } finally {
      await cached.close();
    }
  });

  test("annotations for the runtime are refused", async () => {
    const bench = await openBench();
    await bench.close();
    const input = bench.spec(["true"], { annotations: { "run.oci.seccomp_bpf_data": "AAAA" } });
    expect(() => buildRuntimeSpec(input, host)).toThrow("run.oci.seccomp_bpf_data");
  });
});
