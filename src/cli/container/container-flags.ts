import { contentTrustFlag } from "../flags/content-trust.ts";
import { bool, type Flag, grouped, int, list, text } from "../flags/flag.ts";

const PROCESS: readonly Flag[] = grouped("Process", [
  list("attach", "a", "Attach to STDIN, STDOUT or STDERR"),
  bool("interactive", "i", "Keep STDIN open even if not attached"),
  bool("tty", "t", "Allocate a pseudo-TTY"),
  list("env", "e", "Set environment variables"),
  list("env-file", "", "Read in a file of environment variables"),
  text("entrypoint", "", "Overwrite the default ENTRYPOINT of the image"),
  text("user", "u", "Username or UID (format: <name|uid>[:<group|gid>])"),
  list("group-add", "", "Add additional groups to join"),
  text("workdir", "w", "Working directory inside the container"),
  bool("init", "", "Run an init inside the container that forwards signals and reaps processes"),
  text("stop-signal", "", "Signal to stop the container"),
  int("stop-timeout", "", "Timeout (in seconds) to stop a container"),
  list("ulimit", "", "Ulimit options", { value: "ulimit" }),
  text("restart", "", "Restart policy to apply when a container exits", { preset: "no" }),
]);

const IDENTITY: readonly Flag[] = grouped("Identity", [
  text("name", "", "Assign a name to the container"),
  text("cidfile", "", "Write the container ID to the file"),
  list("label", "l", "Set meta data on a container"),
  list("label-file", "", "Read in a line delimited file of labels"),
  list("annotation", "", "Add an annotation to the container (passed through to the OCI runtime)"),
  text("hostname", "h", "Container host name"),
  text("domainname", "", "Container NIS domain name"),
  text("platform", "", "Set platform if server is multi-platform capable"),
  text("pull", "", 'Pull image before running ("always", "missing", "never")', {
    preset: "missing",
  }),
  bool("quiet", "q", "Suppress the pull output"),
  contentTrustFlag("Skip image verification"),
  bool("use-api-socket", "", "Bind mount the engine's API socket into the container"),
]);

const FILES: readonly Flag[] = grouped("Files", [
  list("volume", "v", "Bind mount a volume"),
  list("mount", "", "Attach a filesystem mount to the container", { value: "mount" }),
  list("tmpfs", "", "Mount a tmpfs directory"),
  list("volumes-from", "", "Mount volumes from the specified container(s)"),
  text("volume-driver", "", "Optional volume driver for the container"),
  bool("read-only", "", "Mount the container's root filesystem as read only"),
  list("storage-opt", "", "Storage driver options for the container"),
  text("shm-size", "", "Size of /dev/shm", { value: "bytes" }),
]);

