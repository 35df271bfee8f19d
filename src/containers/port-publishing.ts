import { isNaruError, NaruError } from "../base/mod.ts";
import { planPorts } from "./port-plan.ts";
import type { ContainerRecord } from "./record.ts";
import type { Room } from "./room.ts";

/** In place of what the container has published. Throws in Docker's words, naming who has a port. */
export async function publishPorts(room: Room, record: ContainerRecord): Promise<void> {
  const requests = planPorts(record.config, record.hostConfig);
  const { network } = room.options;
  if (requests.length === 0 && network.publishedPorts(record.id).length === 0) return;
  try {
    await network.publishPorts(record.id, requests);
  } catch (error) {
    if (!isNaruError(error)) throw error;
    const holder = room.table.get(String(error.details["holder"] ?? ""));
    const who = holder === undefined ? "" : `container "${holder.name}" has the port: `;
    const where = `endpoint ${record.name} (${network.endpointsOf(record.id)[0]?.endpointId})`;
    const text = `driver failed programming external connectivity on ${where}: ${who}${error.message}`;
    throw new NaruError(error.kind, text, error.details, { cause: error });
  }
}
