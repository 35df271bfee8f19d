import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { isAbsolute } from "node:path";
import { NaruError, parseSizeBytes } from "../base/mod.ts";
import type { Ulimit } from "../spec/mod.ts";
import type { DaemonConfig, DaemonDefaults, RuntimeEntry, TlsConfig } from "./daemon-config.ts";
import { readDaemonFile } from "./daemon-file.ts";
import { type FlagValues, parseDaemonFlags } from "./daemon-flags.ts";
import type { DaemonOption } from "./daemon-option.ts";
import { MUST_STAY_ON } from "./daemon-options.ts";
import { networksOf } from "./network-load.ts";
import { splitPair, Values } from "./option-values.ts";
import { registriesOf } from "./registry-load.ts";

/** Flags as they were given, and whether only a check is asked for. */
export interface DaemonCommand {
  readonly flags: FlagValues;
  readonly validateOnly: boolean;
}

export function parseDaemonCommand(argv: readonly string[]): DaemonCommand {
  const flags = parseDaemonFlags(argv);
  return {
    flags,
    validateOnly: [...flags].some(([option, on]) => option.flag === "validate" && on === true),
  };
}

/**
 * Merges flags, the configuration file and defaults. Used at start and again on SIGHUP. Throws
 * invalid_argument, or unsupported for an option that naru cannot honour, naming the option.
 */
export function loadDaemonConfig(flags: FlagValues, defaults: DaemonDefaults): DaemonConfig {
  const flagText = (name: string): unknown =>
    [...flags].find(([option]) => option.flag === name)?.[1];
  const named = flagText("config-file");
  const configFile = typeof named === "string" ? named : defaults.configFile;
  const file = readDaemonFile(configFile, { mustExist: named !== undefined });
  refuseBoth(flags, file);
  const values = new Map<string, unknown>();
  for (const [option, value] of [...file, ...flags]) {
    checkSupported(option, value);
    values.set(option.key === "" ? option.flag : option.key, value);
  }
  return buildConfig(new Values(values), configFile, defaults);
}

/** dockerd refuses an option that is given in both places, because neither can be known to win. */
function refuseBoth(flags: FlagValues, file: ReadonlyMap<DaemonOption, unknown>): void {
  const both = [...flags.keys()].filter((option) => file.has(option)).map((option) => option.key);
  if (both.length > 0) {
    throw new NaruError(
      "invalid_argument",
      `given both as a flag and in the configuration file: ${both.join(", ")}; keep one of them`,
    );
  }
}

