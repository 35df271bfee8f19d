import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { NaruError, shortId } from "../base/mod.ts";
import type { Endpoint, EndpointRequest, NetworkMode, NetworkSummary } from "../network/mod.ts";
import type { EndpointSettings } from "../spec/mod.ts";
import { crashPoint } from "./crash-point.ts";
import { emptyEndpoint } from "./inspect-view.ts";
import { parseLink } from "./links.ts";
import { publishPorts } from "./port-publishing.ts";
import type { ContainerRecord } from "./record.ts";
import { bundleDir, type Room } from "./room.ts";
import { etcFilesOf, networkModeOf } from "./start-parts.ts";

type Asked = EndpointSettings | null;

/**
 * The networks that a container is to be on, that of its NetworkMode first, with what was asked for
 * each: by name or id, as the client wrote them.
 */
export function networksAsked(
  record: ContainerRecord,
  mode: NetworkMode,
): ReadonlyMap<string, Asked> {
  if (record.networks !== undefined) return new Map(Object.entries(record.networks));
  if (mode.kind !== "bridge" && mode.kind !== "named") return new Map();
  const main = mode.kind === "bridge" ? "bridge" : mode.name;
  const asked = new Map<string, Asked>([[main, null]]);
  for (const [key, settings] of Object.entries(record.networking.EndpointsConfig ?? {})) {
    asked.set(key === "default" ? "bridge" : key, settings);
  }
  return asked;
}

/** What the network room is asked for, in the order of the links inside. */
export function endpointRequests(
  room: Room,
  record: ContainerRecord,
  mode: NetworkMode,
): EndpointRequest[] {
  const { network } = room.options;
  const idOf = (ref: string): string => network.networkByName(ref)?.id ?? ref;
  // Compose and others name a network by its name in one place and by its id in another.
  const asked = new Map<string, readonly [string, Asked]>();
  for (const [ref, settings] of networksAsked(record, mode)) {
    asked.set(idOf(ref), [ref, settings ?? asked.get(idOf(ref))?.[1] ?? null]);
  }
  return [...asked.values()].map(([ref, settings], index) =>
    endpointRequest(room, record, [ref, settings], index === 0),
  );
}

function endpointRequest(
  room: Room,
  record: ContainerRecord,
  [ref, settings]: readonly [ref: string, settings: Asked],
  isFirst: boolean,
): EndpointRequest {
  const ownMac = isFirst ? (record.config.MacAddress ?? "") : "";
  const { IPAMConfig: ipam, Aliases: aliases } = settings ?? { IPAMConfig: null, Aliases: null };
  const names = [record.name, ...(aliases ?? []), shortId(record.id), record.config.Hostname];
  return {
    network: ref,
    macAddress: settings?.MacAddress || ownMac,
    ipv4Address: ipam?.IPv4Address ?? "",
    ipv6Address: ipam?.IPv6Address ?? "",
    gwPriority: settings?.GwPriority ?? 0,
    driverOptions: settings?.DriverOpts ?? {},
    dnsNames: [...new Set(names)].filter((name) => name !== ""),
    links: linksOf(room, [
      ...(settings?.Links ?? []),
      ...(isFirst ? (record.hostConfig.Links ?? []) : []),
    ]),
    upstreams: record.hostConfig.Dns ?? [],
  };
}

/** Of a user's network: names that only this container has for others. */
function linksOf(room: Room, links: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    links.map((text) => {
      const { ref, alias } = parseLink(text);
      return [alias, room.table.find(ref).id];
    }),
  );
}

/** The networks that a container is on, or will be on once it runs: by name, as inspect shows them. */
export function networksOf(room: Room, record: ContainerRecord): Record<string, EndpointSettings> {
  const { network } = room.options;
  const mode = networkModeOf(room, record);
  const running = record.state.kind === "running";
  const asked = networksAsked(record, mode);
  const byName = new Map<string, Asked>();
  for (const [ref, settings] of asked)
    byName.set(network.networkByName(ref)?.name ?? ref, settings);
  if (running && record.endpoints.length > 0) {
    return Object.fromEntries(
      record.endpoints.map((endpoint) => {
        const shown = network.endpointSettings(endpoint);
        return [endpoint.networkName, withAsked(shown, byName.get(endpoint.networkName) ?? null)];
      }),
    );
  }
  const fixed = mode.kind === "none" || mode.kind === "host" ? [[mode.kind, null] as const] : [];
  return Object.fromEntries(
    [...fixed, ...byName].map(([name, settings]) => {
      // Before the first start Docker knows the name only.
      const isKnown = running || record.runNumber > 0;
      const id = isKnown ? (network.networkByName(name)?.id ?? "") : "";
      return [name, withAsked(emptyEndpoint(id), settings)];
    }),
  );
}

