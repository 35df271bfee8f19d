/**
 * A create request that must be refused. The message holds the field's name, in whatever case, or
 * `says` where Docker's own words call it otherwise or quote what was wrong.
 */
export interface BadBody {
  readonly field: string;
  readonly body: unknown;
  readonly says: string;
}

function host(field: string, value: unknown, says: string = field): BadBody {
  return { field, says, body: { Image: "busybox", HostConfig: { [field]: value } } };
}
function config(field: string, value: unknown, says: string = field): BadBody {
  return { field, says, body: { Image: "busybox", [field]: value } };
}

/** What is not a JSON object at all. */
export const NOT_JSON: readonly (readonly [text: string, says: string])[] = [
  ["", "EOF"],
  ["{", "JSON"],
  ['{"Image":', "JSON"],
  ['{"Image":"busybox"} {}', "JSON"],
  ['{"Image":"busybox",}', "JSON"],
  ["{'Image':'busybox'}", "JSON"],
  ["[]", "object"],
  ['"busybox"', "object"],
  ["5", "object"],
  ["NaN", "JSON"],
  ['{"Image":"\u0000"}', "JSON"],
  [`{"Image":${"[".repeat(100_000)}`, "nested deeper"],
  [`${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`, "nested deeper"],
];

/** Fields of the container. */
export const BAD_CONFIG: readonly BadBody[] = [
  { field: "Image", body: {}, says: "Config cannot be empty" },
  config("Image", 5),
  config("Image", "UPPER CASE", "invalid reference format"),
  config("Image", "a".repeat(300), "repository name"),
  config("Env", "A=b"),
  config("Env", [1]),
  config("Env", ["=value"], "environment variable"),
  config("Env", ["A\u0000=b"], "environment variable"),
  config("Cmd", { a: 1 }),
  config("Cmd", [null, 7]),
  config("Cmd", ["a\u0000b"], "command"),
  config("Entrypoint", 5),
  config("Labels", ["a=b"]),
  config("Labels", { a: 5 }),
  config("Tty", "yes"),
  config("OpenStdin", 1),
  config("StopTimeout", "10"),
  config("StopTimeout", 1.5),
  config("StopSignal", "SIGNOPE", "Invalid signal"),
  config("StopSignal", "99", "Invalid signal"),
  config("ExposedPorts", { "99999/tcp": {} }),
  config("ExposedPorts", { "80/carrier-pigeon": {} }),
  config("ExposedPorts", { "x/tcp": {} }),
  config("Volumes", { "../up": {} }, "invalid volume specification"),
  config("Volumes", { relative: {} }, "invalid volume specification"),
  config("Volumes", { "/": {} }, "invalid volume specification"),
  config("WorkingDir", "relative", "working directory"),
  config("Hostname", "a b"),
  config("Hostname", "h".repeat(100)),
  config("Hostname", "../etc"),
  config("Domainname", "a\nb"),
  config("User", "a\u0000b"),
  config("MacAddress", "not a mac", "MacAddress"),
  config("Healthcheck", { Test: ["NOPE"] }, "health check"),
  config("Healthcheck", { Test: ["CMD", "x"], Interval: -1 }),
  config("Healthcheck", { Test: ["CMD", "x"], Timeout: 5 }),
  config("Healthcheck", { Test: ["CMD", "x"], Retries: -1 }),
];

/** What the contract knows and this engine cannot do: refused by name, and as not implemented. */
export const UNSUPPORTED: readonly BadBody[] = [
  host("DeviceRequests", [{ Driver: "nvidia", Count: -1 }]),
  host("StorageOpt", { size: "1G" }),
  host("CpuPercent", 5),
];

