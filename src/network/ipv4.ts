import { NaruError } from "../base/mod.ts";

/** An IPv4 network: the number of its first address, and the length of its prefix. */
export interface Ipv4Network {
  readonly base: number;
  readonly prefixLength: number;
}

/** The number of an address in dotted form; undefined for anything else (no short forms, no octal). */
export function ipv4Number(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let number = 0;
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
    number = number * 256 + Number(part);
  }
  return number;
}

export function ipv4Text(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}

export function networkOf(address: number, prefixLength: number): Ipv4Network {
  const mask = prefixLength === 0 ? 0 : (0xffff_ffff << (32 - prefixLength)) >>> 0;
  return { base: (address & mask) >>> 0, prefixLength };
}

export function networkSize(network: Ipv4Network): number {
  return 2 ** (32 - network.prefixLength);
}

export function networksOverlap(a: Ipv4Network, b: Ipv4Network): boolean {
  return a.base < b.base + networkSize(b) && b.base < a.base + networkSize(a);
}

export function networkText(network: Ipv4Network): string {
  return `${ipv4Text(network.base)}/${network.prefixLength}`;
}

/** `172.17.0.1/16`: an address and the network that it is in. Throws invalid_argument naming `field`. */
export function parseIpv4Cidr(
  text: string,
  field: string,
): { readonly address: number; readonly network: Ipv4Network } {
  const [addressText = "", prefixText = "", ...rest] = text.split("/");
  const address = ipv4Number(addressText);
  const prefixLength = /^\d{1,2}$/.test(prefixText) ? Number(prefixText) : 33;
  // A network of two addresses has no room for a gateway and a container.
  if (address === undefined || prefixLength > 29 || prefixLength < 8 || rest.length > 0) {
    throw new NaruError(
      "invalid_argument",
      `invalid ${field} "${text}": want address/prefix, as 172.17.0.1/16`,
    );
  }
  return { address, network: networkOf(address, prefixLength) };
}

/** Classic Docker form: the same address has the same MAC, so that neighbour tables stay right. */
export function macForAddress(address: number): string {
  const bytes = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255);
  return ["02", "42", ...bytes.map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}
