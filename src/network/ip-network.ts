import ipaddr from "ipaddr.js";
import { NaruError } from "../base/mod.ts";

export type IpFamily = 4 | 6;

/** A network of either family: the number of its first address, and the length of its prefix. */
export interface IpNetwork {
  readonly family: IpFamily;
  readonly base: bigint;
  readonly prefixLength: number;
}

export function bitsOf(family: IpFamily): number {
  return family === 4 ? 32 : 128;
}

/** Undefined for anything but one whole address: no short forms, no octal, no zone, no IPv4 in IPv6. */
export function parseIp(
  text: string,
): { readonly family: IpFamily; readonly number: bigint } | undefined {
  const four = ipaddr.IPv4.isValidFourPartDecimal(text);
  if (!four && (!ipaddr.IPv6.isValid(text) || text.includes("%") || text.includes("."))) {
    return undefined;
  }
  const bytes = (four ? ipaddr.IPv4.parse(text) : ipaddr.IPv6.parse(text)).toByteArray();
  const number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  return { family: four ? 4 : 6, number };
}

/** In the shortest usual form. */
export function ipText(family: IpFamily, number: bigint): string {
  const bytes: number[] = [];
  for (let rest = number, at = 0; at < bitsOf(family) / 8; at += 1, rest >>= 8n) {
    bytes.unshift(Number(rest & 255n));
  }
  // RFC 5952: lower case, the longest run of zeros shortened.
  return family === 4 ? bytes.join(".") : new ipaddr.IPv6(bytes).toRFC5952String();
}

/** The first address of the network that `number` is in. */
export function baseOf(family: IpFamily, number: bigint, prefixLength: number): bigint {
  const hostBits = BigInt(bitsOf(family) - prefixLength);
  return (number >> hostBits) << hostBits;
}

export function sizeOf(network: IpNetwork): bigint {
  return 1n << BigInt(bitsOf(network.family) - network.prefixLength);
}

export function containsIp(network: IpNetwork, number: bigint): boolean {
  return number >= network.base && number < network.base + sizeOf(network);
}

export function overlaps(a: IpNetwork, b: IpNetwork): boolean {
  if (a.family !== b.family) return false;
  return a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

export function networkText({ family, base, prefixLength }: IpNetwork): string {
  return `${ipText(family, base)}/${prefixLength}`;
}

/** `172.18.0.0/16`; the address may be any of the network. Undefined for anything else. */
export function parseCidr(
  text: string,
): { readonly number: bigint; readonly network: IpNetwork } | undefined {
  const [address = "", prefix = "", ...rest] = text.split("/");
  const found = parseIp(address);
  if (found === undefined || !/^\d{1,3}$/.test(prefix) || rest.length > 0) return undefined;
  const { family, number } = found;
  const prefixLength = Number(prefix);
  if (prefixLength > bitsOf(family)) return undefined;
  return { number, network: { family, base: baseOf(family, number, prefixLength), prefixLength } };
}

/** As parseCidr; throws invalid_argument in Docker's words. */
export function needNetwork(text: string, what: string): IpNetwork {
  const found = parseCidr(text);
  if (found === undefined) {
    throw new NaruError(
      "invalid_argument",
      `invalid ${what} ${text.slice(0, 100)}: invalid CIDR block notation`,
    );
  }
  if (found.number !== found.network.base) {
    throw new NaruError(
      "invalid_argument",
      `invalid ${what} ${text}: it should be ${networkText(found.network)}`,
    );
  }
  return found.network;
}

/** One address of `network`. Throws invalid_argument naming `what`. */
export function needAddress(text: string, network: IpNetwork, what: string): bigint {
  const found = parseIp(text);
  if (found !== undefined && found.family === network.family && containsIp(network, found.number)) {
    return found.number;
  }
  throw new NaruError(
    "invalid_argument",
    `invalid ${what} ${text.slice(0, 100)}: not contained in ${networkText(network)}`,
  );
}
