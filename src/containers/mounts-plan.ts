import { posix } from "node:path";
import { NaruError } from "../base/mod.ts";
import type { BindOptions, ContainerConfig, HostConfig, Mount } from "../spec/mod.ts";
import { plannedPropagation } from "./bind-propagation.ts";
import type { RecordedMount } from "./record.ts";

/** A mount before its volume is named; `volumeName` is "" for an anonymous volume. */
export type PlannedMount = RecordedMount;

/** What of another container `volumes-from` needs. Throws not_found. */
export type MountsOf = (ref: string) => readonly RecordedMount[];

const MODES = new Set(["ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated"]);
const PROPAGATIONS = new Set(["private", "rprivate", "shared", "rshared", "slave", "rslave"]);

/**
 * All mounts of a container, one for each destination. The order in which one gives way to another
 * is Docker's: volumes-from, Binds, Mounts, Tmpfs, and the volumes of the configuration where
 * nothing else is. Throws invalid_argument naming the entry.
 */
export function planMounts(
  config: ContainerConfig,
  host: HostConfig,
  { mountsOf, dataRoot }: { readonly mountsOf: MountsOf; readonly dataRoot: string },
): PlannedMount[] {
  const planned = new Map<string, PlannedMount>();
  for (const spec of host.VolumesFrom ?? []) {
    for (const mount of parseVolumesFrom(spec, mountsOf)) planned.set(mount.destination, mount);
  }
  const given = new Set<string>();
  const add = (mount: PlannedMount): void => {
    if (given.has(mount.destination)) {
      throw new NaruError("invalid_argument", `Duplicate mount point: ${mount.destination}`);
    }
    given.add(mount.destination);
    planned.set(mount.destination, mount);
  };
  const driver = host.VolumeDriver;
  for (const spec of host.Binds ?? []) add(withDriver(parseBind(spec), driver));
  for (const [index, mount] of (host.Mounts ?? []).entries()) add(parseMount(mount, index));
  for (const [target, options] of Object.entries(host.Tmpfs ?? {}))
    add(parseTmpfs(target, options));
  for (const target of Object.keys(config.Volumes ?? {})) {
    const destination = checkedTarget(target, target, "volume");
    if (!planned.has(destination)) {
      planned.set(destination, withDriver(anonymous(destination), driver));
    }
  }
  return [...planned.values()].map((mount) =>
    mount.type !== "bind" || mount.origin === "volumes-from"
      ? mount
      : { ...mount, propagation: plannedPropagation(mount.propagation, mount.source, dataRoot) },
  );
}

/** Parents before what is mounted inside them. */
export function inMountOrder(mounts: readonly RecordedMount[]): RecordedMount[] {
  const depth = (path: string): number => path.split("/").length;
  return mounts.toSorted((a, b) => depth(a.destination) - depth(b.destination));
}

const BLANK: RecordedMount = {
  type: "volume",
  source: "",
  volumeName: "",
  destination: "",
  mode: "",
  readOnly: false,
  propagation: "",
  copyUp: true,
  options: [],
  nonRecursive: false,
  anonymous: false,
  origin: "binds",
};

/** `VolumeDriver` is of the volumes that say nothing themselves; Mounts have a field for it. */
function withDriver(mount: PlannedMount, driver: string): PlannedMount {
  if (mount.type !== "volume" || driver === "") return mount;
  return { ...mount, volumeDriver: driver };
}

function anonymous(destination: string): PlannedMount {
  return { ...BLANK, destination, anonymous: true, origin: "image" };
}

function invalidSpec(spec: string, why = ""): NaruError {
  const reason = why === "" ? "" : `: ${why}`;
  return new NaruError("invalid_argument", `invalid volume specification: '${spec}'${reason}`);
}

function checkedTarget(target: string, spec: string, type: "bind" | "volume"): string {
  const fail = (why: string): NaruError =>
    invalidSpec(spec, `invalid mount config for type "${type}": ${why}`);
  if (!target.startsWith("/")) {
    throw fail(`invalid mount path: '${target}' mount path must be absolute`);
  }
  const clean = posix.resolve(target);
  if (clean === "/") throw fail("invalid specification: destination can't be '/'");
  return clean;
}

