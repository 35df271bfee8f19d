import { assert } from "../base/mod.ts";
import { gathered } from "./gathered.ts";
import type { TarEntry, TarEntryType } from "./tar-entry.ts";
import { BLOCK_BYTES, encodeHeader, type PaxRecords, type RawHeader } from "./tar-header.ts";
import { encodePax } from "./tar-pax.ts";

const TYPE_BYTES: Readonly<Record<TarEntryType, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** An entry as one writes it: what is left out has the usual value. Texts are latin1 bytes. */
export type TarEntryInput = Pick<TarEntry, "name"> & Partial<Omit<TarEntry, "name" | "sparse">>;

/** The blocks in front of an entry's content: a pax header when something needs one, and ustar. */
export function encodeTarEntry(input: TarEntryInput): Uint8Array {
  const type = input.type ?? "file";
  const raw: RawHeader = {
    name: input.name,
    mode: input.mode ?? (type === "directory" ? 0o755 : 0o644),
    uid: input.uid ?? 0,
    gid: input.gid ?? 0,
    sizeBytes: type === "file" ? (input.sizeBytes ?? 0) : 0,
    mtimeNs: input.mtimeNs ?? 0n,
    type: TYPE_BYTES[type],
    linkName: input.linkName ?? "",
    deviceMajor: input.deviceMajor ?? 0,
    deviceMinor: input.deviceMinor ?? 0,
    format: "ustar",
  };
  const pax: PaxRecords = new Map();
  const block = encodeHeader(raw, pax);
  for (const [name, value] of input.xattrs ?? []) pax.set(`SCHILY.xattr.${name}`, value);
  if (pax.size === 0) return block;
  const body = encodePax(pax);
  const header = encodeHeader(
    {
      ...raw,
      name: "PaxHeaders/entry",
      type: "x",
      sizeBytes: body.byteLength,
      mtimeNs: 0n,
      linkName: "",
      uid: 0,
      gid: 0,
      mode: 0o644,
    },
    new Map(),
  );
  return Buffer.concat([header, body, tarPadding(body.byteLength), block]);
}

/** Zeros that fill the last block of `sizeBytes` of content. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** The end of an archive: two blocks of zeros. */
export function tarTrailer(): Uint8Array {
  return new Uint8Array(2 * BLOCK_BYTES);
}

export interface TarFileInput {
  readonly entry: TarEntryInput;
  /** Exactly `entry.sizeBytes` bytes; left out for everything but files with content. */
  readonly content?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Writes an archive as a stream. Content that is not as long as announced fails an assertion. */
export function writeTar(
  files: AsyncIterable<TarFileInput> | Iterable<TarFileInput>,
): AsyncGenerator<Uint8Array, void, undefined> {
  return gathered(piecesOf(files));
}

async function* piecesOf(
  files: AsyncIterable<TarFileInput> | Iterable<TarFileInput>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { entry, content } of files) {
    yield encodeTarEntry(entry);
    const sizeBytes = (entry.type ?? "file") === "file" ? (entry.sizeBytes ?? 0) : 0;
    let written = 0;
    for await (const chunk of content ?? []) {
      written += chunk.byteLength;
      assert(written <= sizeBytes, `the content of ${entry.name} fits its announced size`);
      yield chunk;
    }
    assert(written === sizeBytes, `the content of ${entry.name} has its announced size`);
    const fill = tarPadding(sizeBytes);
    if (fill.byteLength > 0) yield fill;
  }
  yield tarTrailer();
}
