import { errorMessage } from "../../../base/mod.ts";
import { inNetworkNamespace } from "../../../linux/mod.ts";
import { framed, type Transport } from "./upstream.ts";

const ADDRESS = "127.0.0.11"; // Docker's, which people hard-code
const CONNECTIONS_MAX = 64; // of one container
const IDLE_SECONDS = 10;
const PENDING_BYTES_MAX = 1024 * 1024; // a client that asks and does not read is let go
const TABLE = "naru_names";

export type AnswerQuery = (
  message: Uint8Array,
  transport: Transport,
) => Promise<Uint8Array | undefined>;

interface Connection {
  received: Buffer;
  unsent: Buffer;
}

type Client = Bun.Socket<Connection>;

/**
 * 127.0.0.11:53 inside a network namespace. The sockets have other ports, to which rules in the
 * namespace lead: a name server in the container must find port 53 free.
 */
export class NameSocket {
  readonly #udp: Bun.udp.Socket<"buffer">;
  readonly #tcp: Bun.TCPSocketListener<Connection>;
  readonly #clients: Set<Client> = new Set();
  readonly #answer: AnswerQuery;

  private constructor(
    udp: Bun.udp.Socket<"buffer">,
    tcp: (handler: Bun.SocketHandler<Connection>) => Bun.TCPSocketListener<Connection>,
    answer: AnswerQuery,
  ) {
    this.#udp = udp;
    this.#answer = answer;
    this.#tcp = tcp(this.#handler());
  }

  /** Throws when the namespace is gone, or has no loopback or no nft. */
  static async open(netnsPath: string, answer: AnswerQuery): Promise<NameSocket> {
    const udp = await inNetworkNamespace(netnsPath, () =>
      Bun.udpSocket({
        hostname: ADDRESS,
        socket: {
          data: (socket, message, port, address) => {
            void answer(message, "udp").then((reply) => {
              if (reply !== undefined && !socket.closed) socket.send(reply, port, address);
            });
          },
        },
      }),
    );
    try {
      const made = new NameSocket(
        udp,
        (socket) =>
          inNetworkNamespace(netnsPath, () =>
            Bun.listen({ hostname: ADDRESS, port: 0, data: fresh(), socket }),
          ),
        answer,
      );
      await made.#redirect(netnsPath);
      return made;
    } catch (error) {
      udp.close();
      throw error;
    }
  }

  async #redirect(netnsPath: string): Promise<void> {
    const to = (protocol: Transport, port: number): string =>
      `ip daddr ${ADDRESS} ${protocol} dport 53 dnat to ${ADDRESS}:${port}`;
    const rules = `table ip ${TABLE}
delete table ip ${TABLE}
table ip ${TABLE} {
  chain output {
    type nat hook output priority -100;
    ${to("udp", this.#udp.port)}
    ${to("tcp", this.#tcp.port)}
  }
}
`;
    const nft = inNetworkNamespace(netnsPath, () =>
      Bun.spawn(["nft", "-f", "-"], {
        stdin: Buffer.from(rules),
        stdout: "ignore",
        stderr: "pipe",
      }),
    );
    const [text, exitCode] = await Promise.all([new Response(nft.stderr).text(), nft.exited]);
    if (exitCode === 0) return;
    this.close();
    throw new Error(`nft refused the rules of the name service: ${text.split("\n")[0]}`);
  }

  #handler(): Bun.SocketHandler<Connection> {
    return {
      open: (socket) => {
        socket.data = fresh();
        if (this.#clients.size >= CONNECTIONS_MAX) {
          socket.end();
          return;
        }
        this.#clients.add(socket);
        socket.timeout(IDLE_SECONDS);
      },
      data: (socket, chunk) => {
        socket.data.received = Buffer.concat([socket.data.received, chunk]);
        socket.timeout(IDLE_SECONDS);
        this.#readFrames(socket);
      },
      drain: (socket) => send(socket, Buffer.alloc(0)),
      timeout: (socket) => void socket.end(),
      close: (socket) => void this.#clients.delete(socket),
      error: (socket) => void this.#clients.delete(socket),
    };
  }

  #readFrames(socket: Client): void {
    for (;;) {
      const { received } = socket.data;
      if (received.length < 2) return;
      const end = 2 + received.readUInt16BE(0);
      if (received.length < end) return;
      socket.data.received = received.subarray(end);
      void this.#answer(received.subarray(2, end), "tcp").then((reply) => {
        if (!this.#clients.has(socket)) return;
        if (reply === undefined) socket.end();
        else send(socket, framed(reply));
      });
    }
  }

  close(): void {
    this.#udp.close();
    this.#tcp.stop(true);
  }
}

const fresh = (): Connection => ({ received: Buffer.alloc(0), unsent: Buffer.alloc(0) });

function send(socket: Client, bytes: Buffer): void {
  const all = Buffer.concat([socket.data.unsent, bytes]);
  if (all.length === 0) return;
  if (all.length > PENDING_BYTES_MAX) {
    socket.end();
    return;
  }
  const written = socket.write(all);
  socket.data.unsent = all.subarray(Math.max(written, 0));
}

/** For the log: why a container's names are not answered. */
export function nameFailure(containerId: string, error: unknown): string {
  return `names of ${containerId} are not answered: ${errorMessage(error)}`;
}
