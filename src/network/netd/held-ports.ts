import { type Clock, errorCode } from "../../base/mod.ts";
import { close, holdPort } from "../../linux/mod.ts";
import type { ContainerPorts, HeldPort, HoldFailure } from "./protocol.ts";
import { type ForwardTarget, TcpForwarder } from "./tcp-forwarder.ts";
import { UdpForwarder } from "./udp-forwarder.ts";

interface Holding {
  port: HeldPort;
  retarget(target: ForwardTarget): void;
  close(): void;
}

/** The sockets on published ports, by container. Calls are made one after the other. */
export class HeldPorts {
  readonly #clock: Clock;
  readonly #containers: Map<string, Map<string, Holding>> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#containers.size;
  }

  state(): ContainerPorts[] {
    return [...this.#containers].map(([containerId, holdings]) => ({
      containerId,
      ports: [...holdings.values()].map(({ port }) => port),
    }));
  }

  /** In place of what the container had. All or none: after failures it has what it had before. */
  async set({ containerId, ports }: ContainerPorts): Promise<HoldFailure[]> {
    const before = this.#containers.get(containerId) ?? new Map<string, Holding>();
    const after = new Map<string, Holding>();
    const made: Holding[] = [];
    const failures: HoldFailure[] = [];
    for (const port of ports) {
      const key = keyOf(port);
      const kept = before.get(key);
      if (kept !== undefined && sameKind(kept.port, port)) {
        after.set(key, kept);
        continue;
      }
      kept?.close(); // a socket and a forwarder cannot be there side by side
      try {
        const holding = await this.#hold(port);
        made.push(holding);
        after.set(key, holding);
      } catch (error) {
        const { protocol, address, port: number } = port;
        const code = errorCode(error) ?? "EIO";
        failures.push({ containerId, protocol, address, port: number, code });
      }
    }
    if (failures.length > 0) {
      for (const holding of made) holding.close();
      return failures;
    }
    for (const [key, holding] of before) if (!after.has(key)) holding.close();
    for (const port of ports) {
      const holding = after.get(keyOf(port));
      if (holding === undefined || holding.port === port) continue;
      holding.port = port;
      if (port.forwardTo !== null) holding.retarget(port.forwardTo);
    }
    if (after.size > 0) this.#containers.set(containerId, after);
    else this.#containers.delete(containerId);
    return [];
  }

  drop(containerId: string): void {
    for (const holding of this.#containers.get(containerId)?.values() ?? []) holding.close();
    this.#containers.delete(containerId);
  }

  /** In place of everything. What can be held is held. */
  async sync(all: readonly ContainerPorts[]): Promise<HoldFailure[]> {
    const wanted = new Set(all.map(({ containerId }) => containerId));
    for (const id of [...this.#containers.keys()]) if (!wanted.has(id)) this.drop(id);
    const failures: HoldFailure[] = [];
    for (const one of all) failures.push(...(await this.#setMost(one)));
    return failures;
  }

  /** A port that somebody took while no netd was there must not cost the others. */
  async #setMost(wanted: ContainerPorts): Promise<HoldFailure[]> {
    const failures = await this.set(wanted);
    if (failures.length === 0) return [];
    const lost = new Set(failures.map(keyOfFailure));
    const ports = wanted.ports.filter((port) => !lost.has(keyOf(port)));
    return [...failures, ...(await this.set({ containerId: wanted.containerId, ports }))];
  }

  async #hold(port: HeldPort): Promise<Holding> {
    const { protocol, address, port: number, forwardTo } = port;
    if (forwardTo === null || protocol === "sctp") {
      const fd = holdPort({ protocol, address, port: number });
      return {
        port,
        retarget: () => undefined,
        close: () => (fd === undefined ? undefined : close(fd)),
      };
    }
    const forwarder =
      protocol === "tcp"
        ? await TcpForwarder.listen(address, number, forwardTo)
        : await UdpForwarder.bind(address, number, { target: forwardTo, clock: this.#clock });
    return {
      port,
      retarget: (target) => forwarder.retarget(target),
      close: () => forwarder.close(),
    };
  }
}

function keyOf({ protocol, address, port }: HeldPort): string {
  return `${protocol} ${address} ${port}`;
}

function keyOfFailure({ protocol, address, port }: HoldFailure): string {
  return `${protocol} ${address} ${port}`;
}

function sameKind(a: HeldPort, b: HeldPort): boolean {
  return (a.forwardTo === null) === (b.forwardTo === null);
}
