const UNIT_POWER: Readonly<Record<string, number>> = { "": 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Bytes of `64m`, `1.5GiB`, `1024`; units are powers of 1024. Undefined when it is no size. */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = UNIT_POWER[(match[2] ?? "").toLowerCase()] ?? 0;
  const sizeBytes = Math.trunc(Number(match[1]) * 1024 ** power);
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined;
}
