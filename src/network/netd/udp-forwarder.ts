import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Clock } from "../../base/mod.ts";
import type { ForwardTarget } from "./tcp-forwarder.ts";

/** Clients of one port at a time; beyond it the one that is silent for longest is forgotten. */
const CLIENTS_MAX = 1024;
const IDLE_MS = 90_000; // as the kernel's nf_conntrack_udp_timeout_stream (120 s), a little less
const SWEEP_MS = 10_000;

interface Client {
  readonly socket: Socket;
  heardAtMs: number;
}

/** Passes packets on, each client from a socket of its own so that answers find their way back. */
export class UdpForwarder {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #clients: Map<string, Client> = new Map();
  #target: ForwardTarget;
  #stopSweep: () => void;

  private constructor(socket: Socket, target: ForwardTarget, clock: Clock) {
    this.#socket = socket;
    this.#target = target;
    this.#clock = clock;
    this.#stopSweep = clock.after(SWEEP_MS, () => this.#sweep());
    socket.on("message", (message, from) => this.#pass(message, from));
    socket.on("error", () => undefined); // of single packets
  }

  /** Throws EADDRINUSE and the like. IPv6 addresses are IPv6 alone. */
  static bind(
    address: string,
    port: number,
    { target, clock }: { readonly target: ForwardTarget; readonly clock: Clock },
  ): Promise<UdpForwarder> {
    const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", ipv6Only: true });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address, port, exclusive: true }, () => {
        socket.off("error", reject);
        resolve(new UdpForwarder(socket, target, clock));
      });
    });
  }

  retarget(target: ForwardTarget): void {
    this.#target = target;
    this.#forgetAll();
  }

  #pass(message: Buffer, from: RemoteInfo): void {
    const key = `${from.address} ${from.port}`;
    let client = this.#clients.get(key);
    if (client === undefined) {
      if (this.#clients.size >= CLIENTS_MAX) this.#forget(this.#clients.keys().next().value);
      client = { socket: this.#connect(from), heardAtMs: 0 };
    }
    client.heardAtMs = this.#clock.nowMs();
    this.#clients.delete(key); // in the order in which they were heard
    this.#clients.set(key, client);
    client.socket.send(message, this.#target.port, this.#target.address);
  }

  #connect(client: RemoteInfo): Socket {
    const socket = createSocket(isIPv6(this.#target.address) ? "udp6" : "udp4");
    socket.on("error", () => undefined); // nobody listens in the container
    socket.on("message", (answer, from) => {
      if (from.port !== this.#target.port) return; // somebody else guessed the port
      this.#socket.send(answer, client.port, client.address);
    });
    return socket;
  }

  #sweep(): void {
    const oldestMs = this.#clock.nowMs() - IDLE_MS;
    for (const [key, { heardAtMs }] of this.#clients) {
      if (heardAtMs >= oldestMs) break;
      this.#forget(key);
    }
    this.#stopSweep = this.#clock.after(SWEEP_MS, () => this.#sweep());
  }

  #forget(key: string | undefined): void {
    if (key === undefined) return;
    this.#clients.get(key)?.socket.close();
    this.#clients.delete(key);
  }

  #forgetAll(): void {
    for (const key of [...this.#clients.keys()]) this.#forget(key);
  }

  close(): void {
    this.#stopSweep();
    this.#socket.close();
    this.#forgetAll();
  }
}
