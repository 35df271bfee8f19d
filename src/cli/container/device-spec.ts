import { NaruError } from "../../base/mod.ts";
import type {
  DeviceMapping,
  DeviceRequest,
  ThrottleDevice,
  Ulimit,
  WeightDevice,
} from "../../spec/mod.ts";
import { pairsObject, splitCsv, splitPair } from "./csv.ts";
import { parseSize } from "./quantity.ts";

/** `vendor.com/class=name`, a name of the Container Device Interface. */
export function isCdiName(text: string): boolean {
  return /^[A-Za-z][\w.-]*\/[A-Za-z][\w.-]*=[\w][\w.:-]*$/.test(text);
}

/** `/dev/x`, `/dev/x:/dev/y`, `/dev/x:rw`, `/dev/x:/dev/y:r`. */
export function parseDevice(text: string): DeviceMapping {
  const parts = text.split(":");
  const host = parts[0] ?? "";
  if (host === "" || parts.length > 3) throw invalid(`invalid device specification: ${text}`);
  const second = parts[1];
  const isMode = (word: string): boolean => /^[rwm]{1,3}$/.test(word);
  const modeOnly = parts.length === 2 && isMode(second ?? "");
  const inside = second === undefined || modeOnly ? host : second;
  const mode = (modeOnly ? second : parts[2]) ?? "rwm";
  if (!isMode(mode)) throw invalid(`bad mode specified: ${mode}`);
  return { PathOnHost: host, PathInContainer: inside || host, CgroupPermissions: mode };
}

/** `/dev/sda:1mb`. */
export function parseBytesRate(text: string): ThrottleDevice {
  const [path, rate] = deviceAndValue(text);
  return { Path: path, Rate: parseSize(rate) };
}

/** `/dev/sda:1000`. */
export function parseOperationsRate(text: string): ThrottleDevice {
  const [path, rate] = deviceAndValue(text);
  if (!/^\d{1,15}$/.test(rate)) throw invalid(`invalid rate for device: ${text}`);
  return { Path: path, Rate: Number(rate) };
}

/** `/dev/sda:200`, weight 10 to 1000 or 0. */
export function parseDeviceWeight(text: string): WeightDevice {
  const [path, weight] = deviceAndValue(text);
  const value = Number(weight);
  if (!/^\d{1,4}$/.test(weight) || (value !== 0 && (value < 10 || value > 1000))) {
    throw invalid(`invalid weight for device: ${text}`);
  }
  return { Path: path, Weight: value };
}

function deviceAndValue(text: string): [string, string] {
  const colon = text.lastIndexOf(":");
  const path = text.slice(0, Math.max(colon, 0));
  if (!path.startsWith("/dev/")) throw invalid(`bad format: ${text}`);
  return [path, text.slice(colon + 1)];
}

/** `all`, `2`, `device=0,capabilities=compute`, `"device=0,1"`. */
export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = {
    Driver: "",
    Count: 0,
    DeviceIDs: null,
    Capabilities: [["gpu"]],
    Options: {},
  };
  let counted = false;
  for (const field of splitCsv(text)) {
    const { key, value } = splitPair(field);
    if (value === undefined) {
      request.Count = gpuCount(field);
      counted = true;
    } else if (key === "count") {
      request.Count = gpuCount(value);
      counted = true;
    } else if (key === "device") request.DeviceIDs = value.split(",");
    else if (key === "driver") request.Driver = value;
    else if (key === "capabilities") request.Capabilities = [[...value.split(","), "gpu"]];
    else if (key === "options") request.Options = pairsObject(splitCsv(value));
    else throw invalid(`invalid --gpus: unexpected key '${key}' in '${field}'`);
  }
  if (!counted && request.DeviceIDs === null) request.Count = 1;
  return request;
}

function gpuCount(text: string): number {
  if (text === "all") return -1;
  if (!/^-?\d{1,9}$/.test(text))
    throw invalid(`invalid --gpus: invalid count (${text}): must be 'all' or a number`);
  return Number(text);
}

/** `nofile=1024:2048`, `nproc=64`, `core=-1`. */
export function parseUlimit(text: string): Ulimit {
  const match = /^([a-z]+)=(-?\d{1,18})(?::(-?\d{1,18}))?$/.exec(text);
  if (match === null) throw invalid(`invalid ulimit argument: ${text}`);
  const soft = Number(match[2]);
  const hard = Number(match[3] ?? match[2]);
  if (soft > hard && hard !== -1) {
    throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  }
  return { Name: match[1] ?? "", Hard: hard, Soft: soft };
}

/** Docker's canonical names: `net_raw` is `CAP_NET_RAW`, sorted, without doubles. */
export function effectiveCapabilities(
  add: readonly string[],
  drop: readonly string[],
): { add: string[] | null; drop: string[] | null } {
  const added = canonical(add);
  const dropped = canonical(drop);
  return { add: added.length > 0 ? added : null, drop: dropped.length > 0 ? dropped : null };
}

function canonical(names: readonly string[]): string[] {
  const full = names.map((name) => {
    const upper = name.trim().toUpperCase();
    return upper === "ALL" || upper === "RESET" || upper.startsWith("CAP_")
      ? upper
      : `CAP_${upper}`;
  });
  return full.includes("ALL") ? ["ALL"] : [...new Set(full)].sort();
}

function invalid(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
