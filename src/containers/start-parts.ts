import { statSync } from "node:fs";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode, NaruError } from "../base/mod.ts";
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, statfs } from "../linux/mod.ts";
import type { Endpoint, EndpointRequest, EtcFiles, NetworkMode } from "../network/mod.ts";
import type { SpecMount, SpecNamespace, SpecNamespaces, SpecShm } from "../runtime/mod.ts";
import { usablePropagation } from "./bind-propagation.ts";
import { crashPoint } from "./crash-point.ts";
import { inMountOrder } from "./mounts-plan.ts";
import { publishPorts } from "./port-publishing.ts";
import type { ContainerRecord, RecordedMount } from "./record.ts";
import { bundleDir, dataRootOf, type Room } from "./room.ts";
import { readInRoot, withDirectoryInRoot } from "./rootfs.ts";
import { stageAlone, stageIdMapped, stageImage, stageSubpath } from "./staged-mounts.ts";
import { resolveUser } from "./user.ts";
import { acquireVolume } from "./volume-use.ts";

/** How the container is on the network; `NetworkDisabled` is Docker's older way to say none. */
export function networkModeOf(room: Room, record: ContainerRecord): NetworkMode {
  if (record.config.NetworkDisabled === true) return { kind: "none" };
  return room.options.network.parseMode(record.hostConfig.NetworkMode);
}

/** Namespace, links and addresses; none where the container has no namespace of its own. */
export async function attachNetwork(
  room: Room,
  record: ContainerRecord,
  mode: NetworkMode,
  endpoints: readonly EndpointRequest[],
): Promise<readonly Endpoint[]> {
  if (mode.kind === "host" || mode.kind === "container") return [];
  const sysctls = Object.entries(record.hostConfig.Sysctls ?? {});
  const attached = await room.options.network.attach({
    containerId: record.id,
    endpoints,
    sysctls: Object.fromEntries(sysctls.filter(([name]) => name.startsWith("net."))),
  });
  await publishPorts(room, record);
  crashPoint("start.after-publish");
  return attached;
}

/** The running container behind `container:REF`. Throws conflict in Docker's words. */
export function runningDonor(
  room: Room,
  ref: string,
  what: "network" | "PID" | "IPC",
): { record: ContainerRecord; pid: number } {
  const record = room.table.find(ref);
  if (record.state.kind !== "running") {
    const words =
      what === "network" ? "cannot join network of" : `cannot join ${what} namespace of`;
    throw new NaruError("conflict", `${words} a non running container: ${record.id}`);
  }
  return { record, pid: record.state.handle.pid };
}

export function planNamespaces(
  room: Room,
  record: ContainerRecord,
  mode: NetworkMode,
  endpoint: Endpoint | undefined,
): SpecNamespaces {
  const { hostConfig: host } = record;
  const cgroupns =
    host.CgroupnsMode === "" ? room.options.defaults.cgroupnsMode : host.CgroupnsMode;
  return {
    pid: sharedNamespace(room, host.PidMode, "PID", "pid"),
    ipc: sharedNamespace(room, host.IpcMode, "IPC", "ipc"),
    network: networkNamespace(room, mode, endpoint),
    uts: host.UTSMode === "host" ? "host" : "own",
    cgroup: cgroupns === "host" ? "host" : "own",
  };
}

function sharedNamespace(
  room: Room,
  mode: string,
  what: "PID" | "IPC",
  file: string,
): SpecNamespace {
  if (mode === "host") return "host";
  if (!mode.startsWith("container:")) return "own";
  const donor = runningDonor(room, mode.slice("container:".length), what);
  if (what === "IPC") requireShareable(room, donor.record);
  return { path: `/proc/${donor.pid}/ns/${file}` };
}

