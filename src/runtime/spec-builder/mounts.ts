import { NaruError } from "../../base/mod.ts";
import type { RuntimeMount } from "../../spec/mod.ts";
import type { ContainerSpecInput, SpecMount } from "./input.ts";

/** Where `--init` puts its program; programs and people look for Docker's name. */
export const INIT_DESTINATION: string = "/sbin/docker-init";

const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/** Mounts whose read-only root leaves them alone. */
const WRITABLE_UNDER_READONLY_ROOT = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/** Docker's own mounts, then the user's from the outermost to the innermost. */
export function buildMounts(input: ContainerSpecInput): RuntimeMount[] {
  const users = input.mounts.map(userMount);
  const taken = new Set(users.map((mount) => mount.destination));
  const defaults = defaultMounts(input)
    .filter((mount) => !taken.has(mount.destination))
    .filter((mount) => !(taken.has("/dev") && mount.destination.startsWith("/dev/")))
    .map((mount) => adjusted(mount, input));
  const init: RuntimeMount[] =
    input.initPath === undefined
      ? []
      : [
          {
            destination: INIT_DESTINATION,
            type: "bind",
            source: input.initPath,
            options: ["bind", "ro"],
          },
        ];
  return [...defaults, ...users.sort(byDepth), ...init];
}

/** The root's own propagation must let through what the binds ask for. @see mount_namespaces(7) */
export function rootfsPropagation(input: ContainerSpecInput): string | undefined {
  const asked = input.mounts.map((mount) => (mount.kind === "bind" ? mount.propagation : ""));
  if (asked.some((name) => name.endsWith("shared"))) return "shared";
  if (asked.some((name) => name.endsWith("slave"))) return "rslave";
  return undefined;
}

function defaultMounts(input: ContainerSpecInput): RuntimeMount[] {
  const strict = ["nosuid", "noexec", "nodev"];
  const mounts: RuntimeMount[] = [
    { destination: "/proc", type: "proc", source: "proc", options: strict },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...strict, "ro"] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["ro", ...strict],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: strict },
  ];
  const { shm } = input;
  if (shm.kind === "tmpfs") {
    mounts.push({
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...strict, "mode=1777", `size=${shm.sizeBytes}`],
    });
  } else if (shm.kind === "bind") {
    mounts.push({
      destination: "/dev/shm",
      type: "bind",
      source: shm.source,
      options: ["rbind", "rprivate"],
    });
  }
  return mounts;
}

/** Privileged containers may write to /sys and the cgroups, unless their root is read-only. */
function adjusted(mount: RuntimeMount, input: ContainerSpecInput): RuntimeMount {
  const options = mount.options ?? [];
  if (input.readonlyRootfs) {
    const keep = WRITABLE_UNDER_READONLY_ROOT.includes(mount.destination);
    return keep || options.includes("ro") ? mount : { ...mount, options: [...options, "ro"] };
  }
  const kernel = mount.type === "sysfs" || mount.type === "cgroup";
  if (!input.privileged || !kernel) return mount;
  return { ...mount, options: options.filter((option) => option !== "ro") };
}

function userMount(mount: SpecMount): RuntimeMount {
  if (mount.kind === "tmpfs") {
    return {
      destination: mount.destination,
      type: "tmpfs",
      source: "tmpfs",
      options: merged(["noexec", "nosuid", "nodev"], mount.options),
    };
  }
  const propagation = mount.propagation === "" ? "rprivate" : mount.propagation;
  if (!PROPAGATIONS.includes(propagation)) {
    throw new NaruError("invalid_argument", `invalid propagation mode: ${mount.propagation}`);
  }
  const access = { no: "rw", top: "ro", recursive: "rro" }[mount.readOnly];
  return {
    destination: mount.destination,
    type: "bind",
    source: mount.source,
    options: [mount.recursive ? "rbind" : "bind", propagation, access, ...(mount.more ?? [])],
  };
}

const OPPOSITES: Readonly<Record<string, string>> = {
  exec: "noexec",
  suid: "nosuid",
  dev: "nodev",
  rw: "ro",
};

/** `exec` of the user takes the default `noexec` away, and so on. */
function merged(defaults: readonly string[], wanted: readonly string[]): string[] {
  const gone = new Set(wanted.map((option) => OPPOSITES[option]));
  return [...defaults.filter((option) => !gone.has(option) && !wanted.includes(option)), ...wanted];
}

function byDepth(left: RuntimeMount, right: RuntimeMount): number {
  return depth(left.destination) - depth(right.destination);
}

function depth(path: string): number {
  return path.split("/").filter((part) => part !== "").length;
}
