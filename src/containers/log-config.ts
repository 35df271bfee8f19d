import { KiB, MiB, NaruError } from "../base/mod.ts";
import type { LogLimits } from "../runtime/mod.ts";
import type { LogConfig } from "../spec/mod.ts";

const DEFAULT_SEGMENT_BYTES = 20 * MiB; // design.md section 6: 5 x 20 MB, compressed
const DEFAULT_SEGMENTS = 5;
const UNIT_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: KiB,
  m: MiB,
  g: KiB * MiB,
};

/** Options that name what goes into a line of a shipped log; the store keeps plain lines. */
const OPTIONS = new Set(["max-size", "max-file", "compress"]);

/** The type that is shown and how much is kept, or undefined for `none`. */
export interface LogPlan {
  readonly type: string;
  readonly limits: LogLimits | undefined;
}

/** Throws invalid_argument or unsupported naming the type or option. */
export function planLog(config: LogConfig): LogPlan {
  const options = config.Config ?? {};
  if (config.Type === "none") return { type: "none", limits: undefined };
  if (config.Type !== "json-file" && config.Type !== "local") {
    throw new NaruError(
      "unsupported",
      `HostConfig.LogConfig.Type: logging driver "${config.Type}" is not supported; json-file, local and none are`,
      { field: "LogConfig" },
    );
  }
  const unknown = Object.keys(options).find((key) => !OPTIONS.has(key));
  if (unknown !== undefined) {
    throw new NaruError(
      "invalid_argument",
      `unknown log opt '${unknown}' for ${config.Type} log driver`,
      { field: "LogConfig" },
    );
  }
  const segments =
    options["max-file"] === undefined ? DEFAULT_SEGMENTS : Number(options["max-file"]);
  if (!Number.isInteger(segments) || segments < 1) {
    throw new NaruError("invalid_argument", "max-file cannot be less than 1", {
      field: "LogConfig",
    });
  }
  const compress = options["compress"] ?? "true";
  if (compress !== "true" && compress !== "false") {
    throw new NaruError("invalid_argument", `invalid compress value: ${compress}`, {
      field: "LogConfig",
    });
  }
  return {
    type: config.Type,
    limits: {
      segmentBytesMax: sizeOf(options["max-size"]),
      segmentsMax: segments,
      compress: compress === "true",
    },
  };
}

/** `10m`, `64k`, `1g`, `512`; `-1` and nothing are the default. */
function sizeOf(text: string | undefined): number {
  if (text === undefined || text === "-1") return DEFAULT_SEGMENT_BYTES;
  const match = /^(\d+(?:\.\d+)?)\s?([kmg]?)(?:i?b)?$/i.exec(text);
  const unit = UNIT_BYTES[(match?.[2] ?? "x").toLowerCase()];
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? Number.NaN));
  if (match === null || !Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new NaruError("invalid_argument", `invalid max-size: '${text}'`, { field: "LogConfig" });
  }
  return bytes;
}