function withAsked(shown: EndpointSettings, asked: Asked): EndpointSettings {
  if (asked === null) return shown;
  return {
    ...shown,
    IPAMConfig: asked.IPAMConfig,
    Links: asked.Links,
    Aliases: asked.Aliases,
    DriverOpts: asked.DriverOpts,
    GwPriority: asked.GwPriority ?? 0,
    MacAddress: shown.MacAddress || asked.MacAddress,
  };
}

/** Puts a container on one more network, in its queue. Throws forbidden, invalid_argument, not_found. */
export async function connectNetwork(
  room: Room,
  id: string,
  ref: string,
  settings: Asked,
): Promise<void> {
  const { network } = room.options;
  const record = room.table.must(id);
  const found = network.network(ref);
  checkConnectable(room, record, found);
  const asked = networksAsked(record, networkModeOf(room, record));
  if (isOn(room, asked, found)) {
    throw new NaruError(
      "forbidden",
      `endpoint with name ${record.name} already exists in network ${found.name}`,
    );
  }
  checkEndpointSettings(found.name, settings);
  const request = endpointRequest(room, record, [found.id, settings], false);
  network.checkEndpoint(request);
  const networks = { ...Object.fromEntries(asked), [found.name]: settings };
  if (record.state.kind !== "running") {
    await room.table.update(id, (now) => ({ ...now, networks }));
    return;
  }
  const endpoint = await network.connect(id, request);
  crashPoint("connect.after-endpoint");
  const after = await room.table.update(id, (now) => ({
    ...now,
    networks,
    endpoints: [...now.endpoints.filter(({ networkName }) => networkName !== "none"), endpoint],
  }));
  crashPoint("connect.after-commit");
  await publishPorts(room, after);
  await refreshEtcFiles(room, after);
  publishConnection(room, after, "connect", found);
}

/** Takes a container off a network, in its queue. Throws forbidden, not_found. */
export async function disconnectNetwork(room: Room, id: string, ref: string): Promise<void> {
  const { network } = room.options;
  const record = room.table.must(id);
  const found = network.network(ref);
  if (record.hostConfig.NetworkMode === "host" || found.name === "host") throw hostConflict();
  const asked = networksAsked(record, networkModeOf(room, record));
  const endpoint = record.endpoints.find(({ networkId }) => networkId === found.id);
  if (endpoint === undefined && !isOn(room, asked, found)) {
    const text = `container ${id} is not connected to network ${found.name}`;
    throw new NaruError("forbidden", text);
  }
  const rest = [...asked].filter(([key]) => network.networkByName(key)?.id !== found.id);
  const networks = Object.fromEntries(rest);
  if (record.state.kind !== "running" || endpoint === undefined) {
    await room.table.update(id, (now) => ({ ...now, networks }));
    return;
  }
  await network.disconnect(id, found.id);
  crashPoint("disconnect.after-endpoint");
  const after = await room.table.update(id, (now) => ({
    ...now,
    networks,
    endpoints: now.endpoints.filter(({ networkId }) => networkId !== found.id),
  }));
  await publishPorts(room, after);
  await refreshEtcFiles(room, after);
  publishConnection(room, after, "disconnect", found);
}

/** What a crash left between a connection and its record: one without the other goes. */
export async function finishConnections(room: Room, id: string): Promise<void> {
  const { network } = room.options;
  const record = room.table.must(id);
  const live = network.endpointsOf(id);
  const isRecorded = ({ endpointId }: Endpoint): boolean =>
    record.endpoints.some((one) => one.endpointId === endpointId);
  for (const endpoint of live) {
    if (!isRecorded(endpoint)) await network.disconnect(id, endpoint.networkId);
  }
  const isLive = ({ endpointId }: Endpoint): boolean =>
    live.some((one) => one.endpointId === endpointId);
  const gone = record.endpoints.filter((endpoint) => !isLive(endpoint));
  if (gone.length > 0) {
    const asked = networksAsked(record, networkModeOf(room, record));
    const ids = new Set(gone.map(({ networkId }) => networkId));
    const rest = [...asked].filter(([key]) => !ids.has(network.networkByName(key)?.id ?? ""));
    await room.table.update(id, (now) => ({
      ...now,
      networks: Object.fromEntries(rest),
      endpoints: now.endpoints.filter(isLive),
    }));
  }
  try {
    await publishPorts(room, record);
  } catch (error) {
    // A change that was cut off may name a port that another program has: that is no reason to lose the rest.
    room.options.logger.warn("publishing the ports of a container that was found", { id, error });
  }
  if (record.endpoints.length > 0) await refreshEtcFiles(room, room.table.must(id));
}

