import ipaddr from "ipaddr.js";
import { NaruError } from "../../base/mod.ts";
import type { NetworkIpamConfig } from "../../spec/mod.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { pairsObject } from "./csv.ts";

/** What is not asked for is left out, as docker's client does. */
type SubnetConfig = Partial<NetworkIpamConfig> & Pick<NetworkIpamConfig, "Subnet">;

/** `--subnet`, `--ip-range`, `--gateway` and `--aux-address`, each put to the subnet that it is in. */
export function parseIpam(values: FlagValues): SubnetConfig[] {
  const subnets = values.list("subnet");
  for (const [index, one] of subnets.entries()) {
    const clash = subnets.some(
      (other, at) => at < index && (contains(other, one) || contains(one, other)),
    );
    if (clash) throw invalid("multiple overlapping subnet configuration is not supported");
  }
  const configs: SubnetConfig[] = subnets.map((Subnet) => ({ Subnet }));
  const home = (what: string, text: string): SubnetConfig => {
    const found = configs.find(({ Subnet }) => contains(Subnet, text));
    if (found === undefined) throw invalid(`no matching subnet for ${what} ${text}`);
    return found;
  };
  const once = (key: "IPRange" | "Gateway", what: string, text: string): void => {
    const config = home(what, text);
    if (config[key] !== undefined) {
      const both = `${text}, ${config[key]}`;
      throw invalid(`cannot configure multiple ${what}s (${both}) on the same subnet`);
    }
    config[key] = text;
  };
  for (const range of values.list("ip-range")) once("IPRange", "range", range);
  for (const gateway of values.list("gateway")) once("Gateway", "gateway", gateway);
  for (const [name, address] of Object.entries(pairsObject(values.list("aux-address")))) {
    const config = home("aux-address", address);
    config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
  }
  return configs;
}

/** Is an address, or a whole range, inside the subnet? Throws invalid_argument for what is none. */
function contains(subnet: string, text: string): boolean {
  const [network, length] = parse(subnet);
  const [address, innerLength] = parse(text);
  if (network.kind() !== address.kind() || innerLength < length) return false;
  return address.match(network, length);
}

function parse(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  try {
    if (text.includes("/")) return ipaddr.parseCIDR(text);
    const address = ipaddr.parse(text);
    return [address, address.kind() === "ipv4" ? 32 : 128];
  } catch {
    throw invalid(`invalid CIDR address or IP address: ${text}`);
  }
}

function invalid(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