function asksForNothing(value: unknown): boolean {
  if (value === false || value === 0 || value === "" || value === null) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function checkSupported(option: DaemonOption, value: unknown): void {
  const mustStay = MUST_STAY_ON.get(option.key);
  if (mustStay !== undefined && value === false) {
    throw new NaruError("unsupported", `${option.key}: cannot be switched off: ${mustStay}`);
  }
  if (option.refuse === undefined || asksForNothing(value)) return;
  if (option.quiet?.includes(value) === true) return;
  const name = option.key === "" ? `--${option.flag}` : option.key;
  throw new NaruError("unsupported", `${name}: ${option.refuse}`);
}

const MTU_MAX = 65_535; // the most that the kernel lets a veth have

function buildConfig(values: Values, configFile: string, defaults: DaemonDefaults): DaemonConfig {
  const hosts = values.list("hosts");
  return {
    hosts: (hosts.length === 0 ? [defaults.host] : hosts).map(checkHost),
    group: values.text("group"),
    dataRoot: absolute("data-root", values.text("data-root", "/var/lib/naru")),
    execRoot: absolute("exec-root", values.text("exec-root", "/run/naru")),
    pidFile: absolute("pidfile", values.text("pidfile", defaults.pidFile)),
    configFile,
    debug: values.flag("debug"),
    logLevel: values.oneOf("log-level", ["debug", "info", "warn", "error", "fatal"], "info"),
    logFormat: values.oneOf("log-format", ["text", "json"], "text"),
    labels: values.list("labels").map(checkLabel),
    bridge: checkBridge(values.text("bridge", "naru0")),
    ...networksOf(values),
    mtu: values.whole("mtu", 0, { min: 0, max: MTU_MAX }),
    icc: values.flag("icc", true),
    ipMasquerade: values.flag("ip-masq", true),
    ipForward: values.flag("ip-forward", true),
    ipForwardDrop: !values.flag("ip-forward-no-drop"),
    publishAddress: checkPublishAddress(values.text("ip")),
    allowDirectRouting: values.flag("allow-direct-routing"),
    respectHostFirewall: values.flag("respect-host-firewall"),
    dns: values.list("dns"),
    dnsOptions: values.list("dns-opts"),
    dnsSearch: values.list("dns-search"),
    cdiSpecDirs: cdiSpecDirs(values),
    ...buildRuntimes(values),
    ...cgroupsOf(values),
    cgroupnsMode: values.oneOf("default-cgroupns-mode", ["", "host", "private"], ""),
    ipcMode: values.oneOf("default-ipc-mode", ["private", "shareable"], "private"),
    shmSizeBytes: sizeOf("default-shm-size", values.text("default-shm-size", "64m")),
    stopTimeoutSeconds: values.whole("default-stop-timeout", 10, { min: -1, max: 1_000_000 }),
    ulimits: values.entries("default-ulimits").map(([name, value]) => ulimitOf(name, value)),
    init: values.flag("init"),
    initPath: values.text("init-path"),
    noNewPrivileges: values.flag("no-new-privileges"),
    seccompProfile: values.text("seccomp-profile").replace(/^builtin$/, ""),
    logDriver: values.text("log-driver", "json-file"),
    logOptions: Object.fromEntries(
      values.entries("log-opts").map(([key, value]) => [key, String(value)]),
    ),
    shutdownTimeoutSeconds: values.whole("shutdown-timeout", 15, { min: 0, max: 86_400 }),
    tls: tlsOf(values),
    registries: registriesOf(values),
    minApiVersion: checkApiVersion(values.text("min-api-version")),
  };
}

function checkApiVersion(text: string): string {
  if (text !== "" && !/^1\.\d{1,3}$/.test(text)) {
    throw new NaruError("invalid_argument", `min-api-version: want one like 1.40, got "${text}"`);
  }
  return text;
}

function absolute(key: string, path: string): string {
  if (!isAbsolute(path))
    throw new NaruError("invalid_argument", `${key}: want an absolute path, got "${path}"`);
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

/** Where vendors put their specifications, unless told otherwise. @see CDI SPEC.md */
const CDI_DIRS: readonly string[] = ["/etc/cdi", "/var/run/cdi"];

function cdiSpecDirs(values: Values): readonly string[] {
  const dirs = values.list("cdi-spec-dirs").map((dir) => absolute("cdi-spec-dirs", dir));
  return dirs.length === 0 ? CDI_DIRS : dirs;
}

function checkHost(host: string): string {
  const good =
    /^unix:\/\/\/.+$/.test(host) ||
    /^fd:\/\/\S*$/.test(host) ||
    /^tcp:\/\/(\[[0-9a-fA-F:]*\]|[^:/\s[\]]*)(:\d{1,5})?$/.test(host);
  if (!good) {
    throw new NaruError(
      "invalid_argument",
      `hosts: want unix:///path, tcp://address:port or fd://, got "${host}"`,
    );
  }
  return host;
}

function checkLabel(label: string): string {
  if (!/^[^=\s][^=]*(=.*)?$/.test(label)) {
    throw new NaruError("invalid_argument", `labels: want key=value, got "${label}"`);
  }
  return label;
}

function checkBridge(name: string): string {
  // IFNAMSIZ is 16 with the final zero; see dev_valid_name in the kernel for the forbidden characters.
  if (!/^[^/:\s]{1,15}$/.test(name) || name === "." || name === "..") {
    throw new NaruError(
      "invalid_argument",
      `bridge: "${name}" cannot be the name of a link (1 to 15 characters)`,
    );
  }
  return name;
}

/** `0.0.0.0` is Docker's default, and stands for every address. */
function checkPublishAddress(text: string): string {
  if (text === "" || text === "0.0.0.0") return "";
  if (isIP(text) !== 0) return text;
  throw new NaruError("invalid_argument", `ip: want an IP address, got "${text}"`);
}

function buildRuntimes(values: Values): Pick<DaemonConfig, "defaultRuntime" | "runtimes"> {
  const runtimes = new Map<string, RuntimeEntry>();
  for (const name of ["crun", "runc"]) {
    const path = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"]
      .map((dir) => `${dir}/${name}`)
      .find((file) => existsSync(file));
    if (path !== undefined) runtimes.set(name, { path, args: [] });
  }
  for (const [name, value] of values.entries("runtimes")) {
    if (runtimes.has(name) || name === "io.containerd.runc.v2") {
      throw new NaruError(
        "invalid_argument",
        `runtimes: "${name}" is reserved, choose another name`,
      );
    }
    const entry =
      typeof value === "string"
        ? { path: value }
        : (value as { path: string; runtimeArgs?: string[] });
    if (entry.path === "")
      throw new NaruError("invalid_argument", `runtimes: ${name}: path is empty`);
    runtimes.set(name, {
      path: entry.path,
      args: "runtimeArgs" in entry ? (entry.runtimeArgs ?? []) : [],
    });
  }
  const defaultRuntime = values.text("default-runtime", runtimes.has("crun") ? "crun" : "runc");
  if (!runtimes.has(defaultRuntime)) {
    throw new NaruError(
      "invalid_argument",
      `default-runtime: no runtime "${defaultRuntime}"; known: ${[...runtimes.keys()].join(", ") || "none (install the Debian package crun)"}`,
    );
  }
  return { defaultRuntime, runtimes };
}

function cgroupsOf(values: Values): Pick<DaemonConfig, "cgroupParent" | "cgroupDriver"> {
  const cgroupParent = values.text("cgroup-parent");
  const cgroupDriver = cgroupDriverOf(values.list("exec-opts"));
  const isSlice = cgroupParent.endsWith(".slice") && !cgroupParent.includes("/");
  if (cgroupDriver === "systemd" && cgroupParent !== "" && !isSlice) {
    throw new NaruError(
      "invalid_argument",
      `cgroup-parent: the systemd driver wants the name of a slice, such as naru.slice, got "${cgroupParent}"`,
    );
  }
  return { cgroupParent, cgroupDriver };
}

function cgroupDriverOf(execOpts: readonly string[]): "cgroupfs" | "systemd" {
  let driver: "cgroupfs" | "systemd" = "cgroupfs";
  for (const option of execOpts) {
    const [key, value] = splitPair("exec-opts", option);
    if (key !== "native.cgroupdriver")
      throw new NaruError("invalid_argument", `exec-opts: unknown option "${key}"`);
    if (value !== "cgroupfs" && value !== "systemd") {
      throw new NaruError(
        "invalid_argument",
        `exec-opts: native.cgroupdriver: want cgroupfs or systemd, got "${value}"`,
      );
    }
    driver = value;
  }
  return driver;
}

function ulimitOf(name: string, value: unknown): Ulimit {
  if (typeof value !== "string") {
    const { Soft, Hard } = value as Ulimit;
    return checkUlimit({ Name: name, Soft, Hard });
  }
  const match = /^(-?\d{1,15})(?::(-?\d{1,15}))?$/.exec(value);
  if (match === null) {
    throw new NaruError(
      "invalid_argument",
      `default-ulimits: want ${name}=soft[:hard], got "${name}=${value}"`,
    );
  }
  return checkUlimit({ Name: name, Soft: Number(match[1]), Hard: Number(match[2] ?? match[1]) });
}

/** The names of getrlimit(2) without RLIMIT_, as `--ulimit` takes them. */
const ULIMIT_NAMES: ReadonlySet<string> = new Set(
  "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(
    " ",
  ),
);

function checkUlimit(ulimit: Ulimit): Ulimit {
  if (!ULIMIT_NAMES.has(ulimit.Name)) {
    throw new NaruError("invalid_argument", `default-ulimits: invalid ulimit type: ${ulimit.Name}`);
  }
  if (ulimit.Hard !== -1 && (ulimit.Soft > ulimit.Hard || ulimit.Soft === -1)) {
    throw new NaruError(
      "invalid_argument",
      `default-ulimits: ${ulimit.Name}: soft limit ${ulimit.Soft} is above the hard limit ${ulimit.Hard}`,
    );
  }
  return ulimit;
}

function tlsOf(values: Values): TlsConfig | undefined {
  const verifyClients = values.flag("tlsverify");
  if (!verifyClients && !values.flag("tls")) return undefined;
  const tls = {
    verifyClients,
    caPath: values.text("tlscacert"),
    certPath: values.text("tlscert"),
    keyPath: values.text("tlskey"),
  };
  if (tls.certPath === "" || tls.keyPath === "") {
    throw new NaruError("invalid_argument", "tls: needs tlscert and tlskey");
  }
  if (verifyClients && tls.caPath === "")
    throw new NaruError("invalid_argument", "tlsverify: needs tlscacert");
  return tls;
}

function sizeOf(key: string, text: string): number {
  const sizeBytes = parseSizeBytes(text);
  if (sizeBytes !== undefined) return sizeBytes;
  throw new NaruError("invalid_argument", `${key}: invalid size "${text}", want one like 64m`);
}
