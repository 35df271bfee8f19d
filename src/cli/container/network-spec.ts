import { NaruError } from "../../base/mod.ts";
import type { EndpointIpamConfig, EndpointSettings } from "../../spec/mod.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { splitCsv, splitPair } from "./csv.ts";

interface NetworkRequest {
  target: string;
  aliases: string[];
  driverOptions: Record<string, string>;
  linkLocal: string[];
  links: string[];
  ip: string;
  ip6: string;
  mac: string;
  priority: number;
}

export interface NetworkSpecs {
  readonly mode: string;
  readonly endpoints: Record<string, EndpointSettings>;
  /** `--link`, which docker sends for the container and for a user-defined network. */
  readonly links: string[] | null;
}

/** `--network` in both forms and the flags that speak of the first network. */
export function parseNetworks(values: FlagValues): NetworkSpecs {
  const texts = values.list("network");
  const requests = (texts.length > 0 ? texts : ["default"]).map(parseNetwork);
  const first = requests[0] as NetworkRequest;
  addGeneralFlags(first, values);
  const endpoints: Record<string, EndpointSettings> = {};
  for (const request of requests) {
    if (request.target in endpoints) {
      throw invalid(`network "${request.target}" is specified multiple times`);
    }
    if (hasEndpoint(request.target)) endpoints[request.target] = endpointOf(request);
    else if (requests.length > 1) {
      throw invalid(
        `conflicting options: cannot attach both user-defined and non-user-defined network-modes`,
      );
    }
  }
  const links = values.list("link");
  return {
    mode: first.target,
    endpoints,
    links: links.length > 0 ? links : null,
  };
}

function hasEndpoint(target: string): boolean {
  // docker sends no endpoint for "bridge" by name, but one for "default".
  return !["none", "host", "bridge"].includes(target) && !target.startsWith("container:");
}

function isUserDefined(target: string): boolean {
  return hasEndpoint(target) && target !== "default" && target !== "bridge";
}

function addGeneralFlags(request: NetworkRequest, values: FlagValues): void {
  request.aliases.push(...values.list("network-alias"));
  request.linkLocal.push(...values.list("link-local-ip"));
  if (isUserDefined(request.target)) request.links.push(...values.list("link"));
  const put = (key: "ip" | "ip6" | "mac", flagName: string): void => {
    const value = values.string(flagName);
    if (value === "") return;
    if (request[key] !== "") {
      throw invalid(
        `conflicting options: cannot specify both --${flagName} and per-network ${flagName}`,
      );
    }
    request[key] = value;
  };
  put("ip", "ip");
  put("ip6", "ip6");
  put("mac", "mac-address");
  const addressed = request.ip !== "" || request.ip6 !== "" || request.aliases.length > 0;
  if (addressed && !hasEndpoint(request.target)) {
    throw invalid(
      `conflicting options: network-scoped aliases and addresses are not supported with --network ${request.target}`,
    );
  }
}

function parseNetwork(text: string): NetworkRequest {
  const request: NetworkRequest = {
    target: text,
    aliases: [],
    driverOptions: {},
    linkLocal: [],
    links: [],
    ip: "",
    ip6: "",
    mac: "",
    priority: 0,
  };
  if (!text.includes("=")) return request;
  request.target = "";
  for (const field of splitCsv(text)) {
    const { key, value } = splitPair(field);
    if (value === undefined)
      throw invalid(`invalid key/value pair format in driver options: ${field}`);
    applyField(request, key, value, field);
  }
  if (request.target === "") throw invalid("network name/id is not specified");
  return request;
}

function applyField(request: NetworkRequest, key: string, value: string, field: string): void {
  const equals = value.indexOf("=");
  switch (key) {
    case "name":
      request.target = value;
      return;
    case "alias":
      request.aliases.push(value);
      return;
    case "ip":
      request.ip = value;
      return;
    case "ip6":
      request.ip6 = value;
      return;
    case "mac-address":
      request.mac = value;
      return;
    case "link-local-ip":
      request.linkLocal.push(value);
      return;
    case "gw-priority":
      request.priority = Number(value);
      return;
    case "driver-opt":
      request.driverOptions[value.slice(0, equals)] = value.slice(equals + 1);
      return;
    default:
      throw invalid(`invalid field ${field}`);
  }
}

function endpointOf(request: NetworkRequest): EndpointSettings {
  const ipam: EndpointIpamConfig = {
    ...(request.ip === "" ? {} : { IPv4Address: request.ip }),
    ...(request.ip6 === "" ? {} : { IPv6Address: request.ip6 }),
    ...(request.linkLocal.length === 0 ? {} : { LinkLocalIPs: request.linkLocal }),
  };
  const options = Object.keys(request.driverOptions).length > 0;
  return {
    IPAMConfig: Object.keys(ipam).length > 0 ? ipam : null,
    Links: request.links.length > 0 ? request.links : null,
    Aliases: request.aliases.length > 0 ? request.aliases : null,
    MacAddress: request.mac,
    DriverOpts: options ? request.driverOptions : null,
    GwPriority: request.priority,
    NetworkID: "",
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
}

function invalid(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
