import { NaruError } from "../base/mod.ts";
import type { PublishedPort } from "../network/mod.ts";
import type { PortBinding, PortsUpdateBody } from "../spec/mod.ts";
import { crashPoint } from "./crash-point.ts";
import { planPorts } from "./port-plan.ts";
import { publishPorts } from "./port-publishing.ts";
import type { ContainerRecord } from "./record.ts";
import { publish, type Room } from "./room.ts";
import { networkModeOf } from "./start-parts.ts";

/**
 * Changes which ports a container publishes, running or not; in the queue. All or nothing. What it
 * published before and still does is not touched: its connections go on. Throws invalid_argument,
 * not_found for a port to remove that is not published, internal when a port is taken.
 */
export async function updatePorts(room: Room, id: string, body: PortsUpdateBody): Promise<void> {
  const before = room.table.must(id);
  checkNetwork(room, before);
  const bindings = changedBindings(before, body, room.options.network.publishedPorts(id));
  const ports: Pick<ContainerRecord, "config" | "hostConfig"> = {
    hostConfig: { ...before.hostConfig, PortBindings: bindings },
    config: { ...before.config, ExposedPorts: exposed(before, body) },
  };
  planPorts(ports.config, ports.hostConfig); // throws
  // The row first: recovery publishes for a running container what its row says.
  const after = await room.table.update(id, (now) => ({ ...now, ...ports }));
  if (before.state.kind === "running") {
    crashPoint("publish.after-intent");
    try {
      await publishPorts(room, after);
    } catch (error) {
      const { config, hostConfig } = before;
      await room.table.update(id, (now) => ({ ...now, config, hostConfig }));
      throw error;
    }
    crashPoint("publish.after-apply");
  }
  publish(room, room.table.must(id), "update");
}

function checkNetwork(room: Room, record: ContainerRecord): void {
  const { kind } = networkModeOf(room, record);
  if (kind === "bridge" || kind === "named") return;
  const text = `container ${record.name} has no network of its own to publish ports of (it is on "${kind}")`;
  throw new NaruError("invalid_argument", text, { field: "Add" });
}

function changedBindings(
  { name, hostConfig }: ContainerRecord,
  body: PortsUpdateBody,
  published: readonly PublishedPort[],
): Record<string, PortBinding[]> {
  const bindings: Record<string, PortBinding[]> = {};
  for (const [key, list] of Object.entries(hostConfig.PortBindings ?? {})) {
    const full = fullKey(key);
    bindings[full] = [...(bindings[full] ?? []), ...(list ?? [])];
  }
  for (const [key, list] of Object.entries(body.Remove ?? {})) {
    const full = fullKey(key);
    for (const wanted of list === null || list.length === 0 ? [ANY] : list) {
      const have = bindings[full] ?? [];
      const left = have.filter((one) => !matches(one, wanted, full, published));
      if (left.length === have.length) throw notPublished(name, full, wanted);
      if (left.length === 0) delete bindings[full];
      else bindings[full] = left;
    }
  }
  for (const [key, list] of Object.entries(body.Add ?? {})) {
    const full = fullKey(key);
    bindings[full] = [...(bindings[full] ?? []), ...(list ?? [])];
  }
  return bindings;
}

const ANY: PortBinding = { HostIp: "", HostPort: "" };

/** What a removal leaves open matches all; a number that was chosen by the engine counts too. */
function matches(
  binding: PortBinding,
  wanted: PortBinding,
  key: string,
  published: readonly PublishedPort[],
): boolean {
  if (wanted.HostIp !== "" && wanted.HostIp !== binding.HostIp) return false;
  if (wanted.HostPort === "" || wanted.HostPort === binding.HostPort) return true;
  if (binding.HostPort !== "" && binding.HostPort !== "0") return false;
  return published.some(
    (port) =>
      `${port.containerPort}/${port.protocol}` === key && String(port.hostPort) === wanted.HostPort,
  );
}

function notPublished(name: string, key: string, { HostIp, HostPort }: PortBinding): NaruError {
  const outside = HostPort === "" ? "" : ` at ${HostIp === "" ? "" : `${HostIp}:`}${HostPort}`;
  return new NaruError("not_found", `container ${name} does not publish ${key}${outside}`);
}

function exposed(
  { config }: ContainerRecord,
  body: PortsUpdateBody,
): Record<string, Record<string, never>> {
  const added = Object.keys(body.Add ?? {}).map((key) => [fullKey(key), {}] as const);
  return { ...config.ExposedPorts, ...Object.fromEntries(added) };
}

/** `80` is `80/tcp`. */
function fullKey(key: string): string {
  return key.includes("/") ? key.toLowerCase() : `${key}/tcp`;
}
