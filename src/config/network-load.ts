import { isIP } from "node:net";
import { NaruError } from "../base/mod.ts";
import type { NetworkConfig } from "./daemon-config.ts";
import type { Values } from "./option-values.ts";

/** The part of the configuration that says which addresses networks have. Throws invalid_argument. */
export function networksOf(values: Values): NetworkConfig {
  const cidr = (key: string, family: 4 | 6): string => checkCidr(key, family, values.text(key));
  const gateway = (key: string, family: 4 | 6): string => {
    const text = values.text(key);
    if (text !== "" && isIP(text) !== family) {
      throw new NaruError(
        "invalid_argument",
        `${key}: want an IPv${family} address, got "${text}"`,
      );
    }
    return text;
  };
  const bridge6 = {
    address: cidr("bip6", 6),
    fixedCidr: cidr("fixed-cidr-v6", 6),
    gateway: gateway("default-gateway-v6", 6),
  };
  const asked6 = Object.values(bridge6).some((text) => text !== "");
  if (asked6 && !values.flag("ipv6")) {
    const text =
      "bip6, fixed-cidr-v6, default-gateway-v6: the default bridge has no IPv6: add ipv6";
    throw new NaruError("invalid_argument", text);
  }
  return {
    bridge4: {
      address: cidr("bip", 4),
      fixedCidr: cidr("fixed-cidr", 4),
      gateway: gateway("default-gateway", 4),
    },
    bridge6: values.flag("ipv6") ? bridge6 : undefined,
    addressPools: values.items("default-address-pools").map(poolOf),
    networkOptions: defaultOptionsOf(values),
    hostGateways: hostGatewaysOf(values),
  };
}

const ROOM_BITS = 2; // a network of 4 addresses holds a gateway and a container

function checkCidr(key: string, family: 4 | 6, text: string): string {
  if (text === "") return text;
  const bits = family === 4 ? 32 : 128;
  const [address = "", prefix = "", ...rest] = text.split("/");
  const good = isIP(address) === family && /^\d{1,3}$/.test(prefix) && rest.length === 0;
  if (good && Number(prefix) >= 8 && Number(prefix) <= bits - ROOM_BITS) return text;
  const want = `want an IPv${family} address with a prefix of 8 to ${bits - ROOM_BITS}`;
  throw new NaruError("invalid_argument", `${key}: ${want}, got "${text}"`);
}

function poolOf(value: unknown): { readonly base: string; readonly size: number } {
  const shown = typeof value === "string" ? value : JSON.stringify(value);
  const parts: unknown = typeof value === "string" ? partsOf(value) : value;
  const { base, size, ...rest } = parts as { readonly base?: unknown; readonly size?: unknown };
  const key = "default-address-pools";
  const strange = Object.keys(rest).length > 0;
  if (typeof base !== "string" || !Number.isSafeInteger(size) || strange) {
    throw new NaruError("invalid_argument", `${key}: want base=subnet,size=bits, got ${shown}`);
  }
  const family = base.includes(":") ? 6 : 4;
  checkCidr(key, family, base);
  const prefix = Number(base.split("/")[1]);
  const bits = Number(size);
  const sizeMax = (family === 4 ? 32 : 128) - ROOM_BITS;
  if (bits >= prefix && bits <= sizeMax) return { base, size: bits };
  const want = `want a size from ${prefix} to ${sizeMax}`;
  throw new NaruError("invalid_argument", `${key}: ${want} for ${base}, got ${bits}`);
}

/** `base=10.20.0.0/16,size=24` */
function partsOf(text: string): Record<string, string | number> {
  const parts: Record<string, string | number> = {};
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.split("=", 2);
    parts[name] = name === "size" && /^\d{1,3}$/.test(value) ? Number(value) : value;
  }
  return parts;
}

function defaultOptionsOf(values: Values): NetworkConfig["networkOptions"] {
  const options: Record<string, Record<string, string>> = {};
  for (const [driver, value] of values.entries("default-network-opts")) {
    const own = (options[driver] ??= {});
    if (typeof value === "object") {
      for (const [name, one] of Object.entries(value ?? {})) own[name] = String(one);
      continue;
    }
    const text = typeof value === "string" ? value : "";
    const equals = text.indexOf("=");
    if (equals <= 0) {
      const want = "want driver=option=value";
      throw new NaruError(
        "invalid_argument",
        `default-network-opts: ${want}, got "${driver}=${text}"`,
      );
    }
    own[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return options;
}

function hostGatewaysOf(values: Values): readonly string[] {
  const addresses = values.list("host-gateway-ips");
  const families = addresses.map((address) => isIP(address));
  if (families.includes(0) || new Set(families).size < families.length) {
    const text = `host-gateway-ips: want one IPv4 and one IPv6 address at most, got ${addresses.join(", ")}`;
    throw new NaruError("invalid_argument", text);
  }
  return addresses;
}