function requireShareable(room: Room, donor: ContainerRecord): void {
  if (isShareable(room, donor)) return;
  throw new NaruError(
    "conflict",
    `can't join IPC of container ${donor.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
  );
}

function isShareable(room: Room, record: ContainerRecord): boolean {
  const { IpcMode: mode } = record.hostConfig;
  return (mode === "" ? room.options.defaults.ipcMode : mode) === "shareable";
}

function networkNamespace(
  room: Room,
  mode: NetworkMode,
  endpoint: Endpoint | undefined,
): SpecNamespace {
  if (mode.kind === "host") return "host";
  if (mode.kind === "container") {
    return { path: `/proc/${runningDonor(room, mode.container, "network").pid}/ns/net` };
  }
  if (endpoint === undefined)
    throw new NaruError("internal", "no endpoint for a network of its own");
  return { path: endpoint.netnsPath };
}

const DEFAULT_SHM_BYTES = 64 * 1024 * 1024; // Docker's

/** A shareable /dev/shm is a tmpfs of the host, so that another container can bind it too. */
export async function planShm(room: Room, record: ContainerRecord): Promise<SpecShm> {
  const { hostConfig: host } = record;
  const mode = host.IpcMode;
  if (mode === "none") return { kind: "none" };
  if (mode === "host") return { kind: "bind", source: "/dev/shm" };
  if (mode.startsWith("container:")) {
    const donor = runningDonor(room, mode.slice("container:".length), "IPC");
    return { kind: "bind", source: join(bundleDir(room, donor.record.id), "shm") };
  }
  const sizeBytes =
    host.ShmSize > 0 ? host.ShmSize : room.options.defaults.shmSizeBytes || DEFAULT_SHM_BYTES;
  if (!isShareable(room, record)) return { kind: "tmpfs", sizeBytes };
  const target = join(bundleDir(room, record.id), "shm");
  await mkdir(target, { recursive: true });
  mount({
    source: "shm",
    target,
    type: "tmpfs",
    flags: MS_NOSUID | MS_NOEXEC | MS_NODEV,
    options: `mode=1777,size=${sizeBytes}`,
  });
  return { kind: "bind", source: target };
}

/** hosts, hostname and resolv.conf of this container, as mounts; a user's own mount goes before. */
export async function etcMounts(
  room: Room,
  record: ContainerRecord,
  network: {
    readonly mode: NetworkMode;
    readonly endpoints: readonly Endpoint[];
    /** Of linked containers, as ExtraHosts are. */
    readonly linkHosts: readonly string[];
  },
): Promise<SpecMount[]> {
  const { mode, endpoints, linkHosts } = network;
  const dir = bundleDir(room, record.id);
  const paths = {
    hosts: join(dir, "hosts"),
    hostname: join(dir, "hostname"),
    resolvConf: join(dir, "resolv.conf"),
  };
  if (mode.kind === "container") {
    const donorDir = bundleDir(room, runningDonor(room, mode.container, "network").record.id);
    paths.hosts = join(donorDir, "hosts");
    paths.hostname = join(donorDir, "hostname");
    paths.resolvConf = join(donorDir, "resolv.conf");
  } else {
    const files = await etcFilesOf(room, record, mode, endpoints, linkHosts);
    await Promise.all([
      writeFile(paths.hosts, files.hosts),
      writeFile(paths.hostname, files.hostname),
      writeFile(paths.resolvConf, files.resolvConf),
    ]);
  }
  const taken = new Set(record.mounts.map((one) => one.destination));
  return [
    etcMount("/etc/resolv.conf", paths.resolvConf),
    etcMount("/etc/hostname", paths.hostname),
    etcMount("/etc/hosts", paths.hosts),
  ].filter((one) => !taken.has(one.destination));
}

/** What is in them now. */
export function etcFilesOf(
  room: Room,
  record: ContainerRecord,
  mode: NetworkMode,
  endpoints: readonly Endpoint[],
  linkHosts: readonly string[],
): Promise<EtcFiles> {
  const { hostConfig: host, config } = record;
  const { defaults } = room.options;
  return room.options.network.etcFiles({
    mode,
    endpoints,
    hostname: config.Hostname,
    domainname: config.Domainname,
    extraHosts: [...linkHosts, ...(host.ExtraHosts ?? [])],
    dns: orDefault(host.Dns, defaults.dns),
    dnsSearch: orDefault(host.DnsSearch, defaults.dnsSearch),
    dnsOptions: orDefault(host.DnsOptions, defaults.dnsOptions),
  });
}

function etcMount(destination: string, source: string): SpecMount {
  return { kind: "bind", source, destination, recursive: true, readOnly: "no", propagation: "" };
}

function orDefault(
  asked: readonly string[] | null,
  fallback: readonly string[],
): readonly string[] {
  return asked === null || asked.length === 0 ? fallback : asked;
}

/** Makes what the mounts need on the host (volumes, missing bind sources) and says where they are. */
export async function realiseMounts(
  room: Room,
  record: ContainerRecord,
  rootfs: string,
): Promise<SpecMount[]> {
  const mounts: SpecMount[] = [];
  for (const [index, one] of inMountOrder(record.mounts).entries()) {
    mounts.push(await realiseMount(room, one, { rootfs, id: record.id, name: String(index) }));
  }
  return mounts;
}

async function realiseMount(
  room: Room,
  one: RecordedMount,
  place: { readonly rootfs: string; readonly id: string; readonly name: string },
): Promise<SpecMount> {
  const { rootfs } = place;
  switch (one.type) {
    case "tmpfs": {
      const options =
        one.readOnly && !one.options.includes("ro") ? [...one.options, "ro"] : one.options;
      return { kind: "tmpfs", destination: one.destination, options };
    }
    case "volume": {
      const source = await acquireVolume(room, place.id, one);
      // The runtime would make a bind of a read-only mount writable.
      const readOnly = one.readOnly || statfs(source).readOnly;
      if (one.copyUp && !readOnly) await fillVolume(room, one, rootfs);
      const path = subpathOf(room, one, { ...place, root: source });
      return bindOf(room, { ...one, readOnly }, path);
    }
    case "image": {
      const chainId = one.image?.chainId ?? null;
      const source = await stageImage(room, place.id, { chainId, name: `${place.name}-image` });
      return bindOf(room, one, subpathOf(room, one, { ...place, root: source }));
    }
    case "bind": {
      await ensureBindSource(one);
      const propagation = usablePropagation(one.propagation, one.source, dataRootOf(room));
      return bindOf(room, { ...one, propagation }, await bindSource(room, one, place));
    }
  }
}

/** The source itself, or a mount of it that is made for this start. */
async function bindSource(
  room: Room,
  one: RecordedMount,
  { rootfs, id, name }: { readonly rootfs: string; readonly id: string; readonly name: string },
): Promise<string> {
  const { source, matchUser, nonRecursive } = one;
  if (matchUser !== undefined) {
    const asked = matchUser === "" ? room.table.must(id).config.User : matchUser;
    const user = resolveUser(asked, [], {
      passwd: readInRoot(rootfs, "/etc/passwd"),
      group: readInRoot(rootfs, "/etc/group"),
    });
    return stageIdMapped(room, id, { source, name, user, recursive: !nonRecursive });
  }
  return nonRecursive ? stageAlone(room, id, { source, name }) : source;
}

function subpathOf(
  room: Room,
  one: RecordedMount,
  place: { readonly id: string; readonly name: string; readonly root: string },
): string {
  const subpath = one.subpath ?? "";
  if (subpath === "") return place.root;
  return stageSubpath(room, place.id, { ...place, subpath });
}

/** mount_setattr(2), by which the runtimes make what is mounted beneath read-only: Linux 5.12. */
function canRecurse(room: Room): boolean {
  const [major = 0, minor = 0] = room.options.host.kernelRelease.split(".").map(Number.parseFloat);
  return major > 5 || (major === 5 && minor >= 12);
}

function isDirectory(path: string): boolean {
  return statSync(path).isDirectory();
}

function bindOf(room: Room, one: RecordedMount, source: string): SpecMount {
  const recursive = one.readOnlyRecursion !== "none" && !one.nonRecursive && canRecurse(room);
  if (one.readOnlyRecursion === "forced" && !recursive) {
    throw new NaruError(
      "unsupported",
      `BindOptions.ReadOnlyForceRecursive: this kernel (${room.options.host.kernelRelease}) cannot make a mount recursively read-only, or the mount is not recursive`,
      { field: "BindOptions" },
    );
  }
  return {
    kind: "bind",
    source,
    destination: one.destination,
    recursive: !one.nonRecursive,
    // Nothing is mounted beneath a file, and crun 1.8.1 opens what it makes so as a directory.
    readOnly: one.readOnly ? (recursive && isDirectory(source) ? "recursive" : "top") : "no",
    propagation: one.propagation,
  };
}

async function fillVolume(room: Room, one: RecordedMount, rootfs: string): Promise<void> {
  await withDirectoryInRoot(rootfs, one.destination, async (source) => {
    if (source !== undefined) await room.options.volumes.copyUp(one.volumeName, source);
  });
}

/** `-v` makes a missing directory; `--mount` refuses it, unless it was told to make it. */
export async function ensureBindSource(one: RecordedMount): Promise<void> {
  try {
    await stat(one.source);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    if (one.origin === "mounts" && !one.options.includes("create")) {
      throw new NaruError(
        "invalid_argument",
        `invalid mount config for type "bind": bind source path does not exist: ${one.source}`,
        { source: one.source },
      );
    }
    await mkdir(dirname(one.source), { recursive: true });
    await mkdir(one.source, { recursive: true });
  }
}
