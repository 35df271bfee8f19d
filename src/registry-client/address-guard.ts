import { lookup } from "node:dns/promises";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { NaruError } from "../base/mod.ts";

/**
 * Where a registry may send this engine by a redirect or the address of a token service. A hostile
 * registry must not reach through the engine what only the engine's host can reach.
 */
export type AddressClass = "public" | "private" | "loopback" | "link-local";

type Block = readonly [network: string, prefix: number];

function blockList(blocks: readonly Block[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of blocks) {
    list.addSubnet(network, prefix, network.includes(":") ? "ipv6" : "ipv4");
  }
  return list;
}

/** RFC 6890 and 4193; 100.64/10 is what carriers and overlay networks use inside. */
const PRIVATE = blockList([
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["192.0.0.0", 24],
  ["198.18.0.0", 15],
  ["fc00::", 7],
]);
const LOOPBACK = blockList([
  ["127.0.0.0", 8],
  ["0.0.0.0", 8], // connects to the host itself
  ["::1", 128],
  ["::", 128],
]);
/** Nothing but metadata services and neighbours live here; the last three are clouds' own. */
const LINK_LOCAL = blockList([
  ["169.254.0.0", 16],
  ["fe80::", 10],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  ["ff00::", 8],
  ["fd00:ec2::254", 128],
  ["100.100.100.200", 32],
  ["192.0.0.192", 32],
]);

/** The class of an address, IPv4 in IPv6 (mapped, 6to4, NAT64) being what it wraps. */
export function addressClass(address: string): AddressClass {
  const plain = unwrapped(address.replace(/%.*$/, ""));
  const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
  if (LINK_LOCAL.check(plain, family)) return "link-local";
  if (LOOPBACK.check(plain, family)) return "loopback";
  return PRIVATE.check(plain, family) ? "private" : "public";
}

function unwrapped(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = ipv6Groups(address);
  const [first = 0, second = 0] = groups;
  const zeros = (from: number, to: number): boolean =>
    groups.slice(from, to).every((group) => group === 0);
  const mapped = zeros(0, 5) && groups[5] === 0xffff;
  const nat64 = first === 0x64 && second === 0xff9b && zeros(2, 6); // RFC 6052
  if (mapped || nat64) return ipv4Text(groups[6] ?? 0, groups[7] ?? 0);
  if (first === 0x2002) return ipv4Text(second, groups[2] ?? 0); // RFC 3056
  return address;
}

function ipv4Text(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The eight groups of a valid IPv6 address. */
function ipv6Groups(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  let text = address;
  if (dotted !== null) {
    const [, head = "", a, b, c, d] = dotted;
    const group = (x = "0", y = "0"): string => (Number(x) * 256 + Number(y)).toString(16);
    text = `${head}${group(a, b)}:${group(c, d)}`;
  }
  const [left = "", right] = text.split("::");
  const parse = (half: string): number[] =>
    half === "" ? [] : half.split(":").map((group) => Number.parseInt(group, 16));
  const [head, tail] = [parse(left), parse(right ?? "")];
  if (right === undefined) return head;
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
}

/** True for `localhost` and addresses of it. */
export function isLoopbackName(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  return isIP(host) !== 0 && addressClass(host) === "loopback";
}

/** Which classes may be connected to. Undefined: any. */
export type AddressGuard = ReadonlySet<AddressClass> | undefined;

/** What a registry that itself is of `from` may send the engine to. */
export function guardFor(from: AddressClass): AddressGuard {
  const allowed = new Set<AddressClass>(["public"]);
  if (from !== "public") allowed.add("private");
  if (from === "loopback") allowed.add("loopback");
  return allowed;
}

/** Throws forbidden when `host` is an address that `guard` excludes. */
export function checkAddress(host: string, guard: AddressGuard): void {
  if (guard === undefined || isIP(host) === 0) return;
  const found = addressClass(host);
  if (!guard.has(found)) throw refused(host, host, found);
}

function refused(host: string, address: string, found: AddressClass): NaruError {
  const at = host === address ? host : `${host} (${address})`;
  return new NaruError(
    "forbidden",
    `the registry sends naru to ${at}, a ${found} address: refused`,
    { host, address },
  );
}

/** A look-up for node:http that gives allowed addresses alone, so that names cannot be rebound. */
export function guardedLookup(guard: AddressGuard): LookupFunction {
  return (host, options, answer) => {
    lookup(host, { ...options, all: true }).then(
      (found) => {
        const allowed = found.filter(({ address }) => guard?.has(addressClass(address)) ?? true);
        const [first] = allowed;
        if (first === undefined) {
          const [bad] = found;
          const address = bad?.address ?? host;
          answer(refused(host, address, addressClass(address)), "", 0);
        } else if (options.all === true) answer(null, allowed);
        else answer(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => answer(error, "", 0),
    );
  };
}

/** The class of a host by its addresses; public when it has none: connecting will say why. */
export async function classOfHost(host: string): Promise<AddressClass> {
  if (isIP(host) !== 0) return addressClass(host);
  const found = await lookup(host, { all: true }).catch(() => []);
  const classes = new Set(found.map(({ address }) => addressClass(address)));
  if (classes.has("public")) return "public";
  return classes.has("private") ? "private" : classes.has("loopback") ? "loopback" : "public";
}
