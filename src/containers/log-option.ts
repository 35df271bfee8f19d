import { NaruError, parseDurationNs, parseSizeBytes } from "../base/mod.ts";
import type { LogOptions } from "./log-attributes.ts";

/** An error of one log option, in Docker's words where it has them. */
export function badLogOption(message: string): NaruError {
  return new NaruError("invalid_argument", message, { field: "LogConfig" });
}

const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Go's ParseBool. */
export function boolOption(options: LogOptions, name: string, fallback: boolean): boolean {
  const text = options[name];
  if (text === undefined || text === "") return fallback;
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw badLogOption(`invalid ${name} value: ${text}`);
}

/** A whole number of at least `min`. */
export function countOption(
  options: LogOptions,
  name: string,
  bounds: { readonly fallback: number; readonly min: number; readonly message?: string },
): number {
  const text = options[name];
  if (text === undefined || text === "") return bounds.fallback;
  const count = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= bounds.min) return count;
  throw badLogOption(bounds.message ?? `invalid ${name}: '${text}'`);
}

const NS_PER_MS = 1e6;

/** Go's durations, in milliseconds. */
export function durationOption(options: LogOptions, name: string, fallbackMs: number): number {
  const text = options[name];
  if (text === undefined || text === "") return fallbackMs;
  const ns = parseDurationNs(text);
  if (ns === undefined || ns < 0) throw badLogOption(`invalid ${name}: '${text}'`);
  return Math.ceil(ns / NS_PER_MS);
}

/** `10m`, `64k`, `512`: more than nothing. */
export function sizeOption(options: LogOptions, name: string, fallbackBytes: number): number {
  const text = options[name];
  if (text === undefined) return fallbackBytes;
  const bytes = parseSizeBytes(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw badLogOption(`invalid ${name}: '${text}'`);
}
