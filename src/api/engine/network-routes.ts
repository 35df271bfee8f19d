import { NaruError, ZERO_TIME } from "../../base/mod.ts";
import type { NetworkSummary } from "../../network/mod.ts";
import { decodeFilters } from "../../spec/mod.ts";
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

const inspect: PlainHandler = (call, { networks }) => {
  const ref = call.param;
  const byPrefix = networks.networks().filter((network) => network.id.startsWith(ref));
  const found = networks.networkByName(ref) ?? (byPrefix.length === 1 ? byPrefix[0] : undefined);
  if (found === undefined)
    throw new NaruError("not_found", `network ${ref.slice(0, 100)} not found`);
  call.json(networkShape(found));
};

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
    Created: ZERO_TIME,
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
