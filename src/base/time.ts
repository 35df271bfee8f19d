import { NaruError } from "./errors.ts";

/** An instant as RFC 3339 in UTC with nanoseconds, as the Engine API writes it. */
export type Timestamp = string & { readonly __brand: "Timestamp" };

/** Go's zero time: "never" in the Engine API. */
export const ZERO_TIME: Timestamp = "0001-01-01T00:00:00Z" as Timestamp;

/** `2026-01-31T23:59:59.123456789Z`; trailing zeros of the fraction are dropped, as Go does. */
export function formatTimestamp(unixNs: bigint): Timestamp {
  const seconds = unixNs / 1_000_000_000n;
  const fraction = unixNs % 1_000_000_000n;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  if (fraction === 0n) return `${whole}Z` as Timestamp;
  const digits = fraction.toString().padStart(9, "0").replace(/0+$/, "");
  return `${whole}.${digits}Z` as Timestamp;
}

const RFC3339 = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/;

/** Nanoseconds since the epoch of an RFC 3339 text. Throws invalid_argument. */
export function parseTimestamp(text: string): bigint {
  const match = RFC3339.exec(text);
  const wholeMs = match === null ? Number.NaN : Date.parse(`${match[1]}${match[3]}`);
  if (match === null || Number.isNaN(wholeMs)) {
    throw new NaruError("invalid_argument", `invalid time "${text}": want RFC 3339`);
  }
  return BigInt(wholeMs) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

/** Nanoseconds since the epoch of `seconds[.nanoseconds]` or RFC 3339, as since and until take. */
export function parseInstant(text: string): bigint {
  const match = /^(-?\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) return parseTimestamp(text);
  const fraction = BigInt((match[2] ?? "").padEnd(9, "0"));
  const seconds = BigInt(match[1] ?? "0") * 1_000_000_000n;
  return seconds < 0n ? seconds - fraction : seconds + fraction;
}
