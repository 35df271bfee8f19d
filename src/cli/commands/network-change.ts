import { NaruError } from "../../base/mod.ts";
import type { EndpointSettings } from "../../spec/mod.ts";
import type { Command } from "../command.ts";
import { pairsObject } from "../container/csv.ts";
import { parseIpam } from "../container/ipam-spec.ts";
import { bool, list, text } from "../flags/flag.ts";
import { forEachName } from "./each.ts";

export const networkCreateCommand: Command = {
  path: "network create",
  usage: "NETWORK",
  summary: "Create a network",
  flags: [
    bool("attachable", "", "Enable manual container attachment"),
    list("aux-address", "", "Auxiliary IPv4 or IPv6 addresses used by Network driver", {
      value: "map",
    }),
    text("config-from", "", "The network from which to copy the configuration"),
    bool("config-only", "", "Create a configuration only network"),
    text("driver", "d", "Driver to manage the Network", { preset: "bridge" }),
    list("gateway", "", "IPv4 or IPv6 Gateway for the subnet"),
    bool("ingress", "", "Create swarm routing-mesh network", { hidden: true }),
    bool("internal", "", "Restrict external access to the network"),
    list("ip-range", "", "Allocate container ip from a sub-range"),
    text("ipam-driver", "", "IP Address Management Driver", { preset: "default" }),
    list("ipam-opt", "", "Set IPAM driver specific options", { value: "map" }),
    bool("ipv4", "", "Enable or disable IPv4 address assignment", { preset: true }),
    bool("ipv6", "", "Enable or disable IPv6 address assignment"),
    list("label", "", "Set metadata on a network"),
    list("opt", "o", "Set driver specific options", { value: "map" }),
    text("scope", "", "Control the network's scope", { hidden: true }),
    list("subnet", "", "Subnet in CIDR format that represents a network segment"),
  ],
  minArgs: 1,
  maxArgs: 1,
  examples: [
    "network create app",
    "network create --ipv6 --internal backend",
    "network create --subnet 10.9.0.0/24 --gateway 10.9.0.254 lab",
  ],
  async run({ context, values, args: [name = ""] }) {
    const from = values.string("config-from");
    const request = {
      Name: name,
      Driver: values.string("driver"),
      ...(values.string("scope") === "" ? {} : { Scope: values.string("scope") }),
      ...(values.has("ipv4") ? { EnableIPv4: values.bool("ipv4") } : {}),
      ...(values.has("ipv6") ? { EnableIPv6: values.bool("ipv6") } : {}),
      IPAM: {
        Driver: values.string("ipam-driver"),
        Options: pairsObject(values.list("ipam-opt")),
        Config: parseIpam(values),
      },
      Internal: values.bool("internal"),
      Ingress: values.bool("ingress"),
      Attachable: values.bool("attachable"),
      ConfigOnly: values.bool("config-only"),
      ...(from === "" ? {} : { ConfigFrom: { Network: from } }),
      Options: pairsObject(values.list("opt")),
      Labels: pairsObject(values.list("label")),
    };
    const engine = await context.engine();
    const { Id, Warning } = await engine.networks.create(request);
    if (Warning !== "") context.io.stderr.print(`WARNING: ${Warning}\n`);
    context.io.stdout.print(`${Id}\n`);
    return 0;
  },
};

export const networkRemoveCommand: Command = {
  path: "network rm",
  usage: "NETWORK [NETWORK...]",
  summary: "Remove one or more networks",
  flags: [bool("force", "f", "Do not error if the network does not exist")],
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  async run({ context, values, args }) {
    const force = values.bool("force");
    return await forEachName(context, args, async (engine, name) => {
      try {
        await engine.networks.remove(name);
      } catch (error) {
        if (force && isNotFound(error)) return "";
        throw error;
      }
      return name;
    });
  },
};

function isNotFound(error: unknown): boolean {
  return error instanceof NaruError && error.kind === "not_found";
}

export const networkConnectCommand: Command = {
  path: "network connect",
  usage: "NETWORK CONTAINER",
  summary: "Connect a container to a network, also while it runs",
  flags: [
    list("alias", "", "Add network-scoped alias for the container"),
    list("driver-opt", "", "Driver options for the network", { value: "map" }),
    text("gw-priority", "", "Highest gw-priority provides the default gateway", { value: "int" }),
    text("ip", "", 'IPv4 address (e.g., "172.30.100.104")'),
    text("ip6", "", 'IPv6 address (e.g., "2001:db8::33")'),
    list("link", "", "Add link to another container"),
    list("link-local-ip", "", "Add a link-local address for the container"),
  ],
  minArgs: 2,
  maxArgs: 2,
  examples: ["network connect app web", "network connect --ip 10.9.0.7 --alias db lab postgres"],
  async run({ context, values, args: [network = "", container = ""] }) {
    const priority = values.string("gw-priority");
    if (!/^-?\d*$/.test(priority)) {
      throw new NaruError("invalid_argument", `--gw-priority: want a number, got "${priority}"`);
    }
    const linkLocal = values.list("link-local-ip");
    const none = (texts: readonly string[]): string[] | null =>
      texts.length === 0 ? null : [...texts];
    const settings: Partial<EndpointSettings> = {
      IPAMConfig: {
        ...(values.has("ip") ? { IPv4Address: values.string("ip") } : {}),
        ...(values.has("ip6") ? { IPv6Address: values.string("ip6") } : {}),
        ...(linkLocal.length > 0 ? { LinkLocalIPs: [...linkLocal] } : {}),
      },
      Links: none(values.list("link")),
      Aliases: none(values.list("alias")),
      DriverOpts: pairsObject(values.list("driver-opt")),
      GwPriority: Number(priority),
    };
    const engine = await context.engine();
    await engine.networks.connect(network, container, settings);
    return 0;
  },
};

export const networkDisconnectCommand: Command = {
  path: "network disconnect",
  usage: "NETWORK CONTAINER",
  summary: "Disconnect a container from a network",
  flags: [bool("force", "f", "Force the container to disconnect from a network")],
  minArgs: 2,
  maxArgs: 2,
  async run({ context, values, args: [network = "", container = ""] }) {
    const engine = await context.engine();
    await engine.networks.disconnect(network, container, { force: values.bool("force") });
    return 0;
  },
};
