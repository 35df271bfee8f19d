import type { ContainerRecord } from "./record.ts";
import type { Room } from "./room.ts";
import { networkModeOf } from "./start-parts.ts";

/**
 * Says that a container came onto its network or left it. One that shares another's network, or
 * whose network is gone, is on none of its own.
 */
export function publishNetwork(
  room: Room,
  record: ContainerRecord,
  action: "connect" | "disconnect",
): void {
  const { network, events } = room.options;
  const mode = networkModeOf(room, record);
  if (mode.kind === "container" || mode.kind === "named") return;
  const found = network.networkByName(mode.kind);
  if (found === undefined) return;
  events.publish({
    type: "network",
    action,
    id: found.id,
    attributes: { container: record.id, name: found.name, type: found.driver },
  });
}