/** `[source:]target[:mode,…]`. */
export function parseBind(spec: string): PlannedMount {
  const parts = spec.split(":");
  if (spec === "" || parts.length > 3 || parts.includes("")) throw invalidSpec(spec);
  if (parts.length === 1) {
    return { ...anonymous(checkedTarget(parts[0] as string, spec, "volume")), origin: "binds" };
  }
  const [source, target, mode = ""] = parts as [string, string, string?];
  const words = mode === "" ? [] : mode.split(",");
  const bad = words.find((word) => !MODES.has(word) && !PROPAGATIONS.has(word));
  if (bad !== undefined) throw new NaruError("invalid_argument", `invalid mode: ${mode}`);
  const isPath = source.startsWith("/");
  const propagations = words.filter((word) => PROPAGATIONS.has(word));
  const conflicting = words.includes("ro") && words.includes("rw");
  if (conflicting || propagations.length > 1 || (propagations.length > 0 && !isPath)) {
    throw new NaruError("invalid_argument", `invalid mode: ${mode}`);
  }
  if (isPath && words.includes("nocopy")) {
    throw new NaruError("invalid_argument", `invalid mode: ${mode}`);
  }
  return {
    ...BLANK,
    type: isPath ? "bind" : "volume",
    source: isPath ? posix.resolve(source) : "",
    volumeName: isPath ? "" : source,
    destination: checkedTarget(target, spec, isPath ? "bind" : "volume"),
    mode: mode === "" && !isPath ? "z" : mode, // what Docker shows for a named volume
    readOnly: words.includes("ro"),
    propagation: isPath ? (propagations[0] ?? "") : "",
    copyUp: !isPath && !words.includes("nocopy"),
  };
}

function parseVolumesFrom(spec: string, mountsOf: MountsOf): PlannedMount[] {
  const colon = spec.indexOf(":");
  const ref = colon === -1 ? spec : spec.slice(0, colon);
  const mode = colon === -1 ? "" : spec.slice(colon + 1);
  if (ref === "") {
    throw new NaruError("invalid_argument", `malformed volumes-from specification: ${spec}`);
  }
  if (mode !== "" && !["ro", "rw", "z", "Z"].includes(mode)) {
    throw new NaruError("invalid_argument", `invalid mode: ${mode}`);
  }
  return mountsOf(ref)
    .filter((mount) => mount.type !== "tmpfs")
    .map((mount) => ({
      ...mount,
      readOnly: mode === "ro" || mount.readOnly,
      mode,
      origin: "volumes-from" as const,
    }));
}

function parseMount(mount: Mount, index: number): PlannedMount {
  const fail = (why: string): NaruError =>
    new NaruError("invalid_argument", `invalid mount config for type "${mount.Type}": ${why}`);
  if (mount.Target === "") throw fail("field Target must not be empty");
  if (!mount.Target.startsWith("/")) {
    throw fail(`invalid mount path: '${mount.Target}' mount path must be absolute`);
  }
  const destination = posix.resolve(mount.Target);
  if (destination === "/") throw fail("invalid specification: destination can't be '/'");
  if (mount.ImageOptions && mount.Type !== "image") {
    throw fail("field ImageOptions must not be specified");
  }
  const common = {
    ...BLANK,
    destination,
    readOnly: mount.ReadOnly ?? false,
    origin: "mounts" as const,
  };
  switch (mount.Type) {
    case "bind":
      return { ...common, ...bindPart(mount, fail) };
    case "volume":
      return { ...common, ...volumePart(mount, fail) };
    case "tmpfs":
      return { ...common, ...tmpfsPart(mount, fail) };
    case "image":
      return { ...common, ...imagePart(mount, fail) };
    case "cluster":
      throw unsupported(`HostConfig.Mounts[${index}].Type`, mount.Type);
    default:
      throw fail("mount type unknown");
  }
}

function unsupported(field: string, value: string): NaruError {
  return new NaruError("unsupported", `${field}: ${value} is not supported`, { field });
}

function bindPart(mount: Mount, fail: (why: string) => NaruError): Partial<PlannedMount> {
  const { Source: source = "", BindOptions: options } = mount;
  if (source === "") throw fail("field Source must not be empty");
  if (!source.startsWith("/")) {
    throw fail(`invalid mount path: '${source}' mount path must be absolute`);
  }
  if (mount.VolumeOptions) throw fail("field VolumeOptions must not be specified");
  if (mount.TmpfsOptions) throw fail("field TmpfsOptions must not be specified");
  const propagation = options?.Propagation ?? "";
  if (propagation !== "" && !PROPAGATIONS.has(propagation)) {
    throw fail(`invalid propagation mode: ${propagation}`);
  }
  if (options?.ReadOnlyForceRecursive === true && mount.ReadOnly !== true) {
    throw fail("mount source must be read-only to be recursively read-only");
  }
  if (options?.ReadOnlyNonRecursive === true && mount.ReadOnly !== true) {
    throw fail("mount source must be read-only to be non-recursively read-only");
  }
  if (options?.ReadOnlyForceRecursive === true && options.ReadOnlyNonRecursive === true) {
    throw fail("ReadOnlyForceRecursive and ReadOnlyNonRecursive are mutually exclusive");
  }
  const recursion = readOnlyRecursion(options ?? {});
  return {
    ...idMappingPart(options ?? {}, fail),
    ...(recursion === undefined ? {} : { readOnlyRecursion: recursion }),
    type: "bind",
    source: posix.resolve(source),
    propagation,
    copyUp: false,
    nonRecursive: options?.NonRecursive ?? false,
    // CreateMountpoint: a missing source is made, as for Binds.
    options: options?.CreateMountpoint === true ? ["create"] : [],
  };
}

