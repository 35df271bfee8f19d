import { isIPv4 } from "node:net";
import type { NamedPlace, NameRecords } from "../contract.ts";

/** Which containers are called what, on which network. Names are compared without regard to case. */
export class NameTable {
  readonly #containers: Map<string, NameRecords> = new Map();
  /** By network, then by name. */
  readonly #byName: Map<string, Map<string, Set<string>>> = new Map();
  /** By network and address. */
  readonly #byAddress: Map<string, string> = new Map();
  #turn = 0;

  get size(): number {
    return this.#containers.size;
  }

  all(): NameRecords[] {
    return [...this.#containers.values()];
  }

  of(containerId: string): NameRecords | undefined {
    return this.#containers.get(containerId);
  }

  set(records: NameRecords): void {
    const { containerId } = records;
    this.remove(containerId);
    this.#containers.set(containerId, records);
    for (const place of records.networks) {
      const names = this.#byName.get(place.networkId) ?? new Map<string, Set<string>>();
      this.#byName.set(place.networkId, names);
      for (const name of place.names) {
        const key = name.toLowerCase();
        names.set(key, (names.get(key) ?? new Set()).add(containerId));
      }
      for (const address of [place.ipv4, place.ipv6]) {
        if (address !== "") this.#byAddress.set(`${place.networkId} ${address}`, containerId);
      }
    }
  }

  remove(containerId: string): void {
    const records = this.#containers.get(containerId);
    if (records === undefined) return;
    this.#containers.delete(containerId);
    for (const { networkId, names, ipv4, ipv6 } of records.networks) {
      const known = this.#byName.get(networkId);
      for (const name of names) {
        const ids = known?.get(name.toLowerCase());
        ids?.delete(containerId);
        if (ids?.size === 0) known?.delete(name.toLowerCase());
      }
      if (known?.size === 0) this.#byName.delete(networkId);
      for (const address of [ipv4, ipv6]) this.#byAddress.delete(`${networkId} ${address}`);
    }
  }

  /**
   * Addresses of a name as one container sees it, each time another one first; empty: there is such
   * a name, without an address of the family. Undefined: no container is called so.
   */
  lookUp(asker: NameRecords, name: string, family: 4 | 6): readonly string[] | undefined {
    const wanted = name.toLowerCase().replace(/\.$/, "");
    for (const place of asker.networks) {
      const places = this.#placesOf(place, wanted);
      if (places.length === 0) continue;
      const addresses = places
        .map(({ ipv4, ipv6 }) => (family === 4 ? ipv4 : ipv6))
        .filter((address) => address !== "");
      this.#turn += 1;
      const first = addresses.length === 0 ? 0 : this.#turn % addresses.length;
      return [...addresses.slice(first), ...addresses.slice(0, first)];
    }
    return undefined;
  }

  #placesOf({ networkId, networkName, links }: NamedPlace, wanted: string): NamedPlace[] {
    const names = this.#byName.get(networkId);
    const linked = Object.entries(links).find(([alias]) => alias.toLowerCase() === wanted)?.[1];
    const suffix = `.${networkName.toLowerCase()}`;
    const short = wanted.endsWith(suffix) ? wanted.slice(0, -suffix.length) : wanted;
    const ids =
      linked === undefined ? (names?.get(wanted) ?? names?.get(short)) : new Set<string>([linked]);
    return [...(ids ?? [])].flatMap(
      (id) => this.of(id)?.networks.find((place) => place.networkId === networkId) ?? [],
    );
  }

  /** `web.app` for the address of a container that shares a network with the one who asks. */
  reverse(asker: NameRecords, address: string): string | undefined {
    for (const { networkId, networkName } of asker.networks) {
      const id = this.#byAddress.get(`${networkId} ${address}`);
      const place = this.of(id ?? "")?.networks.find((one) => one.networkId === networkId);
      const [name] = place?.names ?? [];
      if (name !== undefined) return `${name}.${networkName}`;
    }
    return undefined;
  }
}

/** `2.0.18.172.in-addr.arpa` and `….ip6.arpa` as an address; undefined for other names. */
export function addressOfReverse(name: string): string | undefined {
  const lower = name.toLowerCase().replace(/\.$/, "");
  const four = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(lower)?.[1];
  if (four !== undefined) {
    const address = four.split(".").filter(Boolean).reverse().join(".");
    return isIPv4(address) ? address : undefined;
  }
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(lower)?.[1];
  if (six === undefined) return undefined;
  const digits = six.split(".").filter(Boolean).reverse().join("");
  const groups = digits.match(/.{4}/g) ?? [];
  // The way in which addresses are written everywhere else: short.
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
