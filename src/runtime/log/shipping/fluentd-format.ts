import type { ShipMessage } from "./message.ts";
import { type Packable, packMessage } from "./msgpack.ts";
import type { LogOrigin } from "./plan.ts";

const NS_PER_S = 1_000_000_000n;

/**
 * Messages in Forward mode of Fluentd's Forward protocol v1: `[tag, [[time, record], ...], option]`.
 * With `chunkId` the peer answers `{"ack": chunkId}` once it has them.
 */
export function fluentdBatch(
  messages: readonly ShipMessage[],
  origin: LogOrigin,
  options: { readonly subSecond: boolean; readonly chunkId: string | undefined },
): Buffer {
  const entries = messages.map((message): Packable => {
    const seconds = Number(message.timeNs / NS_PER_S);
    const nanoseconds = Number(message.timeNs % NS_PER_S);
    return [options.subSecond ? { seconds, nanoseconds } : seconds, recordOf(message, origin)];
  });
  const option = new Map<string, Packable>([["size", messages.length]]);
  if (options.chunkId !== undefined) option.set("chunk", options.chunkId);
  return packMessage([origin.tag, entries, option]);
}

function recordOf(message: ShipMessage, origin: LogOrigin): ReadonlyMap<string, Packable> {
  const record = new Map<string, Packable>([
    ["container_id", origin.containerId],
    ["container_name", `/${origin.containerName}`],
    ["source", message.stream],
    ["log", message.line],
    ...Object.entries(origin.attributes),
  ]);
  const { partial } = message;
  if (partial !== undefined) {
    record.set("partial_message", "true");
    record.set("partial_id", partial.id);
    record.set("partial_ordinal", String(partial.ordinal));
    record.set("partial_last", String(partial.last));
  }
  return record;
}

/** What the peer answers to a batch with this chunk id. */
export function fluentdAck(chunkId: string): Buffer {
  return packMessage(new Map([["ack", chunkId]]));
}
