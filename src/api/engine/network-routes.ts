import {
  NaruError,
  parseDurationNs,
  parseTimestamp,
  systemClock,
  ZERO_TIME,
} from "../../base/mod.ts";
import type { DoctorSubject, NetworkSummary } from "../../network/mod.ts";
import {
  type ContainerSummary,
  decodeFilters,
  decodeNetworkConnect,
  decodeNetworkCreate,
  decodeNetworkDisconnect,
} from "../../spec/mod.ts";
import type { Call } from "./call.ts";
import { type EngineContext, type EngineRoute, type PlainHandler, plain } from "./handler.ts";

const FILTERS: ReadonlySet<string> = new Set([
  "dangling",
  "driver",
  "id",
  "label",
  "name",
  "scope",
  "type",
]);
const PRUNE_FILTERS: ReadonlySet<string> = new Set(["until", "label", "label!"]);
const IPAM_STATUS_SINCE = 1052;

type Filters = ReadonlyMap<string, readonly string[]>;

const list: PlainHandler = (call, context) => {
  const { networks } = context;
  const filters = decodeFilters(call.query.text("filters"), FILTERS);
  const isUsed = ({ id, builtIn }: NetworkSummary): boolean =>
    builtIn || networks.containersOn(id).length > 0;
  const wanted = networks.networks().filter((network) => matches(network, filters, isUsed));
  call.json(wanted.map((network) => networkShape(call, context, network)));
};

/** naru's own: why packets arrive or do not. */
const doctor: PlainHandler = async (call, context) => {
  const subject = async (ref: string): Promise<DoctorSubject> => {
    const { Id, Name, State, HostConfig } = await context.containers.inspect(ref, { size: false });
    const mode = context.networks.parseMode(HostConfig.NetworkMode);
    return { id: Id, name: Name.replace(/^\//, ""), running: State.Running, mode };
  };
  const target = call.query.text("target");
  const to = target === "" ? undefined : await subject(target);
  call.json(await context.networks.diagnose(await subject(call.param), to));
};

const inspect: PlainHandler = async (call, context) => {
  const found = context.networks.network(call.param);
  const scope = call.query.text("scope");
  if (scope !== "" && scope !== "local") {
    throw new NaruError("not_found", `network ${call.param.slice(0, 100)} not found`);
  }
  const running = await context.containers.list({
    all: false,
    limit: 0,
    size: false,
    filters: new Map([["network", [found.name]]]),
  });
  call.json({
    ...networkShape(call, context, found),
    Containers: placesOn(found, running),
    // Services are of swarm mode, which naru has not.
    ...(call.query.flag("verbose") ? { Services: {} } : {}),
  });
};

/** Who is on a network now: lists of networks leave them out. @see reference EndpointResource */
function placesOn(
  network: NetworkSummary,
  running: readonly ContainerSummary[],
): Record<string, unknown> {
  const places = running.flatMap(({ Id, Names: [name = ""], State, NetworkSettings }) => {
    const endpoint = NetworkSettings.Networks[network.name];
    if (endpoint === undefined || State === "restarting") return [];
    const { EndpointID, MacAddress } = endpoint;
    const IPv4Address = withPrefix(endpoint.IPAddress, endpoint.IPPrefixLen);
    const IPv6Address = withPrefix(endpoint.GlobalIPv6Address, endpoint.GlobalIPv6PrefixLen);
    return [[Id, { Name: name.slice(1), EndpointID, MacAddress, IPv4Address, IPv6Address }]];
  });
  return Object.fromEntries(places);
}

function withPrefix(address: string, prefixLength: number): string {
  return address === "" ? "" : `${address}/${prefixLength}`;
}

function matches(
  network: NetworkSummary,
  filters: Filters,
  isUsed: (network: NetworkSummary) => boolean,
): boolean {
  const facts: Readonly<Record<string, (value: string) => boolean>> = {
    dangling: (value) => isTrue(value) !== isUsed(network),
    driver: (value) => value === network.driver,
    id: (value) => network.id.startsWith(value),
    label: (value) => hasLabel(network, value),
    name: (value) => network.name.includes(value),
    scope: (value) => value === "local",
    type: (value) => value === (network.builtIn ? "builtin" : "custom"),
  };
  return [...filters].every(([key, values]) => {
    const test = facts[key];
    if (values.length === 0 || test === undefined) return true;
    // Every label must be there; of the others any.
    return key === "label" ? values.every(test) : values.some(test);
  });
}

function isTrue(value: string): boolean {
  return value === "true" || value === "1";
}

/** `name` or `name=value`. */
function hasLabel({ labels }: NetworkSummary, wanted: string): boolean {
  const equals = wanted.indexOf("=");
  if (equals === -1) return Object.hasOwn(labels, wanted);
  return labels[wanted.slice(0, equals)] === wanted.slice(equals + 1);
}

/** @see reference engine-api Network */
function networkShape(
  call: Call,
  { networks }: EngineContext,
  network: NetworkSummary,
): Record<string, unknown> {
  const used = networks.containersOn(network.id).length;
  const config = network.ipam.map(({ subnet, ipRange, gateway, auxiliary }) => ({
    Subnet: subnet,
    ...(ipRange === "" ? {} : { IPRange: ipRange }),
    ...(gateway === "" ? {} : { Gateway: gateway }),
    ...(Object.keys(auxiliary).length === 0 ? {} : { AuxiliaryAddresses: auxiliary }),
  }));
  const inUse = {
    Subnets: Object.fromEntries(config.map(({ Subnet }) => [Subnet, { IPsInUse: used }])),
  };
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt === "" ? ZERO_TIME : network.createdAt,
    Scope: "local",
    Driver: network.driver,
    EnableIPv4: network.enableIPv4,
    EnableIPv6: network.enableIPv6,
    IPAM: { Driver: network.ipamDriver, Options: network.ipamOptions, Config: config },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: network.configFrom },
    ConfigOnly: network.configOnly,
    Containers: {},
    Options: network.options,
    Labels: network.labels,
    ...(call.version >= IPAM_STATUS_SINCE && !network.builtIn ? { Status: { IPAM: inUse } } : {}),
  };
}

