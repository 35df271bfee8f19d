import { NaruError, newId } from "../base/mod.ts";
import type { NetworkCreateBody, NetworkIpamConfig } from "../spec/mod.ts";
import { parseBridgeOptions, parseSharedOptions } from "./driver-options.ts";
import {
  containsIp,
  type IpNetwork,
  ipText,
  needAddress,
  needNetwork,
  networkText,
  sizeOf,
} from "./ip-network.ts";
import type { NetworkRange, NetworkRow, UserNetwork } from "./network-row.ts";
import { type AddressPool, checkFree, checkUsable, chooseSubnet } from "./subnets.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const NAME_CHARACTERS_MAX = 255;
const DRIVERS = ["bridge", "macvlan", "ipvlan"] as const;

export interface PlanContext {
  /** Subnets of this engine's networks, which nothing may overlap. */
  readonly own: readonly IpNetwork[];
  /** What the host has an address in or a route to, besides. */
  readonly host: readonly IpNetwork[];
  readonly pools: readonly AddressPool[];
  /** A network whose configuration is taken, by name or id. */
  readonly configOf: (ref: string) => UserNetwork | undefined;
  /** Of a link that naru makes. */
  readonly linkName: (id: string) => string;
  readonly createdAt: string;
}

/** The row of a new network; nothing is made yet. Throws invalid_argument, forbidden, exhausted. */
export function planNetwork(asked: NetworkCreateBody, context: PlanContext): NetworkRow {
  checkName(asked.Name);
  const driver = driverOf(asked);
  refuseSwarm(asked);
  const body = withConfigFrom(asked, context);
  const enableIPv4 = body.EnableIPv4 ?? true;
  const enableIPv6 =
    body.EnableIPv6 ?? (body.IPAM?.Config ?? []).some(({ Subnet }) => Subnet.includes(":"));
  if (!enableIPv4 && !enableIPv6 && !body.ConfigOnly) {
    throw new NaruError("invalid_argument", "IPv4 or IPv6 must be enabled");
  }
  const id = newId();
  const user: UserNetwork = {
    enableIPv4,
    enableIPv6,
    internal: body.Internal,
    attachable: body.Attachable,
    configOnly: body.ConfigOnly,
    configFrom: asked.ConfigFrom?.Network ?? "",
    ipamDriver: body.IPAM?.Driver || "default",
    ipamOptions: body.IPAM?.Options ?? null,
    ranges: rangesOf(body, { enableIPv4, enableIPv6 }, context),
    options: body.Options ?? {},
    labels: body.Labels ?? {},
  };
  const common = { id, name: body.Name, driver, createdAt: context.createdAt, user };
  if (body.ConfigOnly) return common;
  if (driver === "bridge") {
    const { linkName } = parseBridgeOptions(user.options);
    return { ...common, link: linkName || context.linkName(id), madeByEngine: true };
  }
  const { parent } = parseSharedOptions(driver, user.options);
  return { ...common, link: parent || context.linkName(id) };
}

