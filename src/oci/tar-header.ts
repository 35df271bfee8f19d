import { NaruError } from "../base/mod.ts";

/**
 * The 512-byte header of POSIX ustar and of GNU tar. Texts are kept as bytes in `latin1` strings,
 * because names in archives need not be UTF-8.
 * @see POSIX.1-2017 pax(1) "ustar Interchange Format"; GNU tar manual "Basic Tar Format"
 */
export const BLOCK_BYTES: number = 512;

export interface RawHeader {
  /** Bytes as latin1. */
  name: string;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content that follow in the archive. */
  sizeBytes: number;
  mtimeNs: bigint;
  /** The type byte as a character; `\0` is given as `0`. */
  type: string;
  /** Bytes as latin1. */
  linkName: string;
  deviceMajor: number;
  deviceMinor: number;
  format: "v7" | "ustar" | "gnu";
}

/** Undefined for a block of zeros. Throws invalid_argument when the block is no header. */
export function decodeHeader(block: Uint8Array): RawHeader | undefined {
  const sums = checksums(block);
  if (sums.unsigned === 8 * 0x20 && block[0] === 0 && isZero(block)) return undefined;
  const wanted = octal(block, 148, 8, "checksum");
  // Historic tars summed signed bytes: either sum is accepted.
  if (wanted !== sums.unsigned && wanted !== sums.signed) {
    throw new NaruError("invalid_argument", "invalid tar header: the checksum does not match");
  }
  const format = formatOf(block);
  const name = text(block, 0, 100);
  const prefix = format === "ustar" ? text(block, 345, 155) : "";
  const type = block[156] === 0 ? "0" : String.fromCharCode(block[156] as number);
  const device = type === "3" || type === "4";
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8, "mode"),
    uid: number(block, 108, 8, "uid"),
    gid: number(block, 116, 8, "gid"),
    sizeBytes: number(block, 124, 12, "size"),
    mtimeNs: BigInt(signedNumber(block, 136, 12, "mtime")) * 1_000_000_000n,
    type,
    linkName: text(block, 157, 100),
    deviceMajor: device ? number(block, 329, 8, "device number") : 0,
    deviceMinor: device ? number(block, 337, 8, "device number") : 0,
    format,
  };
}

function formatOf(block: Uint8Array): RawHeader["format"] {
  const magic = latin1(block, 257, 263);
  if (magic === "ustar\0") return "ustar";
  return magic === "ustar " ? "gnu" : "v7";
}

function checksums(block: Uint8Array): { unsigned: number; signed: number } {
  let unsigned = 8 * 0x20; // the sum's own field counts as blanks
  let high = 0;
  for (let index = 0; index < BLOCK_BYTES; index += 1) {
    if (index === 148) index = 156;
    const byte = block[index] as number;
    unsigned += byte;
    high += byte >>> 7;
  }
  return { unsigned, signed: unsigned - 256 * high };
}

/** True when all bytes are zero. */
export function isZero(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.byteLength; index += 1) if (bytes[index] !== 0) return false;
  return true;
}

export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(
    "latin1",
    start,
    end,
  );
}

function text(block: Uint8Array, offset: number, length: number): string {
  let end = offset;
  while (end < offset + length && block[end] !== 0) end += 1;
  return latin1(block, offset, end);
}

/** Octal digits, or GNU's base-256 when the first bit is set. Refuses what is negative or unsafe. */
export function number(block: Uint8Array, offset: number, length: number, field: string): number {
  const value = signedNumber(block, offset, length, field);
  if (value < 0) throw new NaruError("invalid_argument", `invalid tar header: negative ${field}`);
  return value;
}

function signedNumber(block: Uint8Array, offset: number, length: number, field: string): number {
  const first = block[offset] as number;
  if ((first & 0x80) === 0) return octal(block, offset, length, field);
  // Two's complement, most significant byte first; the first byte has 7 bits, of which one is the sign.
  let value = (first & 0x40) === 0 ? BigInt(first & 0x3f) : BigInt(first & 0x3f) - 64n;
  for (let index = offset + 1; index < offset + length; index += 1) {
    value = (value << 8n) | BigInt(block[index] as number);
  }
  const small = Number(value);
  if (!Number.isSafeInteger(small)) {
    throw new NaruError("invalid_argument", `invalid tar header: ${field} is too large`);
  }
  return small;
}

function octal(block: Uint8Array, offset: number, length: number, field: string): number {
  let value = 0;
  let index = offset;
  const end = offset + length;
  while (index < end && block[index] === 0x20) index += 1;
  for (; index < end; index += 1) {
    const byte = block[index] as number;
    if (byte === 0 || byte === 0x20) break;
    if (byte < 0x30 || byte > 0x37) {
      throw new NaruError("invalid_argument", `invalid tar header: ${field} is no octal number`);
    }
    value = value * 8 + (byte - 0x30);
  }
  return value;
}

