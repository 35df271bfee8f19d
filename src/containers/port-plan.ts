import { isIP } from "node:net";
import { NaruError } from "../base/mod.ts";
import type { PortProtocol, PortRequest, PublishedPort } from "../network/mod.ts";
import type {
  ContainerConfig,
  HostConfig,
  NetworkSettings,
  PortBinding,
  PortSummary,
} from "../spec/mod.ts";

/** Each is a descriptor of netd and an element of the firewall: 10,000 take about a second. */
const PORTS_MAX = 10_000;
const PORT_MAX = 65_535;
const KEY = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i;

interface Range {
  readonly first: number;
  readonly last: number;
}

/**
 * What a container wants published: bindings, and with `-P` every exposed port that has none.
 * Throws invalid_argument in Docker's words; too_large beyond PORTS_MAX.
 */
export function planPorts(
  config: Pick<ContainerConfig, "ExposedPorts">,
  host: Pick<HostConfig, "PortBindings" | "PublishAllPorts">,
): PortRequest[] {
  const requests: PortRequest[] = [];
  const add = (request: PortRequest): void => {
    requests.push(request);
    if (requests.length <= PORTS_MAX) return;
    throw new NaruError(
      "invalid_argument",
      `HostConfig.PortBindings: more than ${PORTS_MAX} ports for one container`,
      { field: "PortBindings" },
    );
  };
  const bound = new Set<string>();
  for (const [key, bindings] of Object.entries(host.PortBindings ?? {})) {
    const { range, protocol } = parseKey(key);
    for (const binding of bindings ?? []) {
      for (const request of requestsOf(range, protocol, binding)) add(request);
    }
    if ((bindings ?? []).length > 0) {
      for (const port of numbers(range)) bound.add(`${port}/${protocol}`);
    }
  }
  if (!host.PublishAllPorts) return requests;
  for (const key of exposedKeys(config, host)) {
    if (bound.has(key)) continue;
    const { range, protocol } = parseKey(key);
    for (const request of requestsOf(range, protocol, { HostIp: "", HostPort: "" })) add(request);
  }
  return requests;
}

function requestsOf(range: Range, protocol: PortProtocol, binding: PortBinding): PortRequest[] {
  const hostAddresses = addressesOf(binding.HostIp);
  const host = parseHostPort(binding.HostPort);
  const count = range.last - range.first + 1;
  const pairs = count > 1 && host.first !== 0;
  if (pairs && host.last - host.first + 1 !== count) throw badPort(binding.HostPort);
  return numbers(range).map((containerPort, index) => ({
    protocol,
    containerPort,
    hostAddresses,
    hostPortFirst: pairs ? host.first + index : host.first,
    hostPortLast: pairs ? host.first + index : host.last,
  }));
}

/** None: wherever the network publishes. */
function addressesOf(text: string): readonly string[] {
  const address = text.replace(/^\[(.*)\]$/, "$1");
  if (address === "") return [];
  if (isIP(address) !== 0 && !address.includes("%")) return [address.toLowerCase()];
  throw new NaruError("invalid_argument", `ParseAddr("${text.slice(0, 60)}"): unable to parse IP`, {
    field: "PortBindings",
  });
}

/** "", "0": any; `8080`; `8000-8010`: one of them. */
function parseHostPort(text: string): Range {
  if (text === "" || text === "0") return { first: 0, last: 0 };
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > PORT_MAX || last < first) throw badPort(text);
  return { first, last };
}

function badPort(text: string): NaruError {
  const shown = text.slice(0, 60);
  return new NaruError("invalid_argument", `invalid port specification: "${shown}"`, {
    field: "PortBindings",
  });
}

function parseKey(key: string): { range: Range; protocol: PortProtocol } {
  const match = KEY.exec(key);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > PORT_MAX || last < first) throw badPort(key);
  const protocol = (match[3] ?? "tcp").toLowerCase() as PortProtocol;
  return { range: { first, last }, protocol };
}

function numbers({ first, last }: Range): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** `80/tcp` for each exposed or bound port; ranges as their ports. */
function exposedKeys(
  config: Pick<ContainerConfig, "ExposedPorts">,
  host: Pick<HostConfig, "PortBindings">,
): string[] {
  const keys = [...Object.keys(config.ExposedPorts ?? {}), ...Object.keys(host.PortBindings ?? {})];
  const all = keys.flatMap((key) => {
    const { range, protocol } = parseKey(key);
    return numbers(range).map((port) => `${port}/${protocol}`);
  });
  return [...new Set(all)];
}

/** Of a running container: `NetworkSettings.Ports` of an inspect. */
export function portMapView(
  config: Pick<ContainerConfig, "ExposedPorts">,
  host: Pick<HostConfig, "PortBindings">,
  published: readonly PublishedPort[],
): NetworkSettings["Ports"] {
  const ports: NetworkSettings["Ports"] = {};
  for (const key of exposedKeys(config, host)) ports[key] = null;
  for (const port of published) {
    const key = `${port.containerPort}/${port.protocol}`;
    ports[key] = [...(ports[key] ?? []), bindingOf(port)];
  }
  return ports;
}

function bindingOf({ hostAddress, hostPort }: PublishedPort): PortBinding {
  return { HostIp: hostAddress, HostPort: hostPort === 0 ? "" : String(hostPort) };
}

/** Of a running container: `Ports` of a list. */
export function portListView(
  config: Pick<ContainerConfig, "ExposedPorts">,
  host: Pick<HostConfig, "PortBindings">,
  published: readonly PublishedPort[],
): PortSummary[] {
  return Object.entries(portMapView(config, host, published)).flatMap(([key, bindings]) => {
    const [port = "", type = "tcp"] = key.split("/");
    const inside = { PrivatePort: Number(port), Type: type };
    if (bindings === null) return [inside];
    return bindings.map(({ HostIp, HostPort }) =>
      HostPort === ""
        ? inside
        : { IP: HostIp, PrivatePort: inside.PrivatePort, PublicPort: Number(HostPort), Type: type },
    );
  });
}
