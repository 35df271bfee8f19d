import {
  accessSync,
  existsSync,
  constants as fsConstants,
  mkdirSync,
  readFileSync,
  rmdirSync,
} from "node:fs";
import { runProgram } from "./program.ts";

/** Something that this host lacks, and what to do about it. */
export interface Lack {
  readonly what: string;
  readonly remedy: string;
}

const PROBE_LIMIT_MS = 10_000; // each probe is one short command

/** What an engine cannot do without: rights and kernel features. Packages are another matter. */
export async function hostLacks(): Promise<readonly Lack[]> {
  if (process.platform !== "linux") {
    const remedy = "run it on Debian 12 or later, in a virtual machine if need be";
    return [{ what: `Linux: this is ${process.platform}`, remedy }];
  }
  const lacks: Lack[] = [];
  if (process.getuid?.() !== 0) {
    const remedy = "run the same command as root: sudo npm start";
    return [{ what: "root: namespaces, mounts and network devices need it", remedy }];
  }
  lacks.push(...filesystemLacks(), ...namespaceLacks(), ...cgroupLacks());
  lacks.push(...(await rightsLacks()), ...(await networkLacks()));
  return lacks;
}

function filesystemLacks(): Lack[] {
  const known = readFileSync("/proc/filesystems", "utf8");
  if (/\boverlay$/m.test(known) || moduleExists("overlay")) return [];
  const remedy = "use a kernel with CONFIG_OVERLAY_FS (every Debian kernel has it)";
  return [{ what: "overlayfs: image layers are stacked with it", remedy }];
}

function namespaceLacks(): Lack[] {
  return ["pid", "net", "ipc", "mnt", "uts"]
    .filter((name) => !existsSync(`/proc/self/ns/${name}`))
    .map((name) => ({
      what: `${name} namespaces`,
      remedy: "use a kernel with CONFIG_NAMESPACES and its five kinds",
    }));
}

/** Root inside an ordinary container may not make namespaces or mounts. */
async function rightsLacks(): Promise<Lack[]> {
  const kinds = ["--mount", "--net", "--ipc", "--uts", "--pid", "--fork"];
  const mount = "mount -t tmpfs tmpfs /mnt";
  const command = ["unshare", ...kinds, "sh", "-c", mount] as [string, ...string[]];
  const tried = await runProgram(command, { limitMs: PROBE_LIMIT_MS });
  if (tried.exitCode === 0) return [];
  const remedy = `inside a container: start that one with --privileged (${tried.output.trim()})`;
  return [{ what: "the right to make namespaces and mounts in them", remedy }];
}

function cgroupLacks(): Lack[] {
  if (existsSync("/sys/fs/cgroup/cgroup.controllers")) return writableCgroups("/sys/fs/cgroup");
  const mounted = cgroupMounts();
  const needed = ["memory", "cpu", "pids", "devices", "freezer"];
  const missing = needed.filter((name) => !mounted.some((m) => m.options.includes(name)));
  if (missing.length === 0) return writableCgroups("/sys/fs/cgroup/memory");
  const remedy =
    "mount cgroup v2 (mount -t cgroup2 none /sys/fs/cgroup), or install cgroupfs-mount and run it";
  return [{ what: `cgroup controllers: ${missing.join(", ")}`, remedy }];
}

function writableCgroups(top: string): Lack[] {
  try {
    accessSync(top, fsConstants.W_OK);
    return [];
  } catch {
    const remedy = "inside a container: start that one with --privileged";
    return [{ what: `a writable ${top}`, remedy }];
  }
}

/** Tried, not looked up: a feature may be built in, a module, or forbidden. */
async function networkLacks(): Promise<Lack[]> {
  const lacks: Lack[] = [];
  const link = `nrprobe${process.pid % 100_000}`;
  const kinds = [
    { kind: "bridge", option: "CONFIG_BRIDGE" },
    { kind: "veth", option: "CONFIG_VETH" },
  ];
  for (const { kind, option } of kinds) {
    const add = ["ip", "link", "add", link, "type", kind] as const;
    const tried = await runProgram(add, { limitMs: PROBE_LIMIT_MS });
    await runProgram(["ip", "link", "delete", link], { limitMs: PROBE_LIMIT_MS });
    if (tried.exitCode === 0) continue;
    const remedy = `modprobe ${kind}, or use a kernel with ${option} (${tried.output.trim()})`;
    lacks.push({ what: `${kind} links: containers are connected with them`, remedy });
  }
  const rule = "add table inet naruprobe { chain c { type nat hook postrouting priority 100; }; }";
  const nft = await runProgram(["nft", "-c", rule], { limitMs: PROBE_LIMIT_MS });
  if (nft.exitCode !== 0) {
    const remedy = `modprobe nf_tables, or use a kernel with CONFIG_NF_TABLES (${nft.output.trim()})`;
    lacks.push({ what: "nftables with NAT: ports are published with it", remedy });
  }
  return lacks;
}

function moduleExists(name: string): boolean {
  const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  const list = `/lib/modules/${release}/modules.dep`;
  return existsSync(list) && readFileSync(list, "utf8").includes(`/${name}.ko`);
}

interface CgroupMount {
  readonly path: string;
  readonly type: string;
  readonly options: readonly string[];
}

function cgroupMounts(): readonly CgroupMount[] {
  return readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter((words) => words[2] === "cgroup" || words[2] === "cgroup2")
    .map(([, path = "", type = "", options = ""]) => ({ path, type, options: options.split(",") }));
}

/**
 * crun 1.8 refuses a host with both cgroup versions while the second still has a controller. Each
 * such controller is mounted as version 1, which takes it away from version 2. Returns what was done,
 * one line each; nothing on any other host.
 */
export async function settleHybridCgroups(): Promise<readonly string[]> {
  const mounts = cgroupMounts();
  const unified = mounts.find((mount) => mount.type === "cgroup2");
  if (unified === undefined || !mounts.some((mount) => mount.type === "cgroup")) return [];
  const list = `${unified.path}/cgroup.controllers`;
  const done: string[] = [];
  for (const name of readFileSync(list, "utf8")
    .split(/\s+/)
    .filter((word) => word !== "")) {
    const path = `/sys/fs/cgroup/${name}`;
    const made = !existsSync(path);
    if (made) mkdirSync(path);
    const mount = ["mount", "-t", "cgroup", "-o", name, "cgroup", path] as const;
    const result = await runProgram(mount, { limitMs: PROBE_LIMIT_MS });
    if (result.exitCode === 0) {
      done.push(`mounted the cgroup controller ${name} as version 1: crun refuses mixed hosts`);
    } else {
      if (made) rmdirSync(path);
      done.push(
        `could not mount the cgroup controller ${name} as version 1: ${result.output.trim()}`,
      );
    }
  }
  return done;
}
