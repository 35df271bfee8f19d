import { MiB } from "../base/mod.ts";
import type {
  FluentdTarget,
  GelfTarget,
  LogAddress,
  ShippingPlan,
  SyslogFormat,
  SyslogTarget,
} from "../runtime/mod.ts";
import type { LogOptions } from "./log-attributes.ts";
import { badLogOption, boolOption, countOption, durationOption, sizeOption } from "./log-option.ts";

/** How a driver sends; what it says of the container is added at start. */
export type ShippingTerms = Omit<ShippingPlan, "origin" | "blocking" | "bufferBytesMax">;

const BATCH_BYTES = 256 * 1024; // what one try may have to send again
const RETRY_WAIT_MS = 1000; // Docker's for fluentd and GELF
const JOURNALD_SOCKET = "/run/systemd/journal/socket"; // systemd's native protocol

/** Throws invalid_argument for an option's value that cannot be. */
export function shippingTerms(driver: string, options: LogOptions): ShippingTerms {
  const usual = { batchBytesMax: BATCH_BYTES, retryWaitMs: RETRY_WAIT_MS, triesMax: null };
  switch (driver) {
    case "syslog":
      return { ...usual, target: syslogTarget(options) };
    case "fluentd":
      return {
        target: fluentdTarget(options),
        batchBytesMax: Math.min(BATCH_BYTES, sizeOption(options, "fluentd-buffer-limit", MiB)),
        retryWaitMs: Math.max(1, durationOption(options, "fluentd-retry-wait", RETRY_WAIT_MS)),
        triesMax: triesOption(options, "fluentd-max-retries"),
      };
    case "gelf":
      return { ...usual, ...gelfRetries(options), target: gelfTarget(options) };
    default:
      return { ...usual, target: { kind: "journald", path: JOURNALD_SOCKET } };
  }
}

function triesOption(options: LogOptions, name: string): number | null {
  if (options[name] === undefined) return null;
  const message = `"${name}" must be a positive integer`;
  return countOption(options, name, { fallback: 0, min: 0, message });
}

// --- syslog ----------------------------------------------------------------------------------

/** @see syslog(3), and RFC 5424 section 6.2.1 */
const FACILITIES: Readonly<Record<string, number>> = Object.fromEntries([
  ..."kern user mail daemon auth syslog lpr news uucp cron authpriv ftp"
    .split(" ")
    .map((name, number) => [name, number] as const),
  ...Array.from({ length: 8 }, (_, index) => [`local${index}`, 16 + index] as const),
]);
const LAST_FACILITY = 23;
const SYSLOG_PORT = 514;
const FORMATS: Readonly<Record<string, SyslogFormat>> = {
  "": "local",
  rfc3164: "rfc3164",
  rfc5424: "rfc5424",
  rfc5424micro: "rfc5424micro",
};

function syslogTarget(options: LogOptions): SyslogTarget {
  const name = options["syslog-facility"] ?? "";
  const facility = name === "" ? FACILITIES["daemon"] : (FACILITIES[name] ?? facilityNumber(name));
  if (facility === undefined) throw badLogOption("invalid syslog facility");
  const format = FORMATS[options["syslog-format"] ?? ""];
  if (format === undefined) throw badLogOption("Invalid syslog format");
  return {
    kind: "syslog",
    address: syslogAddress(options["syslog-address"] ?? ""),
    facility,
    format,
    tls: {
      caPath: options["syslog-tls-ca-cert"] ?? "",
      certPath: options["syslog-tls-cert"] ?? "",
      keyPath: options["syslog-tls-key"] ?? "",
      skipVerify: options["syslog-tls-skip-verify"] !== undefined,
    },
  };
}

function facilityNumber(text: string): number | undefined {
  return /^\d{1,2}$/.test(text) && Number(text) <= LAST_FACILITY ? Number(text) : undefined;
}

function syslogAddress(text: string): LogAddress {
  if (text === "") return { transport: "unixgram", path: "/dev/log" };
  const match = /^(tcp|udp|tcp\+tls|unix|unixgram):\/\/(.*)$/.exec(text);
  const [, scheme = "", rest = ""] = match ?? [];
  if (match === null || rest === "") {
    throw badLogOption(`syslog-address should be in form proto://address, got ${text}`);
  }
  if (scheme === "unix" || scheme === "unixgram") return { transport: scheme, path: rest };
  const place = hostPort(rest, { host: "", port: SYSLOG_PORT });
  if (place === undefined || place.host === "") {
    throw badLogOption(`syslog-address should be in form proto://address, got ${text}`);
  }
  const transport = scheme === "tcp+tls" ? "tls" : scheme === "udp" ? "udp" : "tcp";
  return { transport, ...place };
}

