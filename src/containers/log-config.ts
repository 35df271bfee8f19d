import { MiB } from "../base/mod.ts";
import type { LogLimits, ShippingPlan } from "../runtime/mod.ts";
import type { LogConfig } from "../spec/mod.ts";
import { type LogOptions, parseRegex } from "./log-attributes.ts";
import { badLogOption, boolOption, countOption, sizeOption } from "./log-option.ts";
import { formatTag } from "./log-tag.ts";
import { shippingTerms } from "./log-target.ts";

const DEFAULT_SEGMENT_BYTES = 20 * MiB; // design.md section 6: 5 x 20 MB, compressed
const DEFAULT_SEGMENTS = 5;
const DEFAULT_BUFFER_BYTES = MiB; // Docker's for mode=non-blocking

/** Every driver takes these: how a full buffer is met, and the files behind `docker logs`. */
const COMMON = ["mode", "max-buffer-size"];
const CACHE = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const ATTRIBUTES = ["labels", "labels-regex", "env", "env-regex", "tag"];
const FILES = ["max-size", "max-file", "compress"];

const SYSLOG = ["address", "facility", "format"].map((name) => `syslog-${name}`);
const SYSLOG_TLS = ["ca-cert", "cert", "key", "skip-verify"].map((name) => `syslog-tls-${name}`);
const FLUENTD = [
  ...["address", "async", "async-connect", "async-reconnect-interval", "buffer-limit"],
  ...["max-retries", "read-timeout", "request-ack", "retry-wait", "sub-second-precision"],
  "write-timeout",
].map((name) => `fluentd-${name}`);
const GELF = [
  ...["address", "compression-level", "compression-type"],
  ...["tcp-max-reconnect", "tcp-reconnect-delay"],
].map((name) => `gelf-${name}`);

/** The options of each driver. `none` takes any, as with Docker. */
const DRIVERS: Readonly<Record<string, readonly string[]>> = {
  "json-file": [...FILES, ...ATTRIBUTES],
  local: FILES,
  none: [],
  syslog: [...CACHE, ...ATTRIBUTES, ...SYSLOG, ...SYSLOG_TLS],
  journald: [...CACHE, ...ATTRIBUTES],
  fluentd: [...CACHE, ...ATTRIBUTES, ...FLUENTD],
  gelf: [...CACHE, ...ATTRIBUTES, ...GELF],
};

/** How a container's log is kept, shown and sent. */
export interface LogPlan {
  readonly type: string;
  /** undefined for `none`. */
  readonly limits: LogLimits | undefined;
  /** `docker logs` may read it. */
  readonly readable: boolean;
  /** undefined for a log that stays here. */
  readonly shipping: Omit<ShippingPlan, "origin"> | undefined;
  /** "" for none. */
  readonly tagTemplate: string;
  readonly options: LogOptions;
}

/** Throws invalid_argument naming the type or option, in Docker's words. */
export function planLog(config: LogConfig): LogPlan {
  const { Type: type } = config;
  const options = config.Config ?? {};
  if (type === "none") {
    return {
      ...{ type, options, limits: undefined, readable: false },
      ...{ shipping: undefined, tagTemplate: "" },
    };
  }
  const { blocking, bufferBytesMax } = modeOf(options);
  const known = Object.hasOwn(DRIVERS, type) ? DRIVERS[type] : undefined;
  if (known === undefined) {
    throw badLogOption(`logger: no log driver named '${type}' is registered`);
  }
  const unknown = Object.keys(options).find(
    (name) => !known.includes(name) && !COMMON.includes(name),
  );
  if (unknown !== undefined) throw unknownOption(unknown, type);
  for (const name of ["labels-regex", "env-regex"]) parseRegex(options[name] ?? "");
  const stays = known.includes("max-size");
  const tagTemplate = (options["tag"] ?? "") || (stays ? "" : "{{.ID}}");
  const nothing = { id: "", name: "", imageId: "", imageName: "", command: "", hostname: "" };
  formatTag(tagTemplate, nothing);
  // The journal can be read, so its driver has no cache to disable.
  const disabled = boolOption(options, "cache-disabled", false) && type !== "journald";
  const terms = stays ? undefined : shippingTerms(type, options);
  return {
    type,
    options,
    limits: limitsOf(options, stays ? "" : "cache-"),
    readable: !disabled,
    shipping: terms === undefined ? undefined : { ...terms, blocking, bufferBytesMax },
    tagTemplate,
  };
}

function unknownOption(name: string, type: string): Error {
  if (type === "gelf") return badLogOption(`unknown log opt "${name}" for gelf log driver`);
  return badLogOption(`unknown log opt '${name}' for ${type} log driver`);
}

function modeOf(options: LogOptions): { blocking: boolean; bufferBytesMax: number } {
  const mode = options["mode"] ?? "";
  if (!["", "blocking", "non-blocking"].includes(mode)) {
    throw badLogOption(`logger: logging mode not supported: ${mode}`);
  }
  if (options["max-buffer-size"] !== undefined && mode !== "non-blocking") {
    throw badLogOption("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  }
  const bufferBytesMax = sizeOption(options, "max-buffer-size", DEFAULT_BUFFER_BYTES);
  return { blocking: mode !== "non-blocking", bufferBytesMax };
}

/** `-1` and nothing are the default size. */
function limitsOf(options: LogOptions, prefix: "" | "cache-"): LogLimits {
  const [size, files] = [`${prefix}max-size`, `${prefix}max-file`];
  const unlimited = options[size] === "-1";
  const message = `${files} cannot be less than 1`;
  return {
    segmentBytesMax: unlimited
      ? DEFAULT_SEGMENT_BYTES
      : sizeOption(options, size, DEFAULT_SEGMENT_BYTES),
    segmentsMax: countOption(options, files, { fallback: DEFAULT_SEGMENTS, min: 1, message }),
    compress: boolOption(options, `${prefix}compress`, true),
  };
}

/** What `info` lists. */
export const LOG_DRIVERS: readonly string[] = Object.keys(DRIVERS).sort();
