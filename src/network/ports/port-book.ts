import { isIPv4 } from "node:net";
import { NaruError } from "../../base/mod.ts";
import type { PublishedPort } from "../firewall/contract.ts";
import type { HoldFailure } from "../netd/protocol.ts";
import type { PortBook, PortRequest, PortTarget } from "./contract.ts";
import { ephemeralRange, type PortRange } from "./port-ranges.ts";

export interface PortBookOptions {
  /** Holds all ports of a container in place of those it had, or none: then says which failed. */
  readonly hold: (
    target: PortTarget,
    ports: readonly PublishedPort[],
  ) => Promise<readonly HoldFailure[]>;
  readonly release: (containerId: string) => Promise<void>;
  /** `process 812 (nginx)`, or "" where nobody can say. */
  readonly holderOf: (failure: HoldFailure) => string;
  /** For ports that may be any. */
  readonly range?: () => PortRange;
}

/** Ports tried for one request that leaves the choice, before it is told that there is none. */
const TRIES_MAX = 64; // others on the host hold some of the range, hardly that many in a row

export function createPortBook(options: PortBookOptions): PortBook & RestorableBook {
  return new Book(options);
}

export interface RestorableBook {
  /** What a former engine gave away; nothing is asked of netd. */
  restore(containerId: string, ports: readonly PublishedPort[]): void;
}

class Book implements PortBook, RestorableBook {
  readonly #options: PortBookOptions;
  readonly #containers: Map<string, readonly PublishedPort[]> = new Map();
  /** `tcp 80` -> who has it at which address. */
  readonly #taken: Map<string, Map<string, string>> = new Map();
  #cursor = 0;

  constructor(options: PortBookOptions) {
    this.#options = options;
  }

  of(containerId: string): readonly PublishedPort[] {
    return this.#containers.get(containerId) ?? [];
  }

  restore(containerId: string, ports: readonly PublishedPort[]): void {
    this.#containers.set(containerId, ports);
    for (const port of ports) this.#take(containerId, port);
  }

  async allocate(
    target: PortTarget,
    requests: readonly PortRequest[],
  ): Promise<readonly PublishedPort[]> {
    const { containerId } = target;
    const before = this.of(containerId);
    for (const port of before) this.#free(port);
    const refused = new Set<string>();
    for (;;) {
      const ports: PublishedPort[] = [];
      try {
        for (const request of requests) ports.push(...this.#choose(containerId, request, refused));
        const failures = ports.length === 0 ? [] : await this.#options.hold(target, ports);
        if (failures.length === 0) {
          this.#containers.set(containerId, ports);
          return ports;
        }
        this.#judge(failures, requests, ports, refused);
        for (const port of ports) this.#free(port);
      } catch (error) {
        for (const port of ports) this.#free(port);
        for (const port of before) this.#take(containerId, port);
        throw error;
      }
    }
  }

  /** A port that was chosen for the request may be another; one that was named is refused. */
  #judge(
    failures: readonly HoldFailure[],
    requests: readonly PortRequest[],
    ports: readonly PublishedPort[],
    refused: Set<string>,
  ): void {
    for (const failure of failures) {
      const free = requests.some((request) =>
        request.hostPortFirst !== request.hostPortLast || request.hostPortFirst === 0
          ? isFor(request, failure, ports)
          : false,
      );
      if (!free || failure.code !== "EADDRINUSE" || refused.size >= TRIES_MAX * requests.length) {
        throw this.#refusal(failure);
      }
      refused.add(keyOf(failure.protocol, failure.port));
    }
  }

