import { formatTimestamp } from "../../../base/mod.ts";
import { type ShipMessage, severityOf } from "./message.ts";
import type { LogOrigin } from "./plan.ts";

const SHORT_ID_LENGTH = 12;
const FIELD_NAME_BYTES_MAX = 64; // journald refuses longer names

/**
 * One datagram of journald's native protocol: `NAME=value\n`, or where the value has a newline
 * `NAME\n`, its length as 64 bits little endian, the value, `\n`.
 */
export function journaldMessage(message: ShipMessage, origin: LogOrigin): Buffer {
  const parts: Buffer[] = [];
  const add = (name: string, value: string | Uint8Array): void => {
    parts.push(...field(name, typeof value === "string" ? Buffer.from(value) : value));
  };
  add("MESSAGE", message.line);
  add("PRIORITY", String(severityOf(message.stream)));
  add("CONTAINER_ID", origin.containerId.slice(0, SHORT_ID_LENGTH));
  add("CONTAINER_ID_FULL", origin.containerId);
  add("CONTAINER_NAME", origin.containerName);
  add("CONTAINER_TAG", origin.tag);
  add("IMAGE_NAME", origin.imageName);
  add("SYSLOG_IDENTIFIER", origin.tag);
  add("SYSLOG_TIMESTAMP", formatTimestamp(message.timeNs));
  const { partial } = message;
  if (partial !== undefined) {
    if (!partial.last) add("CONTAINER_PARTIAL_MESSAGE", "true");
    add("CONTAINER_PARTIAL_ID", partial.id);
    add("CONTAINER_PARTIAL_ORDINAL", String(partial.ordinal));
    add("CONTAINER_PARTIAL_LAST", String(partial.last));
  }
  for (const [name, value] of Object.entries(origin.attributes)) {
    const safe = fieldName(name);
    if (safe !== "") add(safe, value);
  }
  return Buffer.concat(parts);
}

const NEWLINE = 0x0a;

function field(name: string, value: Uint8Array): Buffer[] {
  const end = Buffer.from("\n");
  if (!value.includes(NEWLINE)) return [Buffer.from(`${name}=`), Buffer.from(value), end];
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.byteLength));
  return [Buffer.from(`${name}\n`), length, Buffer.from(value), end];
}

/** journald takes A-Z, 0-9 and _, and drops fields that begin with _ or a digit. */
function fieldName(name: string): string {
  const safe = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_");
  return safe.replace(/^[_0-9]+/, "").slice(0, FIELD_NAME_BYTES_MAX);
}
