import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { deflate, gzip } from "node:zlib";
import { formatTimestamp } from "../../../base/mod.ts";
import { type ShipMessage, severityOf } from "./message.ts";
import type { GelfTarget, LogOrigin } from "./plan.ts";

/** A GELF 1.1 payload. Bytes that are no UTF-8 become the replacement character. */
export function gelfMessage(message: ShipMessage, origin: LogOrigin): Buffer {
  const attributes = Object.entries(origin.attributes).map(
    ([name, value]) => [`_${name}`, value] as const,
  );
  const text = JSON.stringify({
    version: "1.1",
    host: origin.hostname,
    short_message: Buffer.from(message.line).toString("utf8"),
    timestamp: Number(message.timeNs / 1_000_000n) / 1000,
    level: severityOf(message.stream),
    _command: origin.command,
    _container_id: origin.containerId,
    _container_name: origin.containerName,
    _created: formatTimestamp(BigInt(origin.createdNs)),
    _image_id: origin.imageId,
    _image_name: origin.imageName,
    _tag: origin.tag,
    ...Object.fromEntries(attributes),
  });
  return Buffer.from(text);
}

export async function compressGelf(payload: Buffer, target: GelfTarget): Promise<Buffer> {
  switch (target.compression) {
    case "none":
      return payload;
    case "gzip":
      return await promisify(gzip)(payload, { level: target.level });
    case "zlib":
      return await promisify(deflate)(payload, { level: target.level });
  }
}

/** What fits an Ethernet frame with IPv4 and UDP headers and room to spare, as Docker sends. */
export const GELF_CHUNK_BYTES: number = 1420;
const HEADER_BYTES = 12;
const CHUNKS_MAX = 128; // GELF's own limit

/**
 * The datagrams of one payload: itself, or chunks with magic, message id, number and count.
 * undefined when it needs more than 128.
 */
export function gelfDatagrams(
  payload: Buffer,
  id: Uint8Array = randomBytes(8),
): readonly Buffer[] | undefined {
  if (payload.byteLength <= GELF_CHUNK_BYTES) return [payload];
  const size = GELF_CHUNK_BYTES - HEADER_BYTES;
  const count = Math.ceil(payload.byteLength / size);
  if (count > CHUNKS_MAX) return undefined;
  return Array.from({ length: count }, (_, index) => {
    const header = Buffer.from([0x1e, 0x0f, ...id, index, count]);
    return Buffer.concat([header, payload.subarray(index * size, (index + 1) * size)]);
  });
}
