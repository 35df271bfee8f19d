/**
 * How a layer says that something below it is gone. @see OCI image-spec layer.md#whiteouts
 */
const PREFIX = ".wh.";
const OPAQUE = ".wh..wh..opq";
const RESERVED = ".wh..wh."; // aufs kept its own things under this; they mean nothing to others

export type Whiteout =
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "opaque" }
  | { readonly kind: "reserved" };

/** What the base name of an entry means; undefined for an ordinary file. */
export function whiteoutOf(baseName: string): Whiteout | undefined {
  if (!baseName.startsWith(PREFIX)) return undefined;
  if (baseName === OPAQUE) return { kind: "opaque" };
  if (baseName.startsWith(RESERVED)) return { kind: "reserved" };
  return { kind: "remove", name: baseName.slice(PREFIX.length) };
}