/** What `encodeHeader` could not put into its fields and a pax record must carry. */
export type PaxRecords = Map<string, string>;

/** Writes `header` as ustar; what does not fit is added to `pax`, which the caller writes before it. */
export function encodeHeader(header: RawHeader, pax: PaxRecords): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  const put = (offset: number, length: number, value: string): void => {
    block.set(Buffer.from(value.slice(0, length), "latin1"), offset);
  };
  putName(header.name, pax, put);
  putText(header.linkName, 157, 100, "linkpath", pax, put);
  const putNumber = (value: number, offset: number, length: number, key: string): void => {
    const fits = value >= 0 && value < 8 ** (length - 1);
    if (!fits) pax.set(key, String(value));
    put(offset, length, (fits ? value : 0).toString(8).padStart(length - 1, "0"));
  };
  putNumber(header.mode & 0o7777, 100, 8, "mode");
  putNumber(header.uid, 108, 8, "uid");
  putNumber(header.gid, 116, 8, "gid");
  putNumber(header.sizeBytes, 124, 12, "size");
  const seconds = floorSeconds(header.mtimeNs);
  const whole = seconds * 1_000_000_000n === header.mtimeNs;
  if (!whole || seconds < 0n || seconds >= 8n ** 11n) pax.set("mtime", paxTime(header.mtimeNs));
  const plain = seconds >= 0n && seconds < 8n ** 11n ? seconds : 0n;
  put(136, 12, plain.toString(8).padStart(11, "0"));
  put(156, 1, header.type);
  put(257, 8, "ustar\u000000");
  if (header.type === "3" || header.type === "4") {
    putDevice(block, 329, header.deviceMajor);
    putDevice(block, 337, header.deviceMinor);
  }
  put(148, 8, `${checksums(block).unsigned.toString(8).padStart(6, "0")}\0 `);
  return block;
}

function floorSeconds(timeNs: bigint): bigint {
  const seconds = timeNs / 1_000_000_000n;
  return timeNs < 0n && seconds * 1_000_000_000n !== timeNs ? seconds - 1n : seconds;
}

/** Octal when it fits in seven digits, else base-256 as GNU writes it: pax has no standard record. */
function putDevice(block: Uint8Array, offset: number, value: number): void {
  if (value < 8 ** 7) {
    block.set(Buffer.from(value.toString(8).padStart(7, "0"), "latin1"), offset);
    return;
  }
  const view = new DataView(block.buffer);
  view.setUint8(offset, 0x80);
  view.setUint32(offset + 4, value);
}

function putName(
  name: string,
  pax: PaxRecords,
  put: (offset: number, length: number, value: string) => void,
): void {
  const plain = isAscii(name);
  if (name.length <= 100) {
    put(0, 100, name);
    if (!plain) pax.set("path", name);
    return;
  }
  // ustar splits at a slash: at most 155 bytes before it and 100 after.
  const slash = name.lastIndexOf("/", 155);
  if (plain && slash > 0 && name.length - slash - 1 <= 100 && name.length > slash + 1) {
    put(0, 100, name.slice(slash + 1));
    put(345, 155, name.slice(0, slash));
    return;
  }
  put(0, 100, name);
  pax.set("path", name);
}

function putText(
  value: string,
  offset: number,
  length: number,
  key: string,
  pax: PaxRecords,
  put: (offset: number, length: number, value: string) => void,
): void {
  put(offset, length, value);
  if (value.length > length || !isAscii(value)) pax.set(key, value);
}

/** True for 7-bit text without control bytes that would end a field. */
export function isAscii(value: string): boolean {
  for (let index = 0; index < value.length; index += 1) {
    if (value.charCodeAt(index) > 0x7f) return false;
  }
  return true;
}

/** Seconds with up to nine decimals, as pax writes times. */
export function paxTime(timeNs: bigint): string {
  const sign = timeNs < 0n ? "-" : "";
  const size = timeNs < 0n ? -timeNs : timeNs;
  const fraction = (size % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  return `${sign}${size / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The reverse of paxTime; more than nine decimals are cut. Throws invalid_argument. */
export function parsePaxTime(value: string): bigint {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value);
  if (match === null) {
    throw new NaruError("invalid_argument", `invalid pax time "${value.slice(0, 40)}"`);
  }
  const fraction = BigInt((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  const size = BigInt(match[2] ?? "0") * 1_000_000_000n + fraction;
  return match[1] === "-" ? -size : size;
}