const NETWORK: readonly Flag[] = grouped("Network", [
  list("network", "", "Connect a container to a network", { value: "network", aliases: ["net"] }),
  list("network-alias", "", "Add network-scoped alias for the container", {
    aliases: ["net-alias"],
  }),
  list("publish", "p", "Publish a container's port(s) to the host"),
  bool("publish-all", "P", "Publish all exposed ports to random ports"),
  list("expose", "", "Expose a port or a range of ports"),
  text("ip", "", "IPv4 address (e.g., 172.30.100.104)", { value: "ip" }),
  text("ip6", "", "IPv6 address (e.g., 2001:db8::33)", { value: "ip" }),
  list("link-local-ip", "", "Container IPv4/IPv6 link-local addresses"),
  text("mac-address", "", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
  list("link", "", "Add link to another container"),
  list("dns", "", "Set custom DNS servers"),
  list("dns-option", "", "Set DNS options", { aliases: ["dns-opt"] }),
  list("dns-search", "", "Set custom DNS search domains"),
  list("add-host", "", "Add a custom host-to-IP mapping (host:ip)"),
]);

const LIMITS: readonly Flag[] = grouped("Limits", [
  text("memory", "m", "Memory limit", { value: "bytes" }),
  text("memory-reservation", "", "Memory soft limit", { value: "bytes" }),
  text("memory-swap", "", "Memory plus swap: '-1' to enable unlimited swap", { value: "bytes" }),
  int("memory-swappiness", "", "Tune container memory swappiness (0 to 100)", { preset: "-1" }),
  text("kernel-memory", "", "Kernel memory limit", { hidden: true, value: "bytes" }),
  text("cpus", "", "Number of CPUs", { value: "decimal" }),
  int("cpu-shares", "c", "CPU shares (relative weight)"),
  int("cpu-period", "", "Limit CPU CFS (Completely Fair Scheduler) period"),
  int("cpu-quota", "", "Limit CPU CFS (Completely Fair Scheduler) quota"),
  int("cpu-rt-period", "", "Limit CPU real-time period in microseconds"),
  int("cpu-rt-runtime", "", "Limit CPU real-time runtime in microseconds"),
  text("cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)"),
  text("cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)"),
  int("cpu-count", "", "CPU count (Windows only)", { hidden: true }),
  int("cpu-percent", "", "CPU percent (Windows only)", { hidden: true }),
  text("io-maxbandwidth", "", "Maximum IO bandwidth limit (Windows only)", { hidden: true }),
  int("io-maxiops", "", "Maximum IOps limit (Windows only)", { hidden: true }),
  int("pids-limit", "", "Tune container pids limit (set -1 for unlimited)"),
  int("blkio-weight", "", "Block IO (relative weight), between 10 and 1000, or 0 to disable"),
  list("blkio-weight-device", "", "Block IO weight (relative device weight)"),
  list("device-read-bps", "", "Limit read rate (bytes per second) from a device"),
  list("device-write-bps", "", "Limit write rate (bytes per second) to a device"),
  list("device-read-iops", "", "Limit read rate (IO per second) from a device"),
  list("device-write-iops", "", "Limit write rate (IO per second) to a device"),
  bool("oom-kill-disable", "", "Disable OOM Killer"),
  int("oom-score-adj", "", "Tune host's OOM preferences (-1000 to 1000)"),
]);

const ISOLATION: readonly Flag[] = grouped("Isolation and rights", [
  list("cap-add", "", "Add Linux capabilities"),
  list("cap-drop", "", "Drop Linux capabilities"),
  bool("privileged", "", "Give extended privileges to this container"),
  list("security-opt", "", "Security Options"),
  list("device", "", "Add a host device to the container"),
  list("device-cgroup-rule", "", "Add a rule to the cgroup allowed devices list"),
  text("gpus", "", "GPU devices to add to the container ('all' to pass all GPUs)", {
    value: "gpu-request",
  }),
  text("cgroup-parent", "", "Optional parent cgroup for the container"),
  text("cgroupns", "", "Cgroup namespace to use (host|private)"),
  text("ipc", "", "IPC mode to use"),
  text("pid", "", "PID namespace to use"),
  text("uts", "", "UTS namespace to use"),
  text("userns", "", "User namespace to use"),
  text("isolation", "", "Container isolation technology"),
  text("runtime", "", "Runtime to use for this container"),
  list("sysctl", "", "Sysctl options"),
]);

const LOGS_AND_HEALTH: readonly Flag[] = grouped("Logs and health", [
  text("log-driver", "", "Logging driver for the container"),
  list("log-opt", "", "Log driver options"),
  text("health-cmd", "", "Command to run to check health"),
  text("health-interval", "", "Time between running the check (ms|s|m|h)", { value: "duration" }),
  int("health-retries", "", "Consecutive failures needed to report unhealthy"),
  text("health-start-interval", "", "Time between checks during the start period (ms|s|m|h)", {
    value: "duration",
  }),
  text("health-start-period", "", "Start period before retries count (ms|s|m|h)", {
    value: "duration",
  }),
  text("health-timeout", "", "Maximum time to allow one check to run (ms|s|m|h)", {
    value: "duration",
  }),
  text("on-unhealthy", "", "What to do when unhealthy: none, restart, stop or kill (naru's own)", {
    preset: "none",
  }),
  bool("no-healthcheck", "", "Disable any container-specified HEALTHCHECK"),
]);

/** What `create` and `run` have in common; the meaning of each is docker's. */
export const CONTAINER_FLAGS: readonly Flag[] = [
  ...PROCESS,
  bool("rm", "", "Automatically remove the container and its anonymous volumes when it exits", {
    group: "Process",
  }),
  ...IDENTITY,
  ...FILES,
  ...NETWORK,
  ...LIMITS,
  ...ISOLATION,
  ...LOGS_AND_HEALTH,
];

/** `run` alone. */
export const RUN_FLAGS: readonly Flag[] = [
  ...grouped("Process", [
    bool("detach", "d", "Run container in background and print container ID"),
    text("detach-keys", "", "Override the key sequence for detaching a container"),
    bool("sig-proxy", "", "Proxy received signals to the process", { preset: true }),
  ]),
  ...CONTAINER_FLAGS,
];
