import { NaruError } from "../base/mod.ts";

/**
 * Records of a pax extended header: `LENGTH KEY=VALUE\n`, all as latin1 strings of bytes.
 * @see POSIX.1-2017 pax(1) "pax Extended Header"
 */
export function decodePax(bytes: Uint8Array): [key: string, value: string][] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const records: [string, string][] = [];
  let offset = 0;
  while (offset < text.length) {
    const blank = text.indexOf(" ", offset);
    const digits = blank === -1 ? "" : text.slice(offset, blank);
    const length = /^\d{1,9}$/.test(digits) ? Number(digits) : 0;
    const end = offset + length;
    if (length < digits.length + 4 || end > text.length || text[end - 1] !== "\n") {
      throw new NaruError("invalid_argument", "invalid pax header: a record has a wrong length");
    }
    const record = text.slice(blank + 1, end - 1);
    const equals = record.indexOf("=");
    if (equals <= 0) {
      throw new NaruError("invalid_argument", "invalid pax header: a record has no key");
    }
    records.push([record.slice(0, equals), record.slice(equals + 1)]);
    offset = end;
  }
  return records;
}

/** The reverse of decodePax, in the order of the map. */
export function encodePax(records: ReadonlyMap<string, string>): Uint8Array {
  const parts: string[] = [];
  for (const [key, value] of records) {
    const body = ` ${key}=${value}\n`;
    // The length counts its own digits.
    let length = body.length + 1;
    while (String(length).length + body.length !== length) length += 1;
    parts.push(`${length}${body}`);
  }
  return Buffer.from(parts.join(""), "latin1");
}
