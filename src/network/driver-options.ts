import { NaruError } from "../base/mod.ts";
import type { SharedLinkKind } from "../linux/mod.ts";
import type { GatewayMode } from "./firewall/contract.ts";

/** What a bridge network's options say. @see docs.docker.com, bridge network driver */
export interface BridgeOptionValues {
  /** Name of the link, "" for one of naru's. */
  readonly linkName: string;
  readonly icc: boolean;
  readonly masquerade: boolean;
  readonly hostBinding4: string;
  /** Bytes; 0: 1500. */
  readonly mtu: number;
  readonly interfacePrefix: string;
  readonly gatewayMode4: GatewayMode;
  readonly gatewayMode6: GatewayMode;
}

const BRIDGE = "com.docker.network.bridge.";
const MTU = "com.docker.network.driver.mtu";
const PREFIX = "com.docker.network.container_iface_prefix";
const GATEWAY_MODES: readonly GatewayMode[] = ["nat", "routed", "nat-unprotected", "isolated"];
const LINK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/; // IFNAMSIZ with its NUL
const INTERFACE_PREFIX = /^[a-zA-Z][a-zA-Z0-9_.-]{0,11}$/; // a number follows
const MTU_MAX = 65_535;

/** Throws invalid_argument naming the option; one that nobody knows is refused too. */
export function parseBridgeOptions(options: Readonly<Record<string, string>>): BridgeOptionValues {
  const known = new Set([
    ...["name", "enable_icc", "enable_ip_masquerade", "host_binding_ipv4", "inhibit_ipv4"].map(
      (name) => BRIDGE + name,
    ),
    ...["gateway_mode_ipv4", "gateway_mode_ipv6", "default_bridge"].map((name) => BRIDGE + name),
    ...[MTU, PREFIX],
  ]);
  refuseUnknown(options, known);
  if (flagOf(options, `${BRIDGE}inhibit_ipv4`, false)) {
    throw new NaruError(
      "unsupported",
      `${BRIDGE}inhibit_ipv4 is not supported: leave the address out with EnableIPv4=false`,
    );
  }
  const linkName = options[`${BRIDGE}name`] ?? "";
  if (linkName !== "" && !LINK_NAME.test(linkName)) throw bad(`${BRIDGE}name`, linkName);
  const interfacePrefix = options[PREFIX] ?? "eth";
  if (!INTERFACE_PREFIX.test(interfacePrefix)) throw bad(PREFIX, interfacePrefix);
  return {
    linkName,
    icc: flagOf(options, `${BRIDGE}enable_icc`, true),
    masquerade: flagOf(options, `${BRIDGE}enable_ip_masquerade`, true),
    hostBinding4: options[`${BRIDGE}host_binding_ipv4`] ?? "",
    mtu: mtuOf(options),
    interfacePrefix,
    gatewayMode4: gatewayMode(options, `${BRIDGE}gateway_mode_ipv4`),
    gatewayMode6: gatewayMode(options, `${BRIDGE}gateway_mode_ipv6`),
  };
}

/** What a macvlan or ipvlan network's options say. */
export interface SharedOptionValues {
  /** "" for a link that leads nowhere. */
  readonly parent: string;
  readonly shared: SharedLinkKind;
  readonly mtu: number;
}

const MACVLAN_MODES = ["bridge", "private", "vepa", "passthru"] as const;
const IPVLAN_MODES = ["l2", "l3", "l3s"] as const;
const IPVLAN_FLAGS = ["bridge", "private", "vepa"] as const;

export function parseSharedOptions(
  driver: "macvlan" | "ipvlan",
  options: Readonly<Record<string, string>>,
): SharedOptionValues {
  const mode = `${driver}_mode`;
  const flag = `${driver}_flag`;
  const known = ["parent", mode, MTU, ...(driver === "ipvlan" ? [flag] : [])];
  refuseUnknown(options, new Set(known));
  const parent = options["parent"] ?? "";
  if (parent !== "" && !LINK_NAME.test(parent)) throw bad("parent", parent);
  const shared: SharedLinkKind =
    driver === "macvlan"
      ? { kind: "macvlan", mode: choice(options, mode, MACVLAN_MODES) }
      : {
          kind: "ipvlan",
          mode: choice(options, mode, IPVLAN_MODES),
          flag: choice(options, flag, IPVLAN_FLAGS),
        };
  return { parent, shared, mtu: mtuOf(options) };
}

function refuseUnknown(
  options: Readonly<Record<string, string>>,
  known: ReadonlySet<string>,
): void {
  const strange = Object.keys(options).find((key) => !known.has(key));
  if (strange === undefined) return;
  const text = `Options: "${strange.slice(0, 100)}" is not known to this network driver`;
  throw new NaruError("invalid_argument", text, { field: "Options" });
}

function choice<T extends string>(
  options: Readonly<Record<string, string>>,
  key: string,
  values: readonly [T, ...T[]],
): T {
  const text = options[key];
  if (text === undefined || text === "") return values[0];
  const found = values.find((value) => value === text);
  if (found === undefined) throw bad(key, text);
  return found;
}

function gatewayMode(options: Readonly<Record<string, string>>, key: string): GatewayMode {
  const text = options[key] ?? "nat";
  const found = GATEWAY_MODES.find((mode) => mode === text);
  if (found === undefined) throw bad(key, text);
  return found;
}

function flagOf(options: Readonly<Record<string, string>>, key: string, preset: boolean): boolean {
  const text = options[key];
  if (text === undefined) return preset;
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw bad(key, text);
}

function mtuOf(options: Readonly<Record<string, string>>): number {
  const text = options[MTU] ?? "0";
  const mtu = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  // RFC 791: every link carries 68 bytes.
  if (mtu === 0 || (mtu >= 68 && mtu <= MTU_MAX)) return mtu;
  throw bad(MTU, text);
}

function bad(key: string, value: string): NaruError {
  const text = `invalid value "${value.slice(0, 100)}" for the network option ${key}`;
  return new NaruError("invalid_argument", text, { field: "Options" });
}
