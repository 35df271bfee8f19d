/** What this encoder takes: strings as text or bytes, whole numbers, and times of Fluentd. */
export type Packable =
  | string
  | number
  | Uint8Array
  | EventTime
  | readonly Packable[]
  | ReadonlyMap<string, Packable>;

/** Fluentd's EventTime: extension type 0, seconds and nanoseconds. */
export interface EventTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** MessagePack of one value. Bytes go as `str`, as Fluentd's peers expect of text. */
export function packMessage(value: Packable): Buffer {
  const parts: Buffer[] = [];
  pack(value, parts);
  return Buffer.concat(parts);
}

function pack(value: Packable, parts: Buffer[]): void {
  if (typeof value === "number") parts.push(packUnsigned(value));
  else if (typeof value === "string") packText(Buffer.from(value), parts);
  else if (value instanceof Uint8Array) packText(Buffer.from(value), parts);
  else if (value instanceof Map) {
    parts.push(head(value.size, 0x80, 16, [0, 0xde, 0xdf]));
    for (const [key, item] of value) {
      pack(key, parts);
      pack(item, parts);
    }
  } else if (Array.isArray(value)) {
    parts.push(head(value.length, 0x90, 16, [0, 0xdc, 0xdd]));
    for (const item of value) pack(item, parts);
  } else {
    const { seconds, nanoseconds } = value as EventTime;
    const bytes = Buffer.from([0xd7, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.writeUInt32BE(seconds, 2);
    bytes.writeUInt32BE(nanoseconds, 6);
    parts.push(bytes);
  }
}

function packText(bytes: Buffer, parts: Buffer[]): void {
  parts.push(head(bytes.byteLength, 0xa0, 32, [0xd9, 0xda, 0xdb]), bytes);
}

function packUnsigned(value: number): Buffer {
  return value < 0x80 ? Buffer.from([value]) : head(value, 0, 0, [0xcc, 0xcd, 0xce]);
}

/** A length or number: in the first byte when below `small`, else after a code by width (0: none). */
function head(
  size: number,
  fixed: number,
  small: number,
  [one, two, four]: readonly [number, number, number],
): Buffer {
  if (size < small) return Buffer.from([fixed | size]);
  if (one !== 0 && size <= 0xff) return Buffer.from([one, size]);
  if (size <= 0xffff) return Buffer.from([two, size >> 8, size & 0xff]);
  const bytes = Buffer.from([four, 0, 0, 0, 0]);
  bytes.writeUInt32BE(size, 1);
  return bytes;
}
