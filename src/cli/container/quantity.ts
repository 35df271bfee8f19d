import { NaruError } from "../../base/mod.ts";

const SIZE_POWERS: Readonly<Record<string, number>> = { "": 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Bytes of `64m`, `1.5g`, `1GiB`, `512`: binary units. Throws invalid_argument. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  const power = SIZE_POWERS[(match?.[2] ?? "").toLowerCase()];
  if (match === null || power === undefined) {
    throw new NaruError("invalid_argument", `invalid size: '${text}'`);
  }
  return Math.trunc(Number(match[1]) * 1024 ** power);
}

const DURATION_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds of `1m30s`, `100ms`, `1.5h`. Throws invalid_argument, as Go's ParseDuration does. */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  if (!/^-?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(text)) {
    throw new NaruError("invalid_argument", `time: invalid duration "${text}"`);
  }
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(number) * (DURATION_NS[unit ?? ""] ?? 0);
  }
  return Math.round(text.startsWith("-") ? -total : total);
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
