import { readFileSync } from "node:fs";

/** Where the kernel takes ports from for whoever names none. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const USUAL: PortRange = { first: 32_768, last: 60_999 }; // the kernel's own default

/** The host's range at this moment. */
export function ephemeralRange(): PortRange {
  try {
    return parseRange(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8"));
  } catch {
    return USUAL;
  }
}

/** `32768\t60999\n` */
export function parseRange(text: string): PortRange {
  const [first = 0, last = 0] = text.trim().split(/\s+/).map(Number);
  const sane = Number.isInteger(first) && Number.isInteger(last) && first > 0 && first <= last;
  return sane && last <= 65_535 ? { first, last } : USUAL;
}
