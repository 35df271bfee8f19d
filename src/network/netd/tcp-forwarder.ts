import { connect, createServer, type Server, type Socket } from "node:net";

export interface ForwardTarget {
  readonly address: string;
  readonly port: number;
}

/** Of one port: each takes two descriptors; more wait in the kernel's queue. */
const CONNECTIONS_MAX = 4096;

/** Accepts connections and passes them on, half-closes included. */
export class TcpForwarder {
  readonly #server: Server;
  readonly #open: Set<Socket> = new Set();
  #target: ForwardTarget;

  private constructor(server: Server, target: ForwardTarget) {
    this.#server = server;
    this.#target = target;
    server.on("connection", (client) => this.#pass(client));
  }

  /** Throws EADDRINUSE and the like. IPv6 addresses are IPv6 alone. */
  static listen(address: string, port: number, target: ForwardTarget): Promise<TcpForwarder> {
    const server = createServer({ allowHalfOpen: true });
    server.maxConnections = CONNECTIONS_MAX;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: address, port, ipv6Only: true, exclusive: true }, () => {
        server.off("error", reject);
        server.on("error", () => undefined); // of single connections
        resolve(new TcpForwarder(server, target));
      });
    });
  }

  retarget(target: ForwardTarget): void {
    this.#target = target;
  }

  #pass(client: Socket): void {
    const { address: host, port } = this.#target;
    const server = connect({ host, port, allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#open.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#open.delete(from);
        // Ended in order, the other side still has something to say.
        if (!from.readableEnded) to.destroy();
      });
      from.pipe(to);
    }
  }

  /** Open connections end: the container is gone. */
  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }
}
