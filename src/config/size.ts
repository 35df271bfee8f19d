import { NaruError } from "../base/mod.ts";

const UNIT_POWER: Readonly<Record<string, number>> = { b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Bytes of `64m`, `1.5GiB`, `1024`; units are powers of 1024. Throws invalid_argument naming `what`. */
export function parseSizeBytes(text: string, what: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgtp])?(?:i?b)?$/i.exec(text.trim());
  const sizeBytes =
    match === null
      ? Number.NaN
      : Number(match[1]) * 1024 ** (UNIT_POWER[(match[2] ?? "b").toLowerCase()] ?? 0);
  if (!Number.isSafeInteger(Math.floor(sizeBytes))) {
    throw new NaruError("invalid_argument", `${what}: invalid size "${text}", want one like 64m`);
  }
  return Math.floor(sizeBytes);
}
