import { expect, test } from "bun:test";
import { DEFAULT_CAPABILITIES } from "../capabilities.ts";
import { DEFAULT_SECCOMP_PROFILE } from "./default-profile.ts";
import { kernelAtLeast, parseSeccompProfile, resolveSeccomp } from "./profile.ts";

const target = { arch: "x64", kernelRelease: "6.1.0-18-amd64", capabilities: DEFAULT_CAPABILITIES };

/** True when some allow rule takes `call` with these arguments. */
function allowed(call: string, args: readonly number[] = [], at = target): boolean {
  const { syscalls = [] } = resolveSeccomp(DEFAULT_SECCOMP_PROFILE, at);
  return syscalls.some(
    (rule) =>
      rule.action === "SCMP_ACT_ALLOW" &&
      rule.names.includes(call) &&
      (rule.args ?? []).every((want) => {
        const given = args[want.index] ?? 0;
        if (want.op === "SCMP_CMP_NE") return given !== want.value;
        if (want.op === "SCMP_CMP_MASKED_EQ") {
          return (BigInt(given) & BigInt(want.value)) === BigInt(want.valueTwo ?? 0);
        }
        return given === want.value;
      }),
  );
}

const DANGEROUS = (
  "mount umount umount2 pivot_root fsopen fsmount fsconfig fspick move_mount open_tree " +
  "mount_setattr keyctl add_key request_key bpf perf_event_open userfaultfd kexec_load " +
  "kexec_file_load init_module finit_module delete_module create_module open_by_handle_at setns " +
  "unshare reboot swapon swapoff acct iopl ioperm settimeofday clock_settime stime sethostname " +
  "setdomainname quotactl lookup_dcookie vhangup nfsservctl uselib ustat sysfs _sysctl vm86 " +
  "vm86old get_mempolicy set_mempolicy mbind move_pages migrate_pages kcmp process_madvise " +
  "pidfd_getfd syslog clone3 io_uring_setup io_uring_enter io_uring_register fanotify_init nice"
).split(" ");

test("calls that reach past the container are refused", () => {
  for (const call of DANGEROUS) expect([call, allowed(call)]).toEqual([call, false]);
});

test("what programs need every day is allowed", () => {
  const everyday =
    "read write openat close fstat mmap brk execve fork vfork wait4 futex epoll_wait accept4 " +
    "sendmsg chroot chown setuid setgid prctl seccomp getrandom statx clock_gettime ptrace " +
    "capset mknod rt_sigaction arch_prctl memfd_create pidfd_open inotify_init1 clone";
  for (const call of everyday.split(" ")) expect([call, allowed(call)]).toEqual([call, true]);
});

test("clone may make threads and processes, not namespaces", () => {
  expect(allowed("clone", [0x0001_2011])).toBe(true);
  for (const flag of [
    0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
  ]) {
    expect([flag, allowed("clone", [flag | 17])]).toEqual([flag, false]);
  }
});

test("sockets towards the hypervisor and odd personalities are refused", () => {
  expect(allowed("socket", [2])).toBe(true);
  expect(allowed("socket", [40])).toBe(false);
  expect(allowed("personality", [0x8])).toBe(true);
  expect(allowed("personality", [0x40000])).toBe(false);
});

test("capabilities bring their calls", () => {
  const admin = { ...target, capabilities: [...DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"] };
  for (const call of ["mount", "umount2", "setns", "unshare", "bpf", "clone3"]) {
    expect([call, allowed(call, [], admin)]).toEqual([call, true]);
  }
  expect(allowed("clone", [0x10000000], admin)).toBe(true);
  expect(allowed("init_module", [], admin)).toBe(false);
  const clone3 = resolveSeccomp(DEFAULT_SECCOMP_PROFILE, target).syscalls?.find(
    (rule) => rule.names.includes("clone3") && rule.action === "SCMP_ACT_ERRNO",
  );
  expect(clone3?.errnoRet).toBe(38);
});

test("ptrace needs a kernel whose filter looks after the tracer", () => {
  const old = { ...target, kernelRelease: "4.4.0-210-generic" };
  expect(allowed("ptrace", [], old)).toBe(false);
  expect(kernelAtLeast("4.18.0", "4.8")).toBe(true);
  expect(kernelAtLeast("5.0", "4.8")).toBe(true);
  expect(kernelAtLeast("4.7.9", "4.8")).toBe(false);
});

test("processors get their own calls and architectures", () => {
  const arm = { ...target, arch: "arm64" };
  expect(allowed("cacheflush", [], arm)).toBe(true);
  expect(allowed("arch_prctl", [], arm)).toBe(false);
  expect(resolveSeccomp(DEFAULT_SECCOMP_PROFILE, arm).architectures).toEqual([
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
  ]);
  expect(resolveSeccomp(DEFAULT_SECCOMP_PROFILE, target).architectures).toEqual([
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
  ]);
});

test("the default action is EPERM and no rule is empty or doubled", () => {
  expect(DEFAULT_SECCOMP_PROFILE.defaultErrnoRet).toBe(1);
  const plain = DEFAULT_SECCOMP_PROFILE.syscalls[0]?.names ?? [];
  expect(plain.length).toBeGreaterThan(330);
  expect(new Set(plain).size).toBe(plain.length);
});

test("a user's profile in both spellings", () => {
  const profile = parseSeccompProfile(
    JSON.stringify({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [
        { name: "mkdir", action: "SCMP_ACT_ERRNO", args: null },
        { names: ["chmod"], action: "SCMP_ACT_ERRNO", errnoRet: 13, includes: {}, excludes: null },
        { names: ["bpf"], action: "SCMP_ACT_KILL", excludes: { caps: ["CAP_CHOWN"] } },
        { names: ["kill"], action: "SCMP_ACT_ERRNO", includes: { minKernel: "99.0" } },
      ],
    }),
  );
  expect(resolveSeccomp(profile, target).syscalls).toEqual([
    { names: ["mkdir"], action: "SCMP_ACT_ERRNO" },
    { names: ["chmod"], action: "SCMP_ACT_ERRNO", errnoRet: 13 },
  ]);
});

test("what is wrong with a profile is named", () => {
  const cases: [unknown, string][] = [
    [[], "want an object"],
    [{ defaultAction: "ALLOW" }, "defaultAction"],
    [{ defaultAction: "SCMP_ACT_ALLOW", syscalls: {} }, "syscalls"],
    [{ defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/x" }, "listenerPath"],
    [
      {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["a"], action: "SCMP_ACT_ERRNO", args: [{ index: 9, op: "x" }] }],
      },
      "syscalls[0].args[0].index",
    ],
    [
      {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ name: "a", names: ["b"], action: "SCMP_ACT_ERRNO" }],
      },
      "both 'name' and 'names'",
    ],
  ];
  for (const [profile, message] of cases) {
    expect(() => parseSeccompProfile(JSON.stringify(profile))).toThrow(message);
  }
  expect(() => parseSeccompProfile("{")).toThrow("decoding seccomp profile failed");
});
