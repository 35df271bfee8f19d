import { STATUS_CODES } from "node:http";
import { SECOND_MS } from "../../base/mod.ts";
import { type RawConnection, writeDrained } from "../../transport/mod.ts";

const LINGER_MS = 1 * SECOND_MS; // for the client to take the tail and close its side

export const RAW_STREAM: string = "application/vnd.docker.raw-stream";
export const MULTIPLEXED_STREAM: string = "application/vnd.docker.multiplexed-stream";

/** Answers on a connection that was taken from the HTTP server. */
export class RawAnswer {
  readonly #connection: RawConnection;
  readonly #headers: readonly (readonly [string, string])[];
  #head: Promise<void> | undefined;

  /** `headers` go with every answer. */
  constructor(connection: RawConnection, headers: readonly (readonly [string, string])[]) {
    this.#connection = connection;
    this.#headers = headers;
  }

  get started(): boolean {
    return this.#head !== undefined;
  }

  /** The head of a stream: 101 for an upgrade, else 200. Idempotent. */
  start(contentType: string): Promise<void> {
    this.#head ??= this.write(
      this.#connection.upgraded
        ? this.#text("101 UPGRADED", [
            ["Content-Type", contentType],
            ["Connection", "Upgrade"],
            ["Upgrade", "tcp"],
          ])
        : this.#text("200 OK", [["Content-Type", contentType]]),
    );
    return this.#head;
  }

  /** The end of a WebSocket handshake. Idempotent. @see RFC 6455 section 4.2.2 */
  startWebSocket(acceptKey: string): Promise<void> {
    this.#head ??= this.write(
      this.#text("101 Switching Protocols", [
        ["Upgrade", "websocket"],
        ["Connection", "Upgrade"],
        ["Sec-WebSocket-Accept", acceptKey],
      ]),
    );
    return this.#head;
  }

  /** A whole answer with a length; the connection is closed after it. */
  complete(status: number, contentType: string | undefined, body: string): void {
    this.#head = Promise.resolve();
    const type: [string, string][] =
      contentType === undefined ? [] : [["Content-Type", contentType]];
    const head = this.#text(`${status} ${STATUS_CODES[status] ?? "Error"}`, [
      ...type,
      ["Content-Length", String(Buffer.byteLength(body))],
      ["Connection", "close"],
    ]);
    this.#connection.socket.write(head + body);
    this.close();
  }

  /** Resolves when there is room for more. Throws cancelled when the client is gone. */
  write(bytes: Uint8Array | string): Promise<void> {
    return writeDrained(this.#connection.socket, bytes);
  }

  /**
   * Ends our side, then the connection. What the client still sends is read and dropped for a
   * moment: closing with unread bytes would make the kernel throw away the tail of our output.
   */
  close(): void {
    const { socket } = this.#connection;
    if (socket.destroyed) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    socket.on("close", () => clearTimeout(timer));
    socket.removeAllListeners("data");
    socket.on("data", () => undefined);
    socket.resume();
    // Only when all of our output has left: a slow reader must get its tail.
    socket.end(() => {
      if (socket.readableEnded) {
        socket.destroy();
        return;
      }
      socket.on("end", () => socket.destroy());
      timer = setTimeout(() => socket.destroy(), LINGER_MS);
      timer.unref();
    });
  }

  #text(status: string, headers: readonly (readonly [string, string])[]): string {
    const lines = [...headers, ...this.#headers].map(([name, value]) => `${name}: ${value}\r\n`);
    return `HTTP/1.1 ${status}\r\n${lines.join("")}\r\n`;
  }
}