  #refusal(failure: HoldFailure): NaruError {
    const { protocol, address, port, code } = failure;
    const at = `${bracketed(address)}:${port}`;
    const details = { address, port, protocol, code };
    if (code === "EADDRNOTAVAIL") {
      const text = `listen ${protocol} ${at}: bind: cannot assign requested address`;
      return new NaruError("internal", text, details);
    }
    if (code !== "EADDRINUSE") {
      return new NaruError("internal", `listen ${protocol} ${at}: bind: ${code}`, details);
    }
    const holder = this.#options.holderOf(failure);
    const held = holder === "" ? "" : `port ${port}/${protocol} is held by ${holder}: `;
    const text = `${held}listen ${protocol} ${at}: bind: address already in use`;
    return new NaruError("internal", text, details);
  }

  #choose(
    containerId: string,
    request: PortRequest,
    refused: ReadonlySet<string>,
  ): PublishedPort[] {
    const { protocol, containerPort, hostAddresses, hostPortFirst, hostPortLast } = request;
    const any = hostPortFirst === 0;
    const range = any
      ? (this.#options.range ?? ephemeralRange)()
      : { first: hostPortFirst, last: hostPortLast };
    const size = range.last - range.first + 1;
    const start = any ? this.#cursor : 0;
    for (let step = 0; step < size; step += 1) {
      const port = range.first + ((start + step) % size);
      if (refused.has(keyOf(protocol, port))) continue;
      if (hostAddresses.some((address) => this.#holder(protocol, address, port) !== undefined)) {
        continue;
      }
      if (any) this.#cursor = (start + step + 1) % size;
      const ports = hostAddresses.map(
        (hostAddress): PublishedPort => ({ protocol, containerPort, hostAddress, hostPort: port }),
      );
      for (const one of ports) this.#take(containerId, one);
      return ports;
    }
    throw this.#allTaken(request, range);
  }

  #allTaken(request: PortRequest, range: PortRange): NaruError {
    const { protocol, hostAddresses } = request;
    const [address = "0.0.0.0"] = hostAddresses;
    const bind = `Bind for ${bracketed(address)}:${range.first} failed: port is already allocated`;
    const details = { address, port: range.first, protocol };
    if (range.first !== range.last) {
      const text = `all ports of ${range.first}-${range.last}/${protocol} are taken: ${bind}`;
      return new NaruError("internal", text, details);
    }
    const holder = hostAddresses
      .map((one) => this.#holder(protocol, one, range.first))
      .find((id) => id !== undefined);
    return new NaruError("internal", bind, { ...details, holder: holder ?? "" });
  }

  /** The container that has the port at this address, or at one that includes it. */
  #holder(protocol: string, address: string, port: number): string | undefined {
    const taken = this.#taken.get(keyOf(protocol, port));
    if (taken === undefined) return undefined;
    const any = isIPv4(address) ? "0.0.0.0" : "::";
    if (address !== any) return taken.get(address) ?? taken.get(any);
    for (const [other, id] of taken) if (isIPv4(other) === isIPv4(address)) return id;
    return undefined;
  }

  #take(containerId: string, { protocol, hostAddress, hostPort }: PublishedPort): void {
    if (hostPort === 0) return;
    const key = keyOf(protocol, hostPort);
    const taken = this.#taken.get(key) ?? new Map<string, string>();
    taken.set(hostAddress, containerId);
    this.#taken.set(key, taken);
  }

  #free({ protocol, hostAddress, hostPort }: PublishedPort): void {
    const key = keyOf(protocol, hostPort);
    const taken = this.#taken.get(key);
    taken?.delete(hostAddress);
    if (taken?.size === 0) this.#taken.delete(key);
  }

  async release(containerId: string): Promise<void> {
    const ports = this.#containers.get(containerId);
    if (ports === undefined) return;
    this.#containers.delete(containerId);
    for (const port of ports) this.#free(port);
    await this.#options.release(containerId);
  }
}

/** Did the request, which leaves the choice, come to the port that failed? */
function isFor(
  request: PortRequest,
  failure: HoldFailure,
  ports: readonly PublishedPort[],
): boolean {
  return ports.some(
    (port) =>
      port.hostPort === failure.port &&
      port.protocol === failure.protocol &&
      port.hostAddress === failure.address &&
      port.containerPort === request.containerPort &&
      request.hostAddresses.includes(port.hostAddress),
  );
}

function keyOf(protocol: string, port: number): string {
  return `${protocol} ${port}`;
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
