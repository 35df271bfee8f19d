import { NaruError, ZERO_TIME } from "../../base/mod.ts";
import type { NetworkSummary } from "../../network/mod.ts";
import { type ContainerSummary, decodeFilters } from "../../spec/mod.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";

const FILTERS: ReadonlySet<string> = new Set([
  "dangling",
  "driver",
  "id",
  "label",
  "name",
  "scope",
  "type",
]);

const list: PlainHandler = (call, { networks }) => {
  const filters = decodeFilters(call.query.text("filters"), FILTERS);
  const wanted = networks.networks().filter((network) => matches(network, filters));
  call.json(wanted.map(networkShape));
};

const inspect: PlainHandler = async (call, { networks, containers }) => {
  const ref = call.param;
  const byPrefix = networks.networks().filter((network) => network.id.startsWith(ref));
  const found = networks.networkByName(ref) ?? (byPrefix.length === 1 ? byPrefix[0] : undefined);
  if (found === undefined)
    throw new NaruError("not_found", `network ${ref.slice(0, 100)} not found`);
  const running = await containers.list({
    all: false,
    limit: 0,
    size: false,
    filters: new Map([["network", [found.name]]]),
  });
  call.json({ ...networkShape(found), Containers: placesOn(found, running) });
};

/** Who is on a network now: lists of networks leave them out. @see reference EndpointResource */
function placesOn(
  network: NetworkSummary,
  running: readonly ContainerSummary[],
): Record<string, unknown> {
  const places = running.flatMap(({ Id, Names: [name = ""], State, NetworkSettings }) => {
    const endpoint = NetworkSettings.Networks[network.name];
    if (endpoint === undefined || State === "restarting") return [];
    const { EndpointID, MacAddress, IPAddress, IPPrefixLen } = endpoint;
    const IPv4Address = IPAddress === "" ? "" : `${IPAddress}/${IPPrefixLen}`;
    return [[Id, { Name: name.slice(1), EndpointID, MacAddress, IPv4Address, IPv6Address: "" }]];
  });
  return Object.fromEntries(places);
}

/** All of these networks are built in, local and without labels. */
function matches(
  network: NetworkSummary,
  filters: ReadonlyMap<string, readonly string[]>,
): boolean {
  const facts: Readonly<Record<string, (value: string) => boolean>> = {
    dangling: (value) => value === "false" || value === "0",
    driver: (value) => value === network.driver,
    id: (value) => network.id.startsWith(value),
    label: () => false,
    name: (value) => network.name.includes(value),
    scope: (value) => value === "local",
    type: (value) => value === "builtin",
  };
  return [...filters].every(
    ([key, values]) => values.length === 0 || values.some((value) => facts[key]?.(value)),
  );
}

/** @see reference engine-api Network */
function networkShape(network: NetworkSummary): Record<string, unknown> {
  const pool = {
    Subnet: network.subnet,
    ...(network.gateway === "" ? {} : { Gateway: network.gateway }),
  };
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt === "" ? ZERO_TIME : network.createdAt,
    Scope: "local",
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: network.subnet === "" ? [] : [pool] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
  };
}

export const NETWORK_ROUTES: readonly EngineRoute[] = [
  plain("GET /networks", list),
  plain("GET /networks/{id}", inspect),
];
