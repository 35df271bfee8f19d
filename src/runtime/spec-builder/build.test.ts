import { expect, test } from "bun:test";
import { DEFAULT_SECCOMP_PROFILE } from "../seccomp/default-profile.ts";
import { buildExecProcess, buildRuntimeSpec, cgroupPath, mergeEnvironment } from "./build.ts";
import type { ContainerSpecInput, HostFacts, SpecResources } from "./input.ts";

const host: HostFacts = {
  cgroupMode: "v2",
  capabilities: { lastCapability: 40, bounding: (1n << 41n) - 1n },
  arch: "x64",
  kernelRelease: "6.1.0",
  controllers: new Set(["cpu", "cpuset", "memory", "pids", "io", "blkio", "devices"]),
  swapLimit: true,
  cpuRealtime: false,
  cpuCfs: true,
  blkioWeight: true,
  hardLimits: new Map([
    ["nofile", 1024n],
    ["nproc", 0xffff_ffff_ffff_ffffn],
  ]),
  mayRaiseLimits: false,
  thermalThrottlePaths: [],
};

const plain: ContainerSpecInput = {
  id: "c0ffee",
  rootfsPath: "/root",
  readonlyRootfs: false,
  args: ["sh"],
  env: [],
  cwd: "",
  user: { uid: 0, gid: 0, additionalGids: [] },
  terminal: false,
  consoleSize: undefined,
  hostname: "box",
  domainname: "",
  capAdd: [],
  capDrop: [],
  privileged: false,
  devices: [],
  deviceCgroupRules: [],
  mounts: [],
  shm: { kind: "tmpfs", sizeBytes: 67108864 },
  maskedPaths: undefined,
  readonlyPaths: undefined,
  namespaces: { pid: "own", network: "own", ipc: "own", uts: "own", cgroup: "own" },
  cgroup: { driver: "cgroupfs", parent: "/naru" },
  resources: {},
  ulimits: [],
  sysctls: {},
  oomScoreAdj: 0,
  noNewPrivileges: false,
  seccomp: DEFAULT_SECCOMP_PROFILE,
  apparmorProfile: undefined,
  initPath: undefined,
  annotations: {},
};

const build = (changes: Partial<ContainerSpecInput> = {}, facts: Partial<HostFacts> = {}) =>
  buildRuntimeSpec({ ...plain, ...changes }, { ...host, ...facts });
const resourcesOf = (resources: SpecResources, facts: Partial<HostFacts> = {}) => {
  const { spec, warnings } = build({ resources }, facts);
  const { devices: _, ...limits } = spec.linux.resources;
  return { limits, warnings };
};

test("a plain container has Docker's defaults", () => {
  const { spec, warnings } = build();
  expect(warnings).toEqual([]);
  expect(spec.process.env).toEqual([
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME=box",
  ]);
  expect(spec.process.cwd).toBe("/");
  expect(spec.mounts.map(({ destination }) => destination)).toEqual([
    "/proc",
    "/dev",
    "/dev/pts",
    "/sys",
    "/sys/fs/cgroup",
    "/dev/mqueue",
    "/dev/shm",
  ]);
  expect(spec.linux.namespaces.map(({ type }) => type).sort()).toEqual(
    ["cgroup", "ipc", "mount", "network", "pid", "uts"].sort() as never,
  );
  expect(spec.linux.cgroupsPath).toBe("/naru/c0ffee");
  expect(spec.linux.maskedPaths).toContain("/proc/kcore");
  expect(spec.linux.readonlyPaths).toContain("/proc/sys");
  expect(spec.linux.seccomp?.defaultAction).toBe("SCMP_ACT_ERRNO");
  expect(spec.linux.resources.devices?.[0]).toEqual({ allow: false, access: "rwm" });
  expect(spec.process.capabilities?.effective.length).toBe(14);
  expect(spec.process.capabilities?.ambient).toEqual([]);
});

test("privileged: everything allowed, nothing hidden, unless told", () => {
  const { spec } = build({ privileged: true });
  expect(spec.process.capabilities?.effective.length).toBe(41);
  expect(spec.linux.seccomp).toBeUndefined();
  expect(spec.linux.maskedPaths).toEqual([]);
  expect(spec.linux.resources.devices).toEqual([{ allow: true, access: "rwm" }]);
  expect(spec.mounts.find(({ destination }) => destination === "/sys")?.options).not.toContain(
    "ro",
  );
  const hidden = build({ privileged: true, maskedPaths: ["/proc/kcore"] }).spec;
  expect(hidden.linux.maskedPaths).toEqual(["/proc/kcore"]);
});

test("a read-only root makes what is not for writing read-only", () => {
  const { spec } = build({ readonlyRootfs: true, privileged: true });
  const readonly = spec.mounts.filter(({ options }) => options?.includes("ro"));
  expect(spec.root.readonly).toBe(true);
  expect(readonly.map(({ destination }) => destination)).toEqual(["/sys", "/sys/fs/cgroup"]);
});