const create: PlainHandler = async (call, { networks }) => {
  const body = decodeNetworkCreate(await call.jsonBody());
  const { id, warning } = await networks.create(body);
  call.json({ Id: id, Warning: warning }, 201);
};

const remove: PlainHandler = async (call, { networks }) => {
  await networks.remove(call.param);
  call.empty(204);
};

const connect: PlainHandler = async (call, { networks, containers }) => {
  const body = decodeNetworkConnect(await call.jsonBody());
  const { id } = networks.network(call.param);
  await containers.connectNetwork(body.Container, id, body.EndpointConfig);
  call.empty(200);
};

const disconnect: PlainHandler = async (call, { networks, containers }) => {
  const { Container: container } = decodeNetworkDisconnect(await call.jsonBody());
  const { id } = networks.network(call.param);
  // Force is for endpoints whose container is gone, which naru has none of.
  await containers.disconnectNetwork(container, id);
  call.empty(200);
};

const prune: PlainHandler = async (call, { networks }) => {
  const filters = decodeFilters(call.query.text("filters"), PRUNE_FILTERS);
  const beforeNs = untilOf(filters);
  const unused = networks
    .networks()
    .filter(({ builtIn, id }) => !builtIn && networks.containersOn(id).length === 0)
    .filter((network) => (filters.get("label") ?? []).every((text) => hasLabel(network, text)))
    .filter((network) => !(filters.get("label!") ?? []).some((text) => hasLabel(network, text)))
    .filter(({ createdAt }) => beforeNs === undefined || parseTimestamp(createdAt) <= beforeNs);
  const deleted: string[] = [];
  for (const { id, name } of unused) {
    try {
      await networks.remove(id);
      deleted.push(name);
    } catch (error) {
      // A container came onto it meanwhile, or another client was faster.
      if (
        !(error instanceof NaruError) ||
        (error.kind !== "forbidden" && error.kind !== "not_found")
      )
        throw error;
    }
  }
  call.json({ NetworksDeleted: deleted.length === 0 ? null : deleted });
};

/** `10m` ago, RFC 3339 or unix seconds. */
function untilOf(filters: Filters): bigint | undefined {
  const [text] = filters.get("until") ?? [];
  if (text === undefined) return undefined;
  if (/^\d{1,12}$/.test(text)) return BigInt(text) * 1_000_000_000n;
  const ageNs = parseDurationNs(text);
  if (ageNs !== undefined) return systemClock.nowNs() - BigInt(ageNs);
  return parseTimestamp(text);
}

export const NETWORK_ROUTES: readonly EngineRoute[] = [
  plain("GET /networks", list),
  plain("GET /networks/{id}", inspect),
  plain("GET /naru/v1/containers/{id}/doctor", doctor),
  plain("POST /networks/create", create),
  plain("POST /networks/prune", prune, { since: 1025 }),
  plain("DELETE /networks/{id}", remove),
  plain("POST /networks/{id}/connect", connect),
  plain("POST /networks/{id}/disconnect", disconnect),
];
