import { existsSync, readFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import type { Metadata } from "../../storage/mod.ts";
import type {
  BridgeNetworkRules,
  Firewall,
  PublishedEndpoint,
  PublishedPort,
} from "../firewall/contract.ts";
import type { NetdClient } from "../netd/client.ts";
import type { ContainerPorts, HeldPort } from "../netd/protocol.ts";
import type { PortBook, PortRequest, PortTarget } from "./contract.ts";
import { createPortBook, type RestorableBook } from "./port-book.ts";
import { processWithPort } from "./port-holder.ts";

export interface PublisherOptions {
  readonly metadata: Metadata;
  readonly firewall: Firewall;
  /** Late: netd asks the publisher what there is. */
  readonly netd: () => NetdClient;
  /** Where ports are published that name no address, "" for everywhere (the daemon's `ip`). */
  readonly defaultAddress: string;
  readonly respectHostFirewall: boolean;
}

/** Where a container's ports are published from: its place on one bridge network. */
export interface PortPlace {
  readonly containerId: string;
  readonly network: Pick<
    BridgeNetworkRules,
    "networkId" | "link" | "internal" | "gatewayMode4" | "gatewayMode6" | "hostBinding4"
  >;
  /** "" where it has none. */
  readonly ipv4: string;
  readonly ipv6: string;
}

/**
 * Published ports end to end: a number from the book, a socket of netd on it, a row in the table
 * `ports`, elements in the firewall. The row is there before the kernel hears of the port; what a
 * crash leaves half-way has a container that does not run, and goes with `sweep`.
 */
export class PortPublisher {
  readonly #options: PublisherOptions;
  readonly #book: PortBook & RestorableBook;
  readonly #rows: Map<string, PublishedEndpoint> = new Map();
  /** Being published: netd is to hold them although there is no row yet. */
  readonly #coming: Map<string, readonly HeldPort[]> = new Map();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#book = createPortBook({
      hold: (target, ports) => this.#hold(target, ports),
      release: async (containerId) => {
        await options.netd().ask({ op: "forget", what: "ports", containerId });
      },
      holderOf: processWithPort,
    });
    for (const [, value] of options.metadata.rows("ports")) {
      const row = value as PublishedEndpoint;
      this.#rows.set(row.containerId, row);
      this.#book.restore(row.containerId, row.ports);
    }
  }

  /** What the firewall starts with. */
  endpoints(): readonly PublishedEndpoint[] {
    return [...this.#rows.values()];
  }

  /** What netd is to hold. */
  held(): ContainerPorts[] {
    const rows = [...this.#rows.values()].map((row) => ({
      containerId: row.containerId,
      ports: this.#heldPorts(row, row.ports),
    }));
    const coming = [...this.#coming].map(([containerId, ports]) => ({ containerId, ports }));
    return [...rows.filter(({ containerId }) => !this.#coming.has(containerId)), ...coming];
  }

  of(containerId: string): readonly PublishedPort[] {
    return this.#rows.get(containerId)?.ports ?? [];
  }

  /** In place of what the container had: all or none. Throws internal naming the port that is taken. */
  async publish(
    place: PortPlace,
    requests: readonly PortRequest[],
  ): Promise<readonly PublishedPort[]> {
    const { containerId, network, ipv4, ipv6 } = place;
    const before = this.#rows.get(containerId);
    const { translated, routed } = splitRequests(place, requests, this.#options.defaultAddress);
    const wanted = withFormerNumbers(translated, before?.ports ?? []);
    const allocated = await this.#book.allocate({ containerId, ipv4, ipv6 }, wanted);
    const ports = [...allocated, ...routed];
    if (ports.length === 0) {
      if (before !== undefined) await this.unpublish(containerId);
      return ports;
    }
    const { networkId, link } = network;
    const row: PublishedEndpoint = { containerId, networkId, link, ipv4, ipv6, ports };
    this.#rows.set(containerId, row);
    this.#coming.delete(containerId);
    if (Bun.deepEquals(row, before)) return ports;
    try {
      await this.#options.metadata.commit([{ table: "ports", key: containerId, value: row }]);
      await this.#options.firewall.publish(row);
      return ports;
    } catch (error) {
      await this.unpublish(containerId);
      throw error;
    }
  }

  /** Rules first, then the port itself, then the record. Idempotent. */
  async unpublish(containerId: string): Promise<void> {
    if (!this.#rows.has(containerId)) return;
    await this.#options.firewall.unpublish(containerId);
    this.#rows.delete(containerId);
    await this.#book.release(containerId);
    await this.#options.metadata.commit([{ table: "ports", key: containerId, value: undefined }]);
  }

  /** What belongs to no container of `owners` goes. */
  async sweep(owners: ReadonlySet<string>): Promise<void> {
    for (const id of [...this.#rows.keys()]) if (!owners.has(id)) await this.unpublish(id);
  }

  async #hold(target: PortTarget, ports: readonly PublishedPort[]) {
    const { containerId } = target;
    const held = this.#heldPorts(target, ports);
    this.#coming.set(containerId, held);
    try {
      const result = await this.#options.netd().ask({ op: "ports", containerId, ports: held });
      if (result.kind !== "not_held") return [];
      this.#coming.delete(containerId);
      return result.failures;
    } catch (error) {
      this.#coming.delete(containerId);
      throw error;
    }
  }

  #heldPorts(target: PortTarget, ports: readonly PublishedPort[]): HeldPort[] {
    return ports
      .filter(({ hostPort }) => hostPort !== 0)
      .map((port) => ({
        protocol: port.protocol,
        address: port.hostAddress,
        port: port.hostPort,
        forwardTo: this.#forwardTarget(target, port),
      }));
  }

  /**
   * Where netd itself passes connections on: to a container without an address of the family, from
   * the host's `::1` (the kernel cannot translate that), and everything that the host's own input
   * rules are to judge.
   */
  #forwardTarget(target: PortTarget, port: PublishedPort): HeldPort["forwardTo"] {
    if (port.protocol === "sctp") return null;
    const isV4 = isIPv4(port.hostAddress);
    const own = isV4 ? target.ipv4 : target.ipv6;
    const loopback = port.hostAddress === "::" || port.hostAddress === "::1";
    if (own !== "" && !loopback && !this.#options.respectHostFirewall) return null;
    const address = own || target.ipv4 || target.ipv6;
    return address === "" ? null : { address, port: port.containerPort };
  }
}

/** A port that was chosen keeps its number when the container's other ports or its networks change. */
function withFormerNumbers(
  requests: readonly PortRequest[],
  before: readonly PublishedPort[],
): PortRequest[] {
  return requests.map((request) => {
    if (request.hostPortFirst === request.hostPortLast && request.hostPortFirst !== 0) {
      return request;
    }
    const former = before.find(
      ({ protocol, containerPort, hostAddress, hostPort }) =>
        protocol === request.protocol &&
        containerPort === request.containerPort &&
        hostPort !== 0 &&
        request.hostAddresses.includes(hostAddress) &&
        (request.hostPortFirst === 0 ||
          (hostPort >= request.hostPortFirst && hostPort <= request.hostPortLast)),
    );
    if (former === undefined) return request;
    return { ...request, hostPortFirst: former.hostPort, hostPortLast: former.hostPort };
  });
}

/** What gets ports of the host, and what a routed network opens at the container's own address. */
export function splitRequests(
  place: Omit<PortPlace, "containerId">,
  requests: readonly PortRequest[],
  defaultAddress: string,
): { translated: PortRequest[]; routed: PublishedPort[] } {
  const { network, ipv4, ipv6 } = place;
  const translated: PortRequest[] = [];
  const routed: PublishedPort[] = [];
  // Nothing comes into an internal network; Docker too publishes none of its ports.
  if (network.internal) return { translated, routed };
  const binding = network.hostBinding4 || defaultAddress;
  const everywhere = binding === "" || binding === "0.0.0.0";
  const fallback = everywhere ? ["0.0.0.0", ...(hostHasIpv6() ? ["::"] : [])] : [binding];
  for (const request of requests) {
    const { protocol, containerPort } = request;
    const asked = request.hostAddresses.length === 0 ? fallback : request.hostAddresses;
    const addresses: string[] = [];
    for (const address of asked) {
      const isV6 = isIPv6(address);
      const mode = isV6 ? network.gatewayMode6 : network.gatewayMode4;
      const own = isV6 ? ipv6 : ipv4;
      if (mode === "routed" && own !== "") {
        const any = isV6 ? "::" : "0.0.0.0";
        routed.push({ protocol, containerPort, hostAddress: any, hostPort: 0 });
      } else if (own !== "" || protocol !== "sctp") {
        addresses.push(address); // a forwarder can change the family, but not of sctp
      }
    }
    if (addresses.length > 0) translated.push({ ...request, hostAddresses: addresses });
  }
  return { translated, routed };
}

function hostHasIpv6(): boolean {
  const path = "/proc/net/if_inet6"; // one line for each address; `::1` at least
  return existsSync(path) && readFileSync(path, "latin1") !== "";
}
