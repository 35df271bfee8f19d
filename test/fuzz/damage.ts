import fc from "fast-check";

/** What happens to files: cut off, overwritten, zeroed by a torn write, doubled, lost. */
export type Damage =
  | { readonly kind: "truncate"; readonly at: number }
  | { readonly kind: "flip"; readonly at: number; readonly bits: number }
  | { readonly kind: "fill"; readonly at: number; readonly length: number; readonly byte: number }
  | { readonly kind: "double"; readonly at: number; readonly length: number }
  | { readonly kind: "drop"; readonly at: number; readonly length: number };

/** Positions are parts of a whole, so that one damage fits files of any length. */
const part = fc.double({ min: 0, max: 1, noNaN: true });
const length = fc.constantFrom(1, 7, 512, 4096, 10_000);

export const TORN: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ kind: fc.constant("truncate" as const), at: part }),
  fc.record({ kind: fc.constant("fill" as const), at: part, length, byte: fc.constant(0) }),
);

export const ANY_DAMAGE: fc.Arbitrary<Damage> = fc.oneof(
  TORN,
  fc.record({
    kind: fc.constant("flip" as const),
    at: part,
    bits: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({ kind: fc.constant("fill" as const), at: part, length, byte: fc.nat(255) }),
  fc.record({ kind: fc.constant("double" as const), at: part, length }),
  fc.record({ kind: fc.constant("drop" as const), at: part, length }),
);

export function damaged(bytes: Buffer, damage: Damage): Buffer {
  const at = Math.min(bytes.byteLength - 1, Math.floor(damage.at * bytes.byteLength));
  if (at < 0) return bytes;
  const before = bytes.subarray(0, at);
  switch (damage.kind) {
    case "truncate":
      return Buffer.from(before);
    case "flip": {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ damage.bits;
      return copy;
    }
    case "fill":
      return Buffer.from(bytes).fill(
        damage.byte,
        at,
        Math.min(bytes.byteLength, at + damage.length),
      );
    case "double":
      return Buffer.concat([bytes.subarray(0, at + damage.length), bytes.subarray(at)]);
    case "drop":
      return Buffer.concat([before, bytes.subarray(at + damage.length)]);
  }
}