/** Fields of the host's side. */
export const BAD_HOST: readonly BadBody[] = [
  config("HostConfig", []),
  host("Memory", -1, "memory limit"),
  host("Memory", "1g"),
  host("Memory", 4096, "memory limit"),
  host("Memory", 1.5),
  host("Memory", 1e300),
  host("MemorySwap", -5),
  host("MemorySwap", 100_000_000, "Memoryswap"),
  host("MemorySwappiness", 101, "memory swappiness"),
  host("MemoryReservation", -1, "memory reservation"),
  host("NanoCpus", -1, "CPUs"),
  host("NanoCpus", 1e15, "CPUs"),
  host("CpuShares", -1, "CPU shares"),
  host("CpuPeriod", -1, "CPU cfs period"),
  host("CpuPeriod", 5, "CPU cfs period"),
  host("CpuQuota", 5, "CPU cfs quota"),
  host("CpusetCpus", "zero", "cpuset"),
  host("CpusetCpus", "0-9999", "CPUs are not available"),
  host("CpusetMems", "77", "memory nodes"),
  host("BlkioWeight", 5, "blkio weight"),
  host("BlkioWeight", 5000, "blkio weight"),
  host("BlkioDeviceReadBps", [{ Path: "/dev/nothing", Rate: 1 }], "/dev/nothing"),
  host("BlkioDeviceWriteIOps", [{ Path: "/dev/null", Rate: -1 }]),
  host("OomScoreAdj", 5000, "oom score"),
  host("ShmSize", -1, "SHM"),
  host("PidsLimit", "ten"),
  host("Ulimits", [{ Name: "nope", Soft: 1, Hard: 1 }], "ulimit"),
  host("Ulimits", [{ Name: "nofile", Soft: 9, Hard: 1 }], "ulimit"),
  host("Sysctls", { "kernel.panic": "1" }, "sysctl"),
  host("Sysctls", { "net.ipv4.../../../etc": "1" }, "sysctl"),
  host("CapAdd", ["FLY"]),
  host("CapDrop", ["FLY"]),
  host(
    "Devices",
    [{ PathOnHost: "relative", PathInContainer: "/dev/x", CgroupPermissions: "r" }],
    "device",
  ),
  host(
    "Devices",
    [{ PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "q" }],
    "device mode",
  ),
  host("DeviceCgroupRules", ["nonsense"], "device cgroup rule"),
  host("SecurityOpt", ["nonsense"], "security-opt"),
  host("SecurityOpt", ["seccomp={"], "seccomp"),
  host("SecurityOpt", ['seccomp={"defaultAction":"SCMP_ACT_DANCE"}'], "seccomp"),
  host("NetworkMode", "container:", "network mode"),
  host("NetworkMode", "no/such", "network mode"),
  host("IpcMode", "nope", "IPC mode"),
  host("PidMode", "nope", "PID mode"),
  host("PidMode", "container:missing", "No such container: missing"),
  host("UTSMode", "nope", "UTS mode"),
  host("CgroupnsMode", "nope", "cgroup namespace mode"),
  host("UsernsMode", "nope"),
  host("RestartPolicy", { Name: "sometimes" }, "restart policy"),
  host("RestartPolicy", { Name: "on-failure", MaximumRetryCount: -1 }, "restart policy"),
  host("LogConfig", { Type: "json-file", Config: { "max-size": "huge" } }, "max-size"),
  host("LogConfig", { Type: "splunk" }, "no log driver named 'splunk' is registered"),
  host("LogConfig", { Type: "json-file", Config: { colour: "red" } }, "json-file"),
  host("Binds", ["/a:b"], "invalid volume specification"),
  host("Binds", ["/a:/b:sideways"], "invalid mode: sideways"),
  host("Binds", ["rel/ative:/b"], "rel/ative"),
  host("Binds", ["/a:/"], "invalid volume specification"),
  host("Binds", ["/a:/b", "/c:/b"], "Duplicate mount point: /b"),
  host("Mounts", [{ Type: "nope", Target: "/x" }], "mount type"),
  host("Mounts", [{ Type: "bind", Source: "/nope/nope", Target: "/x" }], "mount"),
  host("Mounts", [{ Type: "bind", Source: "relative", Target: "/x" }], "mount"),
  host("Mounts", [{ Type: "tmpfs", Target: "relative" }], "mount"),
  host("Mounts", [{ Type: "volume", Source: "../up", Target: "/x" }], "../up"),
  host("Tmpfs", { relative: "" }, "relative"),
  host("Tmpfs", { "/x": "nope=1" }, "tmpfs"),
  host("PortBindings", { "port/tcp": [] }),
  host("ExtraHosts", ["nocolon"], "add-host"),
  host("ExtraHosts", ["name:not-an-address"], "add-host"),
  host("ExtraHosts", ["na me\n1.2.3.4 evil:1.2.3.4"], "add-host"),
  host("Dns", ["not-an-address"], "not-an-address"),
  host("DnsSearch", ["a\nnameserver 6.6.6.6"], "DNS"),
  host("DnsOptions", ["a\nnameserver 6.6.6.6"], "DNS"),
  host("VolumesFrom", ["missing"], "No such container: missing"),
  host("VolumesFrom", [":ro"], "volumes-from"),
  host("Runtime", "nope", "runtime"),
  host("Isolation", "hyperv"),
  host("ConsoleSize", [-1, 2]),
  host("Annotations", { "run.oci.seccomp_bpf_data": "AAAA" }, "annotation"),
  host("CgroupParent", "../../up", "cgroup-parent"),
  host("CgroupParent", "/a/../../up", "cgroup-parent"),
  host("MaskedPaths", ["relative"]),
  host("ReadonlyPaths", ["../up"]),
  host("GroupAdd", ["a\u0000b"]),
];