test("mounts: order, options, the user's own /dev and /dev/shm", () => {
  const bind = (destination: string, changes = {}) =>
    ({
      kind: "bind",
      source: "/src",
      destination,
      recursive: true,
      readOnly: "no",
      propagation: "",
      ...changes,
    }) as const;
  const { spec } = build({
    mounts: [
      bind("/a/b/c", { readOnly: "recursive", propagation: "rshared" }),
      bind("/a", { recursive: false, readOnly: "top" }),
      { kind: "tmpfs", destination: "/t", options: ["exec", "size=1m"] },
      bind("/dev/shm"),
    ],
  });
  const own = spec.mounts.slice(-4);
  expect(own.map(({ destination }) => destination)).toEqual(["/a", "/t", "/dev/shm", "/a/b/c"]);
  expect(own[0]?.options).toEqual(["bind", "rprivate", "ro"]);
  expect(own[1]?.options).toEqual(["nosuid", "nodev", "exec", "size=1m"]);
  expect(own[3]?.options).toEqual(["rbind", "rshared", "rro"]);
  expect(spec.linux.rootfsPropagation).toBe("shared");
  expect(spec.mounts.filter(({ destination }) => destination === "/dev/shm").length).toBe(1);
  const device = build({ mounts: [bind("/dev")] }).spec;
  expect(device.mounts.some(({ destination }) => destination === "/dev/pts")).toBe(false);
  expect(() => build({ mounts: [bind("/x", { propagation: "sideways" })] })).toThrow("sideways");
});

test("namespaces: host, another container's, and what goes with them", () => {
  const { spec } = build({
    namespaces: {
      pid: "host",
      network: { path: "/proc/7/ns/net" },
      ipc: { path: "/proc/7/ns/ipc" },
      uts: "host",
      cgroup: "host",
    },
    shm: { kind: "bind", source: "/run/shm7" },
  });
  expect(spec.linux.namespaces).toEqual([
    { type: "mount" },
    { type: "network", path: "/proc/7/ns/net" },
    { type: "ipc", path: "/proc/7/ns/ipc" },
  ]);
  expect(spec.hostname).toBeUndefined();
  expect(spec.mounts.find(({ destination }) => destination === "/dev/shm")?.source).toBe(
    "/run/shm7",
  );
});

test("limits", () => {
  expect(resourcesOf({ memoryBytes: 100, nanoCpus: 1_500_000_000, pidsLimit: 7 }).limits).toEqual({
    memory: { limit: 100, swap: 200 },
    cpu: { period: 100_000, quota: 150_000 },
    pids: { limit: 7 },
  });
  expect(resourcesOf({ memoryBytes: 100, memorySwapBytes: -1, pidsLimit: -1 }).limits).toEqual({
    memory: { limit: 100, swap: -1 },
  });
  expect(
    resourcesOf({ cpuShares: 512, cpuQuotaUs: 5, cpuPeriodUs: 6, cpusetCpus: "0-1" }).limits,
  ).toEqual({
    cpu: { shares: 512, quota: 5, period: 6, cpus: "0-1" },
  });
  const device = { major: 8, minor: 0 };
  expect(
    resourcesOf({
      blkioWeight: 300,
      blkioWeightDevices: [{ ...device, weight: 5 }],
      blkioReadBps: [{ ...device, rate: 1 }],
      blkioWriteIops: [{ ...device, rate: 2 }],
    }).limits,
  ).toEqual({
    blockIO: {
      weight: 300,
      weightDevice: [{ ...device, weight: 5 }],
      throttleReadBpsDevice: [{ ...device, rate: 1 }],
      throttleWriteIOPSDevice: [{ ...device, rate: 2 }],
    },
  });
});

test("what the host cannot do is warned about or refused by name", () => {
  const noSwap = resourcesOf({ memoryBytes: 100 }, { swapLimit: false });
  expect(noSwap.limits).toEqual({ memory: { limit: 100 } });
  expect(noSwap.warnings[0]).toContain("swap limit");
  expect(resourcesOf({ memorySwappiness: 5 }).warnings[0]).toContain("swappiness");
  expect(resourcesOf({ memorySwappiness: 5 }, { cgroupMode: "v1" }).limits).toEqual({
    memory: { swappiness: 5 },
  });
  expect(() => resourcesOf({ cpuRealtimeRuntimeUs: 5 })).toThrow("CpuRealtimeRuntime");
  expect(() => resourcesOf({ nanoCpus: 5 }, { cpuCfs: false })).toThrow("NanoCPUs");
});

