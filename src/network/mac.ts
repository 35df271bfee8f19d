import { randomBytes } from "node:crypto";
import { isIPv4 } from "node:net";

/**
 * Classic Docker form: the same IPv4 address has the same MAC, so that neighbours' tables stay
 * right. Undefined for anything but an IPv4 address.
 */
export function macForAddress(ipv4: string): string | undefined {
  return isIPv4(ipv4) ? macOf(ipv4.split(".").map(Number)) : undefined;
}

export function randomMac(): string {
  return macOf([...randomBytes(4)]);
}

function macOf(bytes: readonly number[]): string {
  return ["02", "42", ...bytes.map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}
