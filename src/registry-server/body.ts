import type { IncomingMessage } from "node:http";
import { streamBody } from "../transport/mod.ts";
import type { RegistryParts } from "./exchange.ts";
import { BODY_IDLE_MS, RATE_BYTES_MIN, RATE_WINDOW_MS } from "./limits.ts";
import { refusal } from "./refusal.ts";

/**
 * The body of an upload as it arrives. Only the time that the sender lets us wait counts for the rate
 * floor, so that a slow disk here never ends an upload.
 */
export async function* bodyAtRate(
  request: IncomingMessage,
  { clock, metrics }: Pick<RegistryParts, "clock" | "metrics">,
): AsyncGenerator<Uint8Array, void, undefined> {
  let waitedMs = 0;
  let bytes = 0;
  const source = streamBody(request, BODY_IDLE_MS);
  for (;;) {
    const askedMs = clock.nowMs();
    const next = await source.next();
    if (next.done === true) return;
    waitedMs += Math.max(0, clock.nowMs() - askedMs);
    bytes += next.value.byteLength;
    metrics.received(next.value.byteLength);
    if (waitedMs >= RATE_WINDOW_MS) {
      if (bytes < RATE_BYTES_MIN) {
        const message = `fewer than ${RATE_BYTES_MIN} bytes in ${RATE_WINDOW_MS / 1000} s`;
        throw refusal("BLOB_UPLOAD_INVALID", `the upload is too slow: ${message}`, 408);
      }
      waitedMs = 0;
      bytes = 0;
    }
    yield next.value;
  }
}

/** Throws SIZE_INVALID unless `source` has exactly `sizeBytes`. What is too much is not passed on. */
export async function* exactly(
  source: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = sizeBytes;
  for await (const chunk of source) {
    if (chunk.byteLength > left) {
      throw refusal("SIZE_INVALID", "the body is longer than its Content-Range");
    }
    left -= chunk.byteLength;
    yield chunk;
  }
  if (left > 0) throw refusal("SIZE_INVALID", "the body is shorter than its Content-Range");
}
