import { NaruError } from "../base/mod.ts";
import type { ContainerCreateBody } from "../spec/mod.ts";

/**
 * What a container that shares another's network cannot have of its own. Asked of what the client
 * sent: what the image brings (ports) is no wish of the client. Docker's words.
 * @throws invalid_argument
 */
export function checkSharedNetwork(asked: ContainerCreateBody): void {
  const { HostConfig: host } = asked;
  if (!host.NetworkMode.startsWith("container:")) return;
  const published = Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts;
  const conflicts: readonly [field: string, asks: boolean, what: string][] = [
    ["Hostname", asked.Hostname !== "", "hostname and the network mode"],
    ["HostConfig.Dns", (host.Dns ?? []).length > 0, "dns and the network mode"],
    [
      "HostConfig.ExtraHosts",
      (host.ExtraHosts ?? []).length > 0,
      "custom host-to-IP mapping and the network mode",
    ],
    ["HostConfig.PortBindings", published, "port publishing and the container type network mode"],
    [
      "ExposedPorts",
      Object.keys(asked.ExposedPorts ?? {}).length > 0,
      "port exposing and the container type network mode",
    ],
  ];
  for (const [field, asks, what] of conflicts) {
    if (asks) throw new NaruError("invalid_argument", `conflicting options: ${what}`, { field });
  }
}
