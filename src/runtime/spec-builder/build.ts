import { assert, NaruError } from "../../base/mod.ts";
import { UNLIMITED } from "../../linux/mod.ts";
import type { RuntimeNamespace, RuntimeProcess, RuntimeSpec } from "../../spec/mod.ts";
import { allCapabilities, containerCapabilities } from "../capabilities.ts";
import { resolveSeccomp } from "../seccomp/profile.ts";
import type {
  ContainerSpecInput,
  HostFacts,
  SpecCgroup,
  SpecNamespace,
  SpecUlimit,
  SpecUser,
} from "./input.ts";
import { buildMounts, INIT_DESTINATION, rootfsPropagation } from "./mounts.ts";
import { buildDeviceRules, buildResources } from "./resources.ts";

export const DEFAULT_PATH: string = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a container may not see of /proc and /sys. @see moby oci/defaults.go */
export const DEFAULT_MASKED_PATHS: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

export const DEFAULT_READONLY_PATHS: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

export interface BuiltSpec {
  readonly spec: RuntimeSpec;
  /** For the create answer's Warnings. */
  readonly warnings: readonly string[];
}

/** config.json of one container. Pure. Throws invalid_argument naming what cannot be had. */
export function buildRuntimeSpec(input: ContainerSpecInput, host: HostFacts): BuiltSpec {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  refuseRuntimeAnnotations(input.annotations);
  const capabilities = input.privileged
    ? allCapabilities(host.capabilities)
    : containerCapabilities({ add: input.capAdd, drop: input.capDrop }, host.capabilities);
  const ownUts = input.namespaces.uts !== "host";
  const propagation = rootfsPropagation(input);
  const { maskedPaths, readonlyPaths } = hiddenPaths(input, host);
  const sysctl = buildSysctls(input);
  const spec: RuntimeSpec = {
    ociVersion: "1.0.2",
    process: buildProcess(input, capabilities, host, warn),
    root: { path: input.rootfsPath, readonly: input.readonlyRootfs },
    ...(ownUts && input.hostname !== "" ? { hostname: input.hostname } : {}),
    mounts: buildMounts(input),
    ...(Object.keys(input.hooks ?? {}).length === 0 ? {} : { hooks: { ...input.hooks } }),
    annotations: { ...input.annotations },
    linux: {
      namespaces: buildNamespaces(input),
      devices: input.devices.map(({ access: _access, ...device }) => device),
      cgroupsPath: cgroupPath(input.cgroup, input.id),
      resources: {
        ...buildResources(input.resources, host, warn),
        devices: buildDeviceRules(
          { privileged: input.privileged, rules: input.deviceCgroupRules },
          input.devices,
        ),
      },
      ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
      ...(input.seccomp === undefined || input.privileged
        ? {}
        : { seccomp: resolveSeccomp(input.seccomp, { ...host, capabilities }) }),
      ...(Object.keys(sysctl).length === 0 ? {} : { sysctl }),
      maskedPaths,
      readonlyPaths,
    },
  };
  return { spec, warnings };
}

/** What an exec changes of its container's process. */
export interface ExecProcessInput {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string | undefined;
  readonly user: SpecUser | undefined;
  readonly terminal: boolean;
  readonly consoleSize: { readonly rows: number; readonly columns: number } | undefined;
  readonly privileged: boolean;
}

/** The process of an exec: the container's own, with other words. */
export function buildExecProcess(
  container: RuntimeProcess,
  input: ExecProcessInput,
  host: HostFacts,
): RuntimeProcess {
  assert(input.args.length > 0, "an exec without a command");
  const { consoleSize: _, ...base } = container;
  return {
    ...base,
    terminal: input.terminal,
    ...consoleSize(input.terminal, input.consoleSize),
    args: [...input.args],
    env: mergeEnvironment([...container.env, ...(input.terminal ? ["TERM=xterm"] : [])], input.env),
    cwd: input.cwd ?? container.cwd,
    user: input.user === undefined ? container.user : runtimeUser(input.user),
    ...(input.privileged
      ? { capabilities: capabilitySets(allCapabilities(host.capabilities)) }
      : {}),
  };
}

