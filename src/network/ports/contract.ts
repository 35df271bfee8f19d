import type { PortProtocol, PublishedPort } from "../firewall/contract.ts";

/** One binding that was asked for. */
export interface PortRequest {
  readonly protocol: PortProtocol;
  readonly containerPort: number;
  /** `0.0.0.0` and `::` for every address; several get the same number. */
  readonly hostAddresses: readonly string[];
  /** Both 0: any port of the kernel's ephemeral range. */
  readonly hostPortFirst: number;
  readonly hostPortLast: number;
}

/** Where the ports of a container go; both addresses "" when it has none of the family. */
export interface PortTarget {
  readonly containerId: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Which ports of the host belong to whom. A port is held (see netd) from `allocate` to `release`. */
export interface PortBook {
  /**
   * Allocates and holds all or none; what the container had goes. Throws internal, with Docker's
   * words at the end; the detail `holder` is the container that has the port, "" where none has.
   */
  allocate(target: PortTarget, requests: readonly PortRequest[]): Promise<readonly PublishedPort[]>;
  /** Idempotent. */
  release(containerId: string): Promise<void>;
  of(containerId: string): readonly PublishedPort[];
}
