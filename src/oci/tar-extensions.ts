import { NaruError } from "../base/mod.ts";
import type { TarEntry, TarEntryType, TarLimits } from "./tar-entry.ts";
import { parsePaxTime, type RawHeader } from "./tar-header.ts";
import { decodeSparseList, type SparsePiece } from "./tar-sparse.ts";

const TYPES: ReadonlyMap<string, TarEntryType> = new Map([
  ["0", "file"],
  ["7", "file"], // contiguous: nothing special on Linux
  ["S", "file"], // GNU's old sparse files
  ["1", "hardlink"],
  ["2", "symlink"],
  ["3", "char"],
  ["4", "block"],
  ["5", "directory"],
  ["6", "fifo"],
]);

const XATTR = "SCHILY.xattr.";

/** What the headers before an entry say about it. */
export interface Extensions {
  /** Global pax records; they hold until changed. */
  readonly global: Map<string, string>;
  pax: readonly (readonly [string, string])[];
  longName: string | undefined;
  longLink: string | undefined;
}

export type SparsePlan =
  | { readonly kind: "none" }
  | { readonly kind: "pieces"; readonly pieces: SparsePiece[]; readonly fileBytes: number }
  /** Format 1.0: the map is in front of the content. */
  | { readonly kind: "prefix"; readonly fileBytes: number };

export interface ResolvedEntry {
  readonly entry: TarEntry;
  /** Bytes of content in the archive. */
  readonly storedBytes: number;
  readonly sparse: SparsePlan;
}

/** Applies `extensions` to `raw`. Throws invalid_argument. */
export function resolveEntry(
  raw: RawHeader,
  extensions: Extensions,
  limits: TarLimits,
): ResolvedEntry {
  const records = new Map(extensions.global);
  for (const [key, value] of extensions.pax) {
    // Empty takes a record back; an attribute, however, may well be empty.
    if (value === "" && !key.startsWith(XATTR)) records.delete(key);
    else records.set(key, value);
  }
  let type = TYPES.get(raw.type);
  if (type === undefined) {
    throw new NaruError("invalid_argument", `unsupported tar entry type "${raw.type}"`);
  }
  const sparse = sparsePlan(records, extensions.pax);
  const name =
    records.get("GNU.sparse.name") ?? records.get("path") ?? extensions.longName ?? raw.name;
  if (raw.type === "0" && name.endsWith("/")) type = "directory"; // as tars before 1988 have them
  const linkName = records.get("linkpath") ?? extensions.longLink ?? raw.linkName;
  checkText(name, "name", limits);
  checkText(linkName, "link name", limits);
  const storedBytes = type === "file" ? decimal(records.get("size"), raw.sizeBytes, "size") : 0;
  const sizeBytes = sparse.kind === "none" ? storedBytes : sparse.fileBytes;
  const mtime = records.get("mtime");
  const entry: TarEntry = {
    type,
    name,
    linkName,
    mode: raw.mode & 0o7777,
    uid: decimal(records.get("uid"), raw.uid, "uid"),
    gid: decimal(records.get("gid"), raw.gid, "gid"),
    sizeBytes,
    mtimeNs: mtime === undefined ? raw.mtimeNs : parsePaxTime(mtime),
    deviceMajor: raw.deviceMajor,
    deviceMinor: raw.deviceMinor,
    xattrs: xattrsOf(records),
    sparse: sparse.kind !== "none" || raw.type === "S",
  };
  return { entry, storedBytes, sparse };
}

const NO_XATTRS: ReadonlyMap<string, string> = new Map();

function xattrsOf(records: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  let found: Map<string, string> | undefined;
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR)) continue;
    found ??= new Map();
    found.set(key.slice(XATTR.length), value);
  }
  return found ?? NO_XATTRS;
}

function sparsePlan(
  records: ReadonlyMap<string, string>,
  local: readonly (readonly [string, string])[],
): SparsePlan {
  if (records.get("GNU.sparse.major") === "1" && records.get("GNU.sparse.minor") === "0") {
    return { kind: "prefix", fileBytes: fileSize(records, "GNU.sparse.realsize") };
  }
  const map = records.get("GNU.sparse.map");
  if (map !== undefined) {
    const fileBytes = fileSize(records, "GNU.sparse.size");
    return { kind: "pieces", pieces: decodeSparseList(map), fileBytes };
  }
  if (!records.has("GNU.sparse.numblocks")) return { kind: "none" };
  // Format 0.0: offset and numbytes come in turns, under the same two keys.
  const numbers = local
    .filter(([key]) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
    .map(([, value]) => value);
  const fileBytes = fileSize(records, "GNU.sparse.size");
  return { kind: "pieces", pieces: decodeSparseList(numbers.join(",")), fileBytes };
}

function fileSize(records: ReadonlyMap<string, string>, key: string): number {
  const value = records.get(key);
  if (value === undefined) {
    throw new NaruError("invalid_argument", `invalid sparse file: ${key} is missing`);
  }
  return decimal(value, 0, key);
}

function decimal(digits: string | undefined, otherwise: number, field: string): number {
  if (digits === undefined) return otherwise;
  if (!/^\d{1,15}$/.test(digits)) {
    throw new NaruError("invalid_argument", `invalid pax header: ${field} is no number`);
  }
  return Number(digits);
}

function checkText(value: string, field: string, limits: TarLimits): void {
  if (value.length > limits.nameBytesMax) {
    const message = `${field} has more than ${limits.nameBytesMax} bytes`;
    throw new NaruError("invalid_argument", message);
  }
  if (value.includes("\0")) {
    throw new NaruError("invalid_argument", `${field} has a zero byte`);
  }
}
