import { NaruError } from "../base/mod.ts";
import type { Change, Metadata } from "../storage/mod.ts";
import type { Endpoint } from "./contract.ts";
import { type Ipv4Network, ipv4Number, ipv4Text, networkSize } from "./ipv4.ts";

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
  readonly #byAddress: Set<number> = new Set();
  readonly #reserved: Set<number> = new Set();

  constructor(metadata: Metadata) {
    for (const [key, value] of metadata.rows("addresses")) this.#put(key, value as EndpointRow);
  }

  /** `bridge/172.17.0.2`, or `none/ENDPOINT` without an address. */
  static key(endpoint: Endpoint): string {
    return `${endpoint.networkName}/${endpoint.ipv4Address || endpoint.endpointId}`;
  }

  /** The lowest free address of the network that is neither its first, last, nor `gateway`. */
  reserve(network: Ipv4Network, gateway: number): number {
    const last = network.base + networkSize(network) - 1;
    for (let address = network.base + 1; address < last; address += 1) {
      if (address === gateway || this.#byAddress.has(address) || this.#reserved.has(address))
        continue;
      this.#reserved.add(address);
      return address;
    }
    throw new NaruError(
      "exhausted",
      "no available IPv4 addresses on this network's address pools",
      {
        network: ipv4Text(network.base),
      },
    );
  }

  /** Gives back an address that was reserved and never recorded. */
  release(address: number): void {
    this.#reserved.delete(address);
  }

  rows(): readonly EndpointRow[] {
    return [...this.#rows.values()];
  }

  /** The row that a container uses; quarantined ones of former runs do not count. */
  usedBy(containerId: string): EndpointRow | undefined {
    for (const row of this.#rows.values()) {
      if (row.state === "used" && row.containerId === containerId) return row;
    }
    return undefined;
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
    const address = ipv4Number(endpoint.ipv4Address);
    if (address !== undefined) this.#byAddress.delete(address);
  }

  #put(key: string, row: EndpointRow): void {
    this.#rows.set(key, row);
    const address = ipv4Number(row.endpoint.ipv4Address);
    if (address === undefined) return;
    this.#byAddress.add(address);
    this.#reserved.delete(address);
  }
}
