import type { DaemonOption } from "./daemon-option.ts";
import { NETWORK_OPTIONS } from "./network-options.ts";
import { REFUSED_OPTIONS } from "./refused-options.ts";
import { REGISTRY_OPTIONS } from "./registry-options.ts";

const KERNEL_NAT = "naru needs its own nftables rules for the default bridge";

/** Options that naru honours. The order is that of `naru daemon --help`. */
const HONOURED: readonly DaemonOption[] = [
  {
    key: "hosts",
    flag: "host",
    short: "H",
    type: "list",
    help: "Socket to listen on: unix://PATH, tcp://ADDRESS:PORT or fd:// (repeatable)",
  },
  {
    key: "group",
    flag: "group",
    short: "G",
    type: "string",
    help: "Group that may use the unix socket",
  },
  {
    key: "data-root",
    flag: "data-root",
    type: "string",
    help: "Directory of images, containers and volumes",
  },
  {
    key: "exec-root",
    flag: "exec-root",
    type: "string",
    help: "Directory of sockets and run-time state, on a tmpfs",
  },
  {
    key: "pidfile",
    flag: "pidfile",
    short: "p",
    type: "string",
    help: "File that holds the engine's process id",
  },
  { key: "", flag: "config-file", type: "string", help: "Configuration file in JSON" },
  {
    key: "",
    flag: "validate",
    type: "boolean",
    help: "Check the configuration, say what is wrong with it, and exit",
  },
  {
    key: "debug",
    flag: "debug",
    short: "D",
    type: "boolean",
    reloadable: true,
    help: "Log debug messages",
  },
  {
    key: "log-level",
    flag: "log-level",
    short: "l",
    type: "string",
    reloadable: true,
    help: "debug, info, warn, error or fatal",
  },
  { key: "log-format", flag: "log-format", type: "string", help: "text or json" },
  {
    key: "labels",
    flag: "label",
    type: "list",
    reloadable: true,
    help: "Label of this engine, key=value (repeatable)",
  },
  {
    key: "bridge",
    flag: "bridge",
    short: "b",
    type: "string",
    help: "Name of the default bridge, or none",
  },
  {
    key: "mtu",
    flag: "mtu",
    type: "integer",
    help: "MTU of the default bridge and its containers",
  },
  {
    key: "icc",
    flag: "icc",
    type: "boolean",
    help: "Let containers of the default bridge talk to each other",
  },
  { key: "ip-masq", flag: "ip-masq", type: "boolean", help: "Masquerade what leaves the bridge" },
  {
    key: "ip-forward",
    flag: "ip-forward",
    type: "boolean",
    help: "Enable forwarding, and drop what is not naru's own",
  },
  {
    key: "ip-forward-no-drop",
    flag: "ip-forward-no-drop",
    type: "boolean",
    help: "Enable forwarding without that drop",
  },
  {
    key: "ip",
    flag: "ip",
    type: "string",
    help: "Address of the host for ports that are published without one",
  },
  {
    key: "allow-direct-routing",
    flag: "allow-direct-routing",
    type: "boolean",
    help: "Let others reach published ports by the container's own address",
  },
  {
    key: "respect-host-firewall",
    flag: "respect-host-firewall",
    type: "boolean",
    help: "Publish ports by a forwarder, so that the host's input rules count (client addresses are lost)",
  },
  { key: "dns", flag: "dns", type: "list", help: "Name server for containers (repeatable)" },
  {
    key: "dns-opts",
    flag: "dns-opt",
    type: "list",
    help: "resolv.conf option for containers (repeatable)",
  },
  {
    key: "dns-search",
    flag: "dns-search",
    type: "list",
    help: "Search domain for containers (repeatable)",
  },
  {
    key: "cdi-spec-dirs",
    flag: "cdi-spec-dir",
    type: "list",
    help: "Folder with CDI specifications (repeatable; /etc/cdi and /var/run/cdi)",
  },
  {
    key: "default-runtime",
    flag: "default-runtime",
    type: "string",
    reloadable: true,
    help: "OCI runtime to use when a container names none",
  },
  {
    key: "runtimes",
    flag: "add-runtime",
    type: "runtimes",
    reloadable: true,
    help: "OCI runtime, name=path (repeatable)",
  },
  {
    key: "cgroup-parent",
    flag: "cgroup-parent",
    type: "string",
    help: "Cgroup above all containers",
  },
  {
    key: "exec-opts",
    flag: "exec-opt",
    type: "list",
    help: "native.cgroupdriver=cgroupfs or systemd",
  },
  {
    key: "default-cgroupns-mode",
    flag: "default-cgroupns-mode",
    type: "string",
    help: "host or private",
  },
  {
    key: "default-ipc-mode",
    flag: "default-ipc-mode",
    type: "string",
    help: "private or shareable",
  },
  {
    key: "default-shm-size",
    flag: "default-shm-size",
    type: "string",
    help: "Size of /dev/shm, such as 64M",
  },
  {
    key: "default-stop-timeout",
    flag: "default-stop-timeout",
    type: "integer",
    reloadable: true,
    help: "Seconds to wait before a container is killed on stop",
  },
  {
    key: "default-ulimits",
    flag: "default-ulimit",
    type: "ulimits",
    help: "Ulimit for containers, name=soft[:hard] (repeatable)",
  },
  { key: "init", flag: "init", type: "boolean", help: "Run an init in every container" },
  { key: "init-path", flag: "init-path", type: "string", help: "Path of that init" },
  {
    key: "no-new-privileges",
    flag: "no-new-privileges",
    type: "boolean",
    help: "Forbid new privileges in every container",
  },
  {
    key: "seccomp-profile",
    flag: "seccomp-profile",
    type: "string",
    help: "Seccomp profile: a path, or unconfined",
  },
  { key: "log-driver", flag: "log-driver", type: "string", help: "Log driver of containers" },
  {
    key: "log-opts",
    flag: "log-opt",
    type: "map",
    help: "Option of the log driver, key=value (repeatable)",
  },
  {
    key: "shutdown-timeout",
    flag: "shutdown-timeout",
    type: "integer",
    reloadable: true,
    help: "Seconds that a clean stop of the engine may take",
  },
  { key: "tls", flag: "tls", type: "boolean", help: "Use TLS on tcp sockets" },
  {
    key: "tlsverify",
    flag: "tlsverify",
    type: "boolean",
    help: "Use TLS and ask clients for a certificate",
  },
  {
    key: "tlscacert",
    flag: "tlscacert",
    type: "string",
    help: "Certificate authority that clients are checked against",
  },
  { key: "tlscert", flag: "tlscert", type: "string", help: "Certificate of the engine" },
  { key: "tlskey", flag: "tlskey", type: "string", help: "Private key of the engine" },
  {
    key: "min-api-version",
    flag: "min-api-version",
    type: "string",
    help: "Oldest API version to answer",
  },
  ...NETWORK_OPTIONS,
  ...REGISTRY_OPTIONS,
];

/** Values that a boolean may not have although they are zero: switching off what naru cannot do without. */
export const MUST_STAY_ON: ReadonlyMap<string, string> = new Map([["iptables", KERNEL_NAT]]);

/** Every option of the daemon. */
export const DAEMON_OPTIONS: readonly DaemonOption[] = [...HONOURED, ...REFUSED_OPTIONS];

/** Those that `--help` shows. */
export const SHOWN_OPTIONS: readonly DaemonOption[] = HONOURED;
