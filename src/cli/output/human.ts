import { MINUTE_MS, MS_NS } from "../../base/mod.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** `1.24MB`: decimal units and at most `digits` digits, as docker writes sizes. */
export function formatSize(bytes: number, digits = 4): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toPrecision(digits))}${UNITS[unit]}`;
}

/** `64MiB`: binary units, for limits. */
export function formatBinarySize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}

/** `Less than a second`, `2 minutes`, `About an hour`, `3 weeks`: docker's own words. */
export function formatDuration(durationMs: number): string {
  const seconds = Math.floor(durationMs / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(minutes / 60 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  const wholeHours = Math.floor(minutes / 60);
  if (wholeHours < 24 * 7 * 2) return `${Math.floor(wholeHours / 24)} days`;
  if (wholeHours < 24 * 30 * 2) return `${Math.floor(wholeHours / 24 / 7)} weeks`;
  if (wholeHours < 24 * 365 * 2) return `${Math.floor(wholeHours / 24 / 30)} months`;
  return `${Math.floor(wholeHours / 24 / 365)} years`;
}

/** `2 minutes ago`. */
export function formatAgo(thenMs: number, nowMs: number): string {
  return `${formatDuration(Math.max(0, nowMs - thenMs))} ago`;
}

/** `2026-01-31 23:59:59 +0000 UTC`, Go's default form, in UTC. */
export function formatGoTime(thenMs: number): string {
  return `${new Date(thenMs).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
}

/** An instant in the time zone of this machine: RFC 3339 with all nine digits, as docker prints it. */
export function formatLocalTime(unixNs: bigint): string {
  const at = new Date(Number(unixNs / MS_NS));
  const offsetMinutes = -at.getTimezoneOffset();
  const local = new Date(at.getTime() + offsetMinutes * MINUTE_MS).toISOString().slice(0, 19);
  const digits = (unixNs % 1_000_000_000n).toString().padStart(9, "0");
  return `${local}.${digits}${zoneText(offsetMinutes)}`;
}

function zoneText(offsetMinutes: number): string {
  if (offsetMinutes === 0) return "Z";
  const pad = (part: number): string => String(part).padStart(2, "0");
  const minutes = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? "-" : "+"}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}