test("ulimits: defaults are lowered with a warning, wishes are refused", () => {
  const limit = { name: "nofile", soft: 5000, hard: 6000 };
  const lowered = build({ ulimits: [{ ...limit, isDefault: true }] });
  expect(lowered.spec.process.rlimits).toEqual([{ type: "RLIMIT_NOFILE", soft: 1024, hard: 1024 }]);
  expect(lowered.warnings[0]).toContain("nofile");
  expect(() => build({ ulimits: [{ ...limit, isDefault: false }] })).toThrow("nofile=5000:6000");
  expect(() => build({ ulimits: [{ ...limit, name: "wings", isDefault: false }] })).toThrow(
    "wings",
  );
  const both = build({
    ulimits: [
      { ...limit, isDefault: true },
      { name: "nofile", soft: 5, hard: 6, isDefault: false },
    ],
  });
  expect(both.spec.process.rlimits).toEqual([{ type: "RLIMIT_NOFILE", soft: 5, hard: 6 }]);
});

test("device rules", () => {
  const device = {
    type: "c",
    path: "/dev/fuse",
    major: 10,
    minor: 229,
    fileMode: 0o666,
    uid: 0,
    gid: 0,
    access: "rw",
  } as const;
  const { spec } = build({ devices: [device], deviceCgroupRules: ["c 7:* rm"] });
  expect(spec.linux.resources.devices?.slice(-2)).toEqual([
    { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
    { allow: true, type: "c", major: 7, access: "rm" },
  ]);
  expect(spec.linux.devices?.[0]).not.toHaveProperty("access");
  expect(() => build({ deviceCgroupRules: ["c 7 rm"] })).toThrow("invalid device cgroup rule");
});

test("sysctls must be of a namespace that is the container's", () => {
  expect(build({ sysctls: { "net.core.somaxconn": "9" } }).spec.linux.sysctl).toMatchObject({
    "net.core.somaxconn": "9",
    "net.ipv4.ip_unprivileged_port_start": "0",
  });
  const hostNetwork = { ...plain.namespaces, network: "host" } as const;
  expect(() => build({ namespaces: hostNetwork, sysctls: { "net.a": "1" } })).toThrow("net.a");
  expect(build({ namespaces: hostNetwork }).spec.linux.sysctl).toBeUndefined();
  expect(() => build({ sysctls: { "vm.swappiness": "1" } })).toThrow("vm.swappiness");
  for (const name of ["net.ipv4.../../../etc", "net./x", "net.", "net.a b", "net.a\n"]) {
    expect(() => build({ sysctls: { [name]: "1" } })).toThrow("invalid sysctl name");
  }
  expect(() => build({ sysctls: { "net.ipv4.conf.eth0/100.rp_filter": "1" } })).not.toThrow();
});

test("init, environment, annotations, exec", () => {
  const { spec } = build({
    initPath: "/usr/bin/tini-static",
    args: ["a", "b"],
    env: ["PATH=/x", "A=1"],
  });
  expect(spec.process.args).toEqual(["/sbin/docker-init", "--", "a", "b"]);
  expect(spec.mounts.at(-1)).toMatchObject({
    destination: "/sbin/docker-init",
    source: "/usr/bin/tini-static",
  });
  expect(spec.process.env).toEqual(["PATH=/x", "HOSTNAME=box", "A=1"]);
  expect(mergeEnvironment(["A=1", "B=2"], ["A", "B=3", "C=4"])).toEqual(["B=3", "C=4"]);
  expect(() => build({ annotations: { "run.oci.handler": "krun" } })).toThrow("run.oci.handler");
  const exec = buildExecProcess(
    spec.process,
    {
      args: ["ls"],
      env: ["A=2"],
      cwd: "/tmp",
      user: { uid: 5, gid: 6, additionalGids: [7] },
      terminal: true,
      consoleSize: { rows: 1, columns: 2 },
      privileged: true,
    },
    host,
  );
  expect(exec).toMatchObject({
    args: ["ls"],
    cwd: "/tmp",
    terminal: true,
    consoleSize: { height: 1, width: 2 },
    user: { uid: 5, gid: 6, additionalGids: [7] },
    env: ["PATH=/x", "HOSTNAME=box", "A=2", "TERM=xterm"],
  });
  expect(exec.capabilities?.effective.length).toBe(41);
});

test("cgroup paths", () => {
  expect(cgroupPath({ driver: "cgroupfs", parent: "a/b/" }, "x")).toBe("/a/b/x");
  expect(cgroupPath({ driver: "systemd", parent: "system.slice" }, "x")).toBe(
    "system.slice:naru:x",
  );
  expect(() => cgroupPath({ driver: "systemd", parent: "/naru" }, "x")).toThrow("xxx.slice");
  expect(() => cgroupPath({ driver: "cgroupfs", parent: "/a/../../b" }, "x")).toThrow(
    "cgroup-parent",
  );
});