function checkName(name: string): void {
  if (name === "") throw new NaruError("invalid_argument", "network name cannot be empty");
  if (NAME.test(name) && name.length <= NAME_CHARACTERS_MAX) return;
  throw new NaruError(
    "invalid_argument",
    `invalid network name "${printable(name)}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
  );
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 100)).slice(1, -1);
}

function driverOf(body: NetworkCreateBody): (typeof DRIVERS)[number] {
  const name = body.Driver === "" ? "bridge" : body.Driver;
  const found = DRIVERS.find((driver) => driver === name);
  if (found !== undefined) return found;
  if (name === "host" || name === "null" || name === "none") {
    const shown = name === "none" ? "null" : name;
    throw new NaruError("forbidden", `only one instance of "${shown}" network is allowed`);
  }
  if (name === "overlay") {
    throw new NaruError(
      "unavailable",
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    );
  }
  throw new NaruError(
    "not_found",
    `could not find plugin ${printable(name)} in v1 plugin registry: plugin not found`,
  );
}

function refuseSwarm(body: NetworkCreateBody): void {
  if (body.Ingress) throw new NaruError("unsupported", "Ingress: naru has no swarm mode");
  if (body.Scope !== "" && body.Scope !== "local") {
    throw new NaruError(
      "unsupported",
      `Scope: "${printable(body.Scope)}" networks need swarm mode, which naru has not`,
    );
  }
  const driver = body.IPAM?.Driver ?? "";
  if (driver !== "" && driver !== "default") {
    throw new NaruError(
      "not_found",
      `IPAM.Driver: could not find plugin ${printable(driver)} in v1 plugin registry: plugin not found`,
    );
  }
}

/** The configuration of another network, with the name and the scope of this one. */
function withConfigFrom(body: NetworkCreateBody, { configOf }: PlanContext): NetworkCreateBody {
  const from = body.ConfigFrom?.Network ?? "";
  if (from === "") return body;
  if (body.ConfigOnly) {
    throw new NaruError(
      "invalid_argument",
      "a configuration network cannot take its configuration from another",
    );
  }
  const config = configOf(from);
  if (config === undefined) {
    throw new NaruError("not_found", `configuration network ${printable(from)} not found`);
  }
  if ((body.IPAM?.Config ?? []).length > 0 || Object.keys(body.Options ?? {}).length > 0) {
    throw new NaruError(
      "invalid_argument",
      "user supplied options are not supported when a configuration network is specified",
    );
  }
  return {
    ...body,
    EnableIPv4: config.enableIPv4,
    EnableIPv6: config.enableIPv6,
    Internal: config.internal,
    Options: { ...config.options },
    IPAM: {
      Driver: config.ipamDriver,
      Options: config.ipamOptions,
      Config: config.ranges
        .filter(({ asked }) => asked)
        .map(({ subnet, ipRange, gateway, auxiliary }) => ({
          Subnet: subnet,
          IPRange: ipRange,
          Gateway: gateway,
          AuxiliaryAddresses: { ...auxiliary },
        })),
    },
  };
}

function rangesOf(
  body: NetworkCreateBody,
  enabled: { readonly enableIPv4: boolean; readonly enableIPv6: boolean },
  context: PlanContext,
): NetworkRange[] {
  const asked = (body.IPAM?.Config ?? []).map((config) => askedRange(config));
  const families = [
    [4, enabled.enableIPv4],
    [6, enabled.enableIPv6],
  ] as const;
  return families.flatMap(([family, wanted]) => {
    const own = asked.filter((range) => range.family === family);
    if (own.length > 1) {
      throw new NaruError(
        "invalid_argument",
        `IPAM.Config: a network has one IPv${family} subnet; make a second network for the other`,
      );
    }
    if (!wanted) {
      if (own.length === 0) return [];
      throw new NaruError(
        "invalid_argument",
        `IPAM.Config: IPv${family} is not enabled for this network`,
      );
    }
    if (body.ConfigOnly) return own.map(({ range }) => range);
    const [given] = own;
    if (given !== undefined) {
      checkFree(given.network, context.own);
      return [withGateway(given, body)];
    }
    const network = chooseSubnet(family, [...context.own, ...context.host], context.pools);
    return [withGateway({ family, network, range: blank(network) }, body)];
  });
}

interface AskedRange {
  readonly family: 4 | 6;
  readonly network: IpNetwork;
  readonly range: NetworkRange;
}

function askedRange(config: NetworkIpamConfig): AskedRange {
  if (config.Subnet === "") {
    throw new NaruError("invalid_argument", "IPAM.Config: every element needs a Subnet");
  }
  const network = needNetwork(config.Subnet, "subnet");
  checkUsable(network);
  const { family } = network;
  if (config.IPRange !== "") {
    const range = needNetwork(config.IPRange, "ip-range");
    if (!containsIp(network, range.base) || range.prefixLength < network.prefixLength) {
      throw new NaruError(
        "invalid_argument",
        `invalid ip-range ${config.IPRange}: parent subnet is ${config.Subnet}`,
      );
    }
  }
  if (config.Gateway !== "") needAddress(config.Gateway, network, "gateway");
  const auxiliary = config.AuxiliaryAddresses ?? {};
  for (const [name, address] of Object.entries(auxiliary)) {
    needAddress(address, network, `auxiliary address ${name.slice(0, 100)}`);
  }
  const { IPRange: ipRange, Gateway: gateway } = config;
  const range = { family, subnet: networkText(network), ipRange, gateway, auxiliary, asked: true };
  return { family, network, range };
}

function blank(network: IpNetwork): NetworkRange {
  const { family } = network;
  return {
    family,
    subnet: networkText(network),
    ipRange: "",
    gateway: "",
    auxiliary: {},
    asked: false,
  };
}

/** The first address that is nobody's, unless the network leads nowhere beyond its parent. */
function withGateway(
  { family, network, range }: AskedRange,
  body: NetworkCreateBody,
): NetworkRange {
  if (range.gateway !== "") return range;
  const isolated =
    body.Options?.[`com.docker.network.bridge.gateway_mode_ipv${family}`] === "isolated";
  if (isolated && body.Internal) return range;
  const taken = new Set(Object.values(range.auxiliary));
  const last = network.base + sizeOf(network) - 1n;
  for (let number = network.base + 1n; number < last; number += 1n) {
    const text = ipText(family, number);
    if (!taken.has(text)) return { ...range, gateway: text };
  }
  throw new NaruError("exhausted", `no address is left for the gateway of ${range.subnet}`);
}