function buildProcess(
  input: ContainerSpecInput,
  capabilities: readonly string[],
  host: HostFacts,
  warn: (message: string) => void,
): RuntimeProcess {
  assert(input.args.length > 0, "a container without a command");
  const rlimits = buildUlimits(input.ulimits, host, warn);
  return {
    terminal: input.terminal,
    ...consoleSize(input.terminal, input.consoleSize),
    user: runtimeUser(input.user),
    args: input.initPath === undefined ? [...input.args] : [INIT_DESTINATION, "--", ...input.args],
    env: mergeEnvironment(
      [
        `PATH=${DEFAULT_PATH}`,
        `HOSTNAME=${input.hostname}`,
        ...(input.terminal ? ["TERM=xterm"] : []),
      ],
      input.env,
    ),
    cwd: input.cwd === "" ? "/" : input.cwd,
    capabilities: capabilitySets(capabilities),
    ...(rlimits.length === 0 ? {} : { rlimits }),
    noNewPrivileges: input.noNewPrivileges,
    ...(input.apparmorProfile === undefined ? {} : { apparmorProfile: input.apparmorProfile }),
    oomScoreAdj: input.oomScoreAdj,
  };
}

/** Later ones win and keep the place of the first; a name without `=` takes the variable away. */
export function mergeEnvironment(base: readonly string[], wanted: readonly string[]): string[] {
  const merged = new Map(base.map((entry) => [variableName(entry), entry]));
  for (const entry of wanted) {
    if (entry.includes("=")) merged.set(variableName(entry), entry);
    else merged.delete(entry);
  }
  return [...merged.values()];
}

function variableName(entry: string): string {
  const end = entry.indexOf("=", 1);
  return end === -1 ? entry : entry.slice(0, end);
}

/** Ambient stays empty, as with Docker since 20.10: a user that is not root gets none by exec. */
function capabilitySets(names: readonly string[]): NonNullable<RuntimeProcess["capabilities"]> {
  return {
    bounding: [...names],
    effective: [...names],
    permitted: [...names],
    inheritable: [],
    ambient: [],
  };
}

function runtimeUser(user: SpecUser): RuntimeProcess["user"] {
  return { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] };
}

function consoleSize(
  terminal: boolean,
  size: { readonly rows: number; readonly columns: number } | undefined,
): Pick<RuntimeProcess, "consoleSize"> {
  if (!terminal || size === undefined || size.rows === 0 || size.columns === 0) return {};
  return { consoleSize: { height: size.rows, width: size.columns } };
}

function buildNamespaces(input: ContainerSpecInput): RuntimeNamespace[] {
  const kinds = ["pid", "network", "ipc", "uts", "cgroup"] as const;
  const result: RuntimeNamespace[] = [{ type: "mount" }];
  for (const type of kinds) {
    const wanted: SpecNamespace = input.namespaces[type];
    if (wanted === "host") continue;
    result.push(wanted === "own" ? { type } : { type, path: wanted.path });
  }
  return result;
}

/** cgroupfs: `/PARENT/ID`; systemd: `SLICE:naru:ID`, which becomes the scope `naru-ID.scope`. */
export function cgroupPath(cgroup: SpecCgroup, id: string): string {
  if (cgroup.driver === "cgroupfs") {
    const parts = cgroup.parent.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) {
      throw new NaruError("invalid_argument", `invalid cgroup-parent: ${cgroup.parent}`);
    }
    return `/${[...parts, id].join("/")}`;
  }
  if (!/^[A-Za-z0-9:_.@-]+\.slice$/.test(cgroup.parent)) {
    throw new NaruError(
      "invalid_argument",
      `cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`,
    );
  }
  return `${cgroup.parent}:naru:${id}`;
}