// --- fluentd ---------------------------------------------------------------------------------

const FLUENTD_PORT = 24224;
const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 10_000;

function fluentdTarget(options: LogOptions): FluentdTarget {
  // naru always sends in the background, from the spool: both values of these two mean the same.
  for (const name of ["fluentd-async", "fluentd-async-connect"]) boolOption(options, name, true);
  if (options["fluentd-async"] && options["fluentd-async-connect"]) {
    throw badLogOption(
      "conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect'",
    );
  }
  const interval = durationOption(options, "fluentd-async-reconnect-interval", 0);
  if (interval !== 0 && (interval < RECONNECT_MS_MIN || interval > RECONNECT_MS_MAX)) {
    throw badLogOption(
      `invalid value for fluentd-async-reconnect-interval: value (${options["fluentd-async-reconnect-interval"]}) must be between 100ms and 10s`,
    );
  }
  return {
    kind: "fluentd",
    address: fluentdAddress(options["fluentd-address"] ?? ""),
    subSecond: boolOption(options, "fluentd-sub-second-precision", false),
    requestAck: boolOption(options, "fluentd-request-ack", false),
    writeTimeoutMs: durationOption(options, "fluentd-write-timeout", 0),
    readTimeoutMs: durationOption(options, "fluentd-read-timeout", 0),
    reconnectIntervalMs: interval,
  };
}

function fluentdAddress(text: string): LogAddress {
  const fallback = { host: "127.0.0.1", port: FLUENTD_PORT };
  const match = /^([a-z]+):\/\/(.*)$/.exec(text);
  const [, scheme = "tcp", rest = text] = match ?? [];
  if (scheme === "unix") {
    if (!rest.startsWith("/")) throw badLogOption("path is empty");
    return { transport: "unix", path: rest };
  }
  const place = hostPort(rest, fallback);
  if (place === undefined) throw badLogOption(`invalid fluentd-address ${text}`);
  if (scheme === "tcp" || scheme === "tls") return { transport: scheme, ...place };
  throw badLogOption(`unsupported scheme: '${scheme}'`);
}

// --- gelf ------------------------------------------------------------------------------------

const FASTEST = 1; // Docker's level

function gelfTarget(options: LogOptions): GelfTarget {
  const text = options["gelf-address"] ?? "";
  if (text === "") throw badLogOption("gelf-address is a required parameter");
  const match = /^(tcp|udp):\/\/(.*)$/.exec(text);
  const place = match === null ? undefined : hostPort(match[2] ?? "", { host: "", port: 0 });
  if (match === null || place === undefined || place.host === "" || place.port === 0) {
    throw badLogOption("gelf: please provide gelf-address as proto://host:port");
  }
  const transport = match[1] === "tcp" ? "tcp" : "udp";
  const compression = options["gelf-compression-type"] ?? (transport === "udp" ? "gzip" : "none");
  const level = options["gelf-compression-level"] ?? String(FASTEST);
  for (const name of ["gelf-compression-type", "gelf-compression-level"]) {
    if (options[name] !== undefined && transport === "tcp") {
      throw badLogOption("compression is only supported on UDP");
    }
  }
  if (compression !== "gzip" && compression !== "zlib" && compression !== "none") {
    throw unknownValue(compression, "gelf-compression-type");
  }
  if (!/^(?:-1|\d)$/.test(level)) throw unknownValue(level, "gelf-compression-level");
  const address: LogAddress = { transport, ...place };
  return { kind: "gelf", address, compression, level: Number(level) };
}

function unknownValue(value: string, name: string): Error {
  return badLogOption(`unknown value "${value}" for log opt "${name}" for gelf log driver`);
}

const MS_PER_S = 1000;

function gelfRetries(options: LogOptions): { triesMax: number | null; retryWaitMs: number } {
  const names = ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"] as const;
  const [tries, delay] = names;
  for (const name of names) {
    if (options[name] === undefined || options["gelf-address"]?.startsWith("tcp:")) continue;
    throw badLogOption(`"${name}" is only valid for TCP`);
  }
  const message = `"${delay}" must be a positive integer`;
  const waitS = countOption(options, delay, { fallback: 1, min: 0, message });
  return { triesMax: triesOption(options, tries), retryWaitMs: Math.max(1, waitS * MS_PER_S) };
}

/** `host`, `host:port`, `[v6]:port`, `:port`. */
function hostPort(
  text: string,
  fallback: { readonly host: string; readonly port: number },
): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]\s]*))(?::(\d{1,5}))?\/?$/.exec(text);
  if (match === null) return undefined;
  const host = (match[1] ?? match[2]) || fallback.host;
  const port = match[3] === undefined ? fallback.port : Number(match[3]);
  return port > 65_535 ? undefined : { host, port };
}