/** By intent, as the contract's `match-user`; the mapping of a user namespace needs one. */
function idMappingPart(
  { IDMapping: mapping }: BindOptions,
  fail: (why: string) => NaruError,
): Partial<PlannedMount> {
  if (!mapping) return {};
  const { Source: source = "", User: user = "" } = mapping;
  if (source === "userns") {
    throw unsupported("BindOptions.IDMapping.Source", "userns (without a user namespace)");
  }
  if (source !== "match-user") throw fail(`invalid IDMapping source: ${source.slice(0, 60)}`);
  return { matchUser: user };
}

function readOnlyRecursion(options: BindOptions): "none" | "forced" | undefined {
  if (options.ReadOnlyNonRecursive === true) return "none";
  return options.ReadOnlyForceRecursive === true ? "forced" : undefined;
}

/** An image's files, always read-only: there is nowhere to write to. */
function imagePart(mount: Mount, fail: (why: string) => NaruError): Partial<PlannedMount> {
  const { Source: source = "" } = mount;
  if (source === "") throw fail("field Source must not be empty");
  if (mount.BindOptions) throw fail("field BindOptions must not be specified");
  if (mount.VolumeOptions) throw fail("field VolumeOptions must not be specified");
  if (mount.TmpfsOptions) throw fail("field TmpfsOptions must not be specified");
  return {
    type: "image",
    source,
    readOnly: true,
    copyUp: false,
    subpath: checkSubpath(mount.ImageOptions?.Subpath ?? "", fail),
  };
}

/** Docker's rule; where links lead is the kernel's to check at the start. */
function checkSubpath(subpath: string, fail: (why: string) => NaruError): string {
  if (subpath === "") return "";
  const clean = posix.normalize(subpath);
  if (clean.startsWith("/") || clean === ".." || clean.startsWith("../")) {
    throw fail("subpath must be a relative path within the volume");
  }
  return clean;
}

function volumePart(mount: Mount, fail: (why: string) => NaruError): Partial<PlannedMount> {
  const { Source: source = "", VolumeOptions: options } = mount;
  if (mount.BindOptions) throw fail("field BindOptions must not be specified");
  if (mount.TmpfsOptions) throw fail("field TmpfsOptions must not be specified");
  const { Name: driver = "", Options: driverOptions } = options?.DriverConfig ?? {};
  const subpath = checkSubpath(options?.Subpath ?? "", fail);
  if (source === "" && mount.ReadOnly === true) {
    throw fail("must not set ReadOnly mode when using anonymous volumes");
  }
  if (source === "" && subpath !== "") {
    throw fail("must not set Subpath when using anonymous volumes");
  }
  return {
    ...(subpath === "" ? {} : { subpath }),
    ...(options?.Labels ? { labels: options.Labels } : {}),
    ...(driver === "" ? {} : { volumeDriver: driver }),
    ...(driverOptions ? { volumeOptions: driverOptions } : {}),
    type: "volume",
    volumeName: source,
    anonymous: source === "",
    mode: "z",
    copyUp: options?.NoCopy !== true,
  };
}

function tmpfsPart(mount: Mount, fail: (why: string) => NaruError): Partial<PlannedMount> {
  if ((mount.Source ?? "") !== "") throw fail("field Source must not be specified");
  if (mount.BindOptions) throw fail("field BindOptions must not be specified");
  if (mount.VolumeOptions) throw fail("field VolumeOptions must not be specified");
  const options: string[] = [];
  const { SizeBytes: sizeBytes = 0, Mode: mode = 0, Options: pairs } = mount.TmpfsOptions ?? {};
  if (sizeBytes < 0) throw fail("negative tmpfs size");
  if (sizeBytes > 0) options.push(`size=${sizeBytes}`);
  if (mode > 0) options.push(`mode=${mode.toString(8)}`);
  for (const pair of pairs ?? []) options.push(checkTmpfsOption(pair.join("=")));
  return { type: "tmpfs", copyUp: false, options };
}

const TMPFS_FLAGS = new Set(
  "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime private rprivate shared rshared slave rslave unbindable runbindable".split(
    " ",
  ),
);
const TMPFS_KEYS = new Set(["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]);

function checkTmpfsOption(option: string): string {
  const [key = "", value] = option.split("=", 2);
  if (value === undefined ? TMPFS_FLAGS.has(key) : TMPFS_KEYS.has(key)) return option;
  throw new NaruError("invalid_argument", `invalid tmpfs option ${JSON.stringify([option])}`);
}

function parseTmpfs(target: string, text: string): PlannedMount {
  const fail = (why: string): NaruError => new NaruError("invalid_argument", why, { target });
  if (!target.startsWith("/")) {
    throw fail(`invalid mount path: '${target}' mount path must be absolute`);
  }
  if (posix.resolve(target) === "/") throw fail("invalid specification: destination can't be '/'");
  const options = text === "" ? [] : text.split(",").map(checkTmpfsOption);
  return {
    ...BLANK,
    type: "tmpfs",
    destination: posix.resolve(target),
    mode: text,
    readOnly: options.includes("ro"),
    copyUp: false,
    options,
    origin: "tmpfs",
  };
}
