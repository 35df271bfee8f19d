import { NaruError } from "../base/mod.ts";
import type { Change, Metadata } from "../storage/mod.ts";
import type { AddressRange } from "./active-network.ts";
import type { Endpoint } from "./contract.ts";
import { containsIp, ipText, networkText, parseIp, sizeOf } from "./ip-network.ts";

/** A row of the `addresses` table. In quarantine until the kernel has let go of the link. */
export interface EndpointRow {
  readonly containerId: string;
  readonly state: "used" | "quarantine";
  readonly endpoint: Endpoint;
}

/**
 * Who has which address: the rows of the `addresses` table, kept in memory. An address counts as
 * taken from `reserve` on, so two requests at once never get the same; on disk since the commit of
 * `reserve`'s change, so a crash does not give it away either.
 */
export class EndpointBook {
  readonly #rows: Map<string, EndpointRow> = new Map();
  readonly #taken: Set<string> = new Set();
  readonly #reserved: Set<string> = new Set();

  constructor(metadata: Metadata) {
    for (const [key, value] of metadata.rows("addresses")) this.#put(key, value as EndpointRow);
  }

  /** `bridge/172.17.0.2`, or `none/ENDPOINT` without an address. */
  static key(endpoint: Endpoint): string {
    const address = endpoint.ipv4Address || endpoint.ipv6Address || endpoint.endpointId;
    return `${endpoint.networkName}/${address}`;
  }

  /**
   * The address that is `wanted`, or the lowest free one that is neither first, last (of IPv4), nor
   * excluded. Throws exhausted, forbidden, invalid_argument in Docker's words.
   */
  reserve(range: AddressRange, wanted: string): string {
    if (wanted !== "") return this.#reserveWanted(range, wanted);
    const { network, pool, excluded } = range;
    const end = pool.base + sizeOf(pool);
    const lastOfNetwork = network.base + sizeOf(network) - 1n;
    for (let number = pool.base; number < end; number += 1n) {
      if (number === network.base || excluded.has(number)) continue;
      if (network.family === 4 && number === lastOfNetwork) continue;
      const text = ipText(network.family, number);
      if (this.#taken.has(text) || this.#reserved.has(text)) continue;
      this.#reserved.add(text);
      return text;
    }
    throw new NaruError(
      "exhausted",
      `no available IPv${network.family} addresses on this network's address pools`,
      { network: networkText(network) },
    );
  }

  #reserveWanted({ network, excluded, asked }: AddressRange, wanted: string): string {
    if (!asked) {
      throw new NaruError(
        "invalid_argument",
        "user specified IP address is supported only when connecting to networks with user configured subnets",
      );
    }
    const found = parseIp(wanted);
    if (found?.family !== network.family || !containsIp(network, found.number)) {
      const text = `no configured subnet or ip-range contain the IP address ${wanted.slice(0, 60)}`;
      throw new NaruError("invalid_argument", `invalid endpoint settings:\n${text}`);
    }
    const text = ipText(network.family, found.number);
    if (excluded.has(found.number) || this.#taken.has(text) || this.#reserved.has(text)) {
      throw new NaruError("forbidden", `Address already in use: ${text}`);
    }
    this.#reserved.add(text);
    return text;
  }

  /** Gives back an address that was reserved and never recorded. */
  release(address: string): void {
    this.#reserved.delete(address);
  }

  rows(): readonly EndpointRow[] {
    return [...this.#rows.values()];
  }

  /** The rows that a container uses, `eth0` first; quarantined ones of former runs do not count. */
  usedBy(containerId: string): readonly EndpointRow[] {
    const rows: EndpointRow[] = [];
    for (const row of this.#rows.values()) {
      if (row.state === "used" && row.containerId === containerId) rows.push(row);
    }
    return rows;
  }

  /** Does a container use the namespace? */
  usesPath(netnsPath: string): boolean {
    for (const { state, endpoint } of this.#rows.values()) {
      if (state === "used" && endpoint.netnsPath === netnsPath) return true;
    }
    return false;
  }

  /** The change to commit for `row`; call `record` once it is on disk. */
  change(row: EndpointRow): Change {
    return { table: "addresses", key: EndpointBook.key(row.endpoint), value: row };
  }

  record(row: EndpointRow): void {
    this.#put(EndpointBook.key(row.endpoint), row);
  }

  removal(endpoint: Endpoint): Change {
    return { table: "addresses", key: EndpointBook.key(endpoint), value: undefined };
  }

  /** Only after `removal` is on disk. */
  forget(endpoint: Endpoint): void {
    this.#rows.delete(EndpointBook.key(endpoint));
    for (const address of addressesOf(endpoint)) this.#taken.delete(address);
  }

  #put(key: string, row: EndpointRow): void {
    this.#rows.set(key, row);
    for (const address of addressesOf(row.endpoint)) {
      this.#taken.add(address);
      this.#reserved.delete(address);
    }
  }
}

function addressesOf({ ipv4Address, ipv6Address = "" }: Endpoint): string[] {
  return [ipv4Address, ipv6Address].filter((address) => address !== "");
}
