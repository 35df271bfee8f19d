import { close } from "./descriptor.ts";
import { adoptSocket, type EventSocket } from "./event-socket.ts";
import { AF_UNIX, connectUnix, SHUT_WR, SOCK_SEQPACKET, shutdownSocket, socket } from "./socket.ts";

/** conmon reads at most 32767 bytes of a packet and sends at most 8193: one size serves both ways. */
export const PACKET_BYTES_MAX: number = 8192;

export interface PacketHandlers {
  /** One packet from the peer; the bytes are the callee's to keep. */
  readonly onPacket: (bytes: Uint8Array) => void;
  /** All that `write` accepted has been sent. */
  readonly onDrain: () => void;
  /** Once, last. The error is undefined for an ordinary end. */
  readonly onClose: (error: Error | undefined) => void;
}

/** A connected SOCK_SEQPACKET unix socket, driven by events. */
export interface PacketSocket {
  /**
   * Takes all of `bytes`, cut into packets of at most PACKET_BYTES_MAX. False: the peer does not
   * keep up; the rest is kept, and the caller waits for onDrain before it writes more. `bytes` must
   * not change before. After the end, or after shutdownWrite, it is dropped and the result is true.
   */
  write(bytes: Uint8Array): boolean;
  /** Half-close once everything was sent: the peer reads EOF, and packets still arrive. */
  shutdownWrite(): void;
  /** Stops reading: the kernel's buffer fills (about 160 KB) and then the peer waits. */
  pause(): void;
  resume(): void;
  /** Drops what was not sent. onClose follows. Idempotent. */
  close(): void;
}

/** Connects to a path of any length. Throws SyscallError (ENOENT, ECONNREFUSED). */
export async function connectSeqpacket(
  path: string,
  handlers: PacketHandlers,
): Promise<PacketSocket> {
  const fd = socket(AF_UNIX, SOCK_SEQPACKET, 0, { nonBlocking: true });
  try {
    connectUnix(fd, path);
  } catch (error) {
    close(fd);
    throw error;
  }
  return await adoptSeqpacket(fd, handlers);
}

/** The same for a descriptor that is connected and non-blocking already; it is taken over. */
export async function adoptSeqpacket(fd: number, handlers: PacketHandlers): Promise<PacketSocket> {
  const connection = new SeqpacketConnection(fd, handlers);
  await connection.open();
  return connection;
}

class SeqpacketConnection implements PacketSocket {
  readonly #fd: number;
  readonly #handlers: PacketHandlers;
  #socket: EventSocket | undefined;
  #unsent: Uint8Array[] = [];
  #state: "open" | "ending" | "shut" | "closed" = "open";

  constructor(fd: number, handlers: PacketHandlers) {
    this.#fd = fd;
    this.#handlers = handlers;
  }

  async open(): Promise<void> {
    this.#socket = await adoptSocket(this.#fd, {
      data: (bytes) => this.#handlers.onPacket(bytes),
      drain: () => this.#flush(),
      close: (error) => {
        this.#state = "closed";
        this.#unsent = [];
        this.#handlers.onClose(error);
      },
    });
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== "open") return true;
    for (let start = 0; start < bytes.byteLength; start += PACKET_BYTES_MAX) {
      this.#unsent.push(bytes.subarray(start, start + PACKET_BYTES_MAX));
    }
    this.#send();
    return this.#unsent.length === 0;
  }

  #flush(): void {
    if (this.#unsent.length === 0) return; // Bun also calls when nobody waits
    this.#send();
    if (this.#unsent.length === 0 && this.#state !== "closed") this.#handlers.onDrain();
  }

  #send(): void {
    let sent = 0;
    for (const packet of this.#unsent) {
      // All or nothing: a packet is never sent in part.
      if (this.#state === "closed" || this.#socket?.write(packet) !== packet.byteLength) break;
      sent += 1;
    }
    this.#unsent.splice(0, sent);
    if (this.#unsent.length === 0 && this.#state === "ending") this.#shut();
  }

  shutdownWrite(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    if (this.#unsent.length === 0) this.#shut();
  }

  #shut(): void {
    this.#state = "shut";
    // Not socket.shutdown(): that closes the descriptor and loses what the peer still sends.
    shutdownSocket(this.#fd, SHUT_WR);
  }

  pause(): void {
    if (this.#state !== "closed") this.#socket?.pause();
  }

  resume(): void {
    if (this.#state !== "closed") this.#socket?.resume();
  }

  close(): void {
    if (this.#state !== "closed") this.#socket?.terminate();
  }
}
