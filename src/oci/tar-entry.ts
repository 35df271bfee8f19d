import { GiB, KiB, MiB } from "../base/mod.ts";

export type TarEntryType =
  | "file"
  | "hardlink"
  | "symlink"
  | "char"
  | "block"
  | "directory"
  | "fifo";

/** One entry with all extensions applied. Texts hold bytes as latin1: names need not be UTF-8. */
export interface TarEntry {
  readonly type: TarEntryType;
  /** As in the archive: may be absolute, hold `..` or be empty. */
  readonly name: string;
  /** Target of links. */
  readonly linkName: string;
  /** Permissions with setuid, setgid and sticky: 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the file as it will be, holes included; 0 unless a file. */
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Attribute name to value (latin1). */
  readonly xattrs: ReadonlyMap<string, string>;
  /** Data comes in pieces; what is between them is zeros. */
  readonly sparse: boolean;
}

/** Bounds on what an archive may ask for. */
export interface TarLimits {
  readonly entriesMax: number;
  readonly nameBytesMax: number;
  /** One pax header, long name or sparse map. */
  readonly metaBytesMax: number;
  /** Sum of the sizes of all files, holes included. */
  readonly totalBytesMax: number;
}

export const TAR_LIMITS: TarLimits = {
  entriesMax: 2_000_000, // the largest public images have about 500,000 files in a layer
  nameBytesMax: 4096, // PATH_MAX: Linux cannot make a longer one
  metaBytesMax: MiB, // xattrs are 64 KiB each at most; Go's reader refuses above 1 MiB too
  totalBytesMax: 512 * GiB, // model layers of 100 GB exist
};

/** For showing: bytes as UTF-8 where they are, cut to a screen line. */
export function displayName(name: string): string {
  const text = Buffer.from(name.slice(0, KiB), "latin1").toString("utf8");
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** A latin1 text of bytes as the UTF-8 text that it usually is. */
export function utf8(name: string): string {
  return Buffer.from(name, "latin1").toString("utf8");
}

/** The reverse of `utf8`. */
export function byteText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
