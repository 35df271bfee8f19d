import { NaruError, parseDurationNs, parseSizeBytes } from "../../base/mod.ts";

/** Bytes of `64m`, `1.5g`, `1GiB`, `512`: binary units. Throws invalid_argument. */
export function parseSize(text: string): number {
  const sizeBytes = parseSizeBytes(text);
  if (sizeBytes !== undefined) return sizeBytes;
  throw new NaruError("invalid_argument", `invalid size: '${text}'`);
}

/** Nanoseconds of `1m30s`, `100ms`, `1.5h`. Throws invalid_argument, as Go's ParseDuration does. */
export function parseDuration(text: string): number {
  const ns = parseDurationNs(text);
  if (ns !== undefined) return ns;
  throw new NaruError("invalid_argument", `time: invalid duration "${text}"`);
}

/** Billionths of a CPU of `0.5`. Throws invalid_argument. */
export function parseCpus(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) {
    throw new NaruError("invalid_argument", `failed to parse ${text} as a rational number`);
  }
  if ((text.split(".")[1] ?? "").length > 9) {
    throw new NaruError("invalid_argument", "value is too precise");
  }
  return Math.round(Number(text) * 1e9);
}