function isOn(room: Room, asked: ReadonlyMap<string, Asked>, { id }: NetworkSummary): boolean {
  return [...asked.keys()].some((key) => room.options.network.networkByName(key)?.id === id);
}

function checkConnectable(room: Room, record: ContainerRecord, found: NetworkSummary): void {
  const mode = networkModeOf(room, record);
  if (mode.kind === "host" || found.name === "host") throw hostConflict();
  if (mode.kind === "container") {
    throw new NaruError(
      "invalid_argument",
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
  }
  if (found.name === "none" || (mode.kind === "none" && record.networks === undefined)) {
    throw new NaruError(
      "invalid_argument",
      "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
  }
}

function hostConflict(): NaruError {
  return new NaruError(
    "invalid_argument",
    "container cannot be disconnected from host network or connected to host network",
  );
}

/** What only users' networks take; Docker's words. Throws invalid_argument, unsupported. */
export function checkEndpointSettings(name: string, settings: Asked): void {
  const isDefault = name === "bridge" || name === "default";
  const field = { field: "EndpointsConfig" };
  const ipam = settings?.IPAMConfig;
  const addressed = (ipam?.IPv4Address ?? "") !== "" || (ipam?.IPv6Address ?? "") !== "";
  if (isDefault && addressed) {
    const text = "user specified IP address is supported on user defined networks only";
    throw new NaruError("invalid_argument", text, field);
  }
  if (isDefault && (settings?.Aliases ?? []).length > 0) {
    const text = "network-scoped alias is supported only for containers in user defined networks";
    throw new NaruError("invalid_argument", text, field);
  }
  if ((ipam?.LinkLocalIPs ?? []).length > 0) {
    throw new NaruError(
      "unsupported",
      `EndpointsConfig.${name}.IPAMConfig.LinkLocalIPs is not supported`,
      field,
    );
  }
  const [option] = Object.keys(settings?.DriverOpts ?? {});
  if (option !== undefined) {
    const text = `EndpointsConfig.${name}.DriverOpts: "${option.slice(0, 100)}" is not known to naru's drivers`;
    throw new NaruError("invalid_argument", text, field);
  }
}

/** The files are bound into the container: they are written in place. */
async function refreshEtcFiles(room: Room, record: ContainerRecord): Promise<void> {
  const files = await etcFilesOf(room, record, networkModeOf(room, record), record.endpoints, []);
  const dir = bundleDir(room, record.id);
  const contents = { hosts: files.hosts, "resolv.conf": files.resolvConf };
  for (const [name, text] of Object.entries(contents)) {
    const path = join(dir, name);
    const before = await readFile(path, "utf8").catch(() => undefined);
    if (before !== undefined && before !== text) await writeFile(path, text);
  }
}

/** Says that a container came onto a network or left it. */
function publishConnection(
  room: Room,
  record: ContainerRecord,
  action: "connect" | "disconnect",
  { id, name, driver }: NetworkSummary,
): void {
  const attributes = { container: record.id, name, type: driver };
  room.options.events.publish({ type: "network", action, id, attributes });
}

/** The same of all networks of a run that begins or ends. */
export function publishNetworks(
  room: Room,
  record: ContainerRecord,
  endpoints: readonly Endpoint[],
  action: "connect" | "disconnect",
): void {
  const { network } = room.options;
  const mode = networkModeOf(room, record);
  const ids =
    mode.kind === "host"
      ? [network.networkByName("host")?.id ?? ""]
      : endpoints.map(({ networkId }) => networkId);
  for (const id of ids) {
    const found = network.networkByName(id);
    if (found !== undefined) publishConnection(room, record, action, found);
  }
}
