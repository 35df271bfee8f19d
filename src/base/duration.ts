import { parseInstant } from "./time.ts";

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds of Go's `1h2m3.5s`, `-5s` or `0`; undefined when it is none. @see time.ParseDuration */
export function parseDurationNs(text: string): number | undefined {
  if (text === "0") return 0;
  const sign = text.startsWith("-") ? -1 : 1;
  const body = text.replace(/^[+-]/, "");
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(body)) return undefined;
  let totalNs = 0;
  for (const [, count, unit = ""] of body.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)) {
    totalNs += Number(count) * (UNIT_NS[unit] ?? 0);
  }
  return sign * Math.round(totalNs);
}

/** Nanoseconds since the epoch of an instant, or of a duration before `nowNs`. @see parseInstant */
export function parseInstantOrAge(text: string, nowNs: bigint): bigint {
  const ageNs = parseDurationNs(text);
  return ageNs === undefined || text === "0" ? parseInstant(text) : nowNs - BigInt(ageNs);
}