function hiddenPaths(
  input: ContainerSpecInput,
  host: HostFacts,
): { maskedPaths: string[]; readonlyPaths: string[] } {
  const masked = input.privileged ? [] : [...DEFAULT_MASKED_PATHS, ...host.thermalThrottlePaths];
  const readonly = input.privileged ? [] : DEFAULT_READONLY_PATHS;
  return {
    maskedPaths: [...(input.maskedPaths ?? masked)],
    readonlyPaths: [...(input.readonlyPaths ?? readonly)],
  };
}

/** Docker lets every user ping and bind low ports in a container's own network. */
function buildSysctls(input: ContainerSpecInput): Record<string, string> {
  const hostNetwork = input.namespaces.network === "host";
  for (const name of Object.keys(input.sysctls)) {
    // It becomes a path below /proc/sys; a slash stands for a dot in the name of a link.
    if (!/^[\w@:-]+([./][\w@:-]+)+$/.test(name)) {
      throw new NaruError("invalid_argument", `invalid sysctl name "${name}"`);
    }
    if (hostNetwork && name.startsWith("net.")) {
      throw new NaruError(
        "invalid_argument",
        `sysctl "${name}" not allowed in host network namespace`,
      );
    }
    const ipc = name.startsWith("fs.mqueue.") || /^kernel\.(msg|sem$|shm)/.test(name);
    if (ipc && input.namespaces.ipc === "host") {
      throw new NaruError("invalid_argument", `sysctl "${name}" not allowed in host ipc namespace`);
    }
    const uts = name === "kernel.domainname" || name === "kernel.hostname";
    if (uts && input.namespaces.uts === "host") {
      throw new NaruError("invalid_argument", `sysctl "${name}" not allowed in host uts namespace`);
    }
    if (!name.startsWith("net.") && !ipc && !uts) {
      throw new NaruError(
        "invalid_argument",
        `sysctl "${name}" is not in a separate kernel namespace`,
      );
    }
  }
  // As a sysctl and not as the specification's `domainname`, which runc 1.1 does not know.
  const named = input.namespaces.uts !== "host" && input.domainname !== "";
  return {
    ...(named ? { "kernel.domainname": input.domainname } : {}),
    ...(hostNetwork
      ? {}
      : {
          "net.ipv4.ip_unprivileged_port_start": "0",
          "net.ipv4.ping_group_range": "0 2147483647",
        }),
    ...input.sysctls,
  };
}

function refuseRuntimeAnnotations(annotations: Readonly<Record<string, string>>): void {
  const name = Object.keys(annotations).find((key) => key.startsWith("run.oci."));
  if (name !== undefined) {
    throw new NaruError(
      "invalid_argument",
      `annotation "${name}" is not allowed: run.oci.* steers the runtime past the engine`,
    );
  }
}

function buildUlimits(
  ulimits: readonly SpecUlimit[],
  host: HostFacts,
  warn: (message: string) => void,
): { type: string; soft: number; hard: number }[] {
  const byName = new Map(ulimits.filter((limit) => limit.isDefault).map((one) => [one.name, one]));
  for (const limit of ulimits) if (!limit.isDefault) byName.set(limit.name, limit);
  return [...byName.values()].map((limit) => {
    const own = host.hardLimits.get(limit.name);
    if (own === undefined) {
      throw new NaruError("invalid_argument", `invalid ulimit type: ${limit.name}`);
    }
    const type = `RLIMIT_${limit.name.toUpperCase()}`;
    const wanted = limit.hard === -1 ? UNLIMITED : BigInt(limit.hard);
    if (wanted <= own || host.mayRaiseLimits) return { type, soft: limit.soft, hard: limit.hard };
    if (!limit.isDefault) {
      throw new NaruError(
        "invalid_argument",
        `ulimit ${limit.name}=${limit.soft}:${limit.hard} is above the engine's own hard limit ${own}, and this host withholds CAP_SYS_RESOURCE`,
      );
    }
    warn(`ulimit ${limit.name} lowered to the engine's own hard limit ${own}`);
    const hard = Number(own);
    return { type, soft: limit.soft === -1 ? hard : Math.min(limit.soft, hard), hard };
  });
}
