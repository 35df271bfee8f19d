import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { connect as connectNet, isIPv6, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { NaruError } from "../../../base/mod.ts";
import {
  AF_UNIX,
  close,
  connectUnix,
  SOCK_DGRAM,
  setSocketBuffers,
  socket,
  trySend,
} from "../../../linux/mod.ts";
import type { HostPort, LogAddress, LogTls } from "./plan.ts";

const CLOSE_MS_MAX = 5_000; // a peer that does not read keeps no descriptor of ours for longer
const CONNECT_MS_MAX = 10_000; // a host that drops packets answers a connect never

/** A connection to a log peer. Every failure rejects; the connection is not used again then. */
export interface StreamWire {
  /** Resolves when the kernel has all of it. */
  write(bytes: Uint8Array, timeoutMs: number): Promise<void>;
  /** Resolves when the peer has sent exactly these bytes, rejects on others. */
  expect(bytes: Uint8Array, timeoutMs: number): Promise<void>;
  readonly broken: boolean;
  close(): void;
}

export async function openStream(
  address: LogAddress,
  tls: LogTls | undefined,
): Promise<StreamWire> {
  const wire = await dial(address, tls);
  await wire.connected();
  return wire;
}

async function dial(address: LogAddress, tls: LogTls | undefined): Promise<SocketWire> {
  if (address.transport === "unix" || address.transport === "unixgram") {
    return new SocketWire(connectNet({ path: address.path }), "connect");
  }
  const { host, port } = address;
  if (address.transport !== "tls") return new SocketWire(connectNet({ host, port }), "connect");
  const read = (path = ""): Promise<Buffer | undefined> =>
    path === "" ? Promise.resolve(undefined) : readFile(path);
  const [ca, cert, key] = await Promise.all([
    read(tls?.caPath),
    read(tls?.certPath),
    read(tls?.keyPath),
  ]);
  const socket = connectTls({
    ...{ host, port, rejectUnauthorized: tls?.skipVerify !== true },
    ...(isIPv6(host) || /^[\d.]+$/.test(host) ? {} : { servername: host }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
  return new SocketWire(socket, "secureConnect");
}

class SocketWire implements StreamWire {
  broken = false;
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #reason: Error = new NaruError("unavailable", "the log peer closed the connection");
  #changed: () => void = () => undefined;

  #open = false;
  #closing = false;

  /** At once after the dialling: no event may come before. */
  constructor(socket: Socket, openEvent: "connect" | "secureConnect") {
    this.#socket = socket;
    socket.once(openEvent, () => {
      this.#open = true;
      this.#changed();
    });
    socket.on("data", (chunk: Buffer) => {
      // Only answers are expected, and they are short: a peer that talks on is cut off.
      this.#received = Buffer.concat([this.#received, chunk]);
      if (this.#received.byteLength > 64 * 1024) socket.destroy();
      this.#changed();
    });
    socket.on("error", (error) => {
      this.#reason = error;
      this.#break();
    });
    socket.on("end", () => this.#break());
    socket.on("close", () => this.#break());
  }

  #break(): void {
    this.broken = true;
    this.#changed();
  }

  async connected(): Promise<void> {
    await this.#until(() => this.#open, CONNECT_MS_MAX, "connecting");
  }

  async write(bytes: Uint8Array, timeoutMs: number): Promise<void> {
    let done = false;
    this.#socket.write(bytes, (error) => {
      if (error instanceof Error) {
        this.#reason = error;
        this.broken = true;
      } else done = true;
      this.#changed();
    });
    await this.#until(() => done, timeoutMs, "writing");
  }

  async expect(bytes: Uint8Array, timeoutMs: number): Promise<void> {
    const length = bytes.byteLength;
    await this.#until(
      () => this.#received.byteLength >= length,
      timeoutMs,
      "waiting for an answer",
    );
    const answer = this.#received.subarray(0, length);
    this.#received = Buffer.from(this.#received.subarray(length));
    if (answer.equals(bytes)) return;
    this.close();
    throw new NaruError("unavailable", "the log peer acknowledged something else");
  }

  /** `timeoutMs` 0: no limit. */
  async #until(isTrue: () => boolean, timeoutMs: number, what: string): Promise<void> {
    let late = false;
    const timer =
      timeoutMs === 0
        ? undefined
        : setTimeout(() => {
            late = true;
            this.#changed();
          }, timeoutMs);
    try {
      while (!isTrue()) {
        if (this.broken) throw this.#reason;
        if (late) throw new NaruError("unavailable", `${what} took longer than ${timeoutMs} ms`);
        await new Promise<void>((resolve) => {
          this.#changed = resolve;
        });
      }
    } catch (error) {
      this.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * In order: Bun's `destroy` resets the connection, and a peer that had not read everything then
   * loses what the kernel had delivered already.
   */
  close(): void {
    if (!this.#closing) {
      this.#closing = true;
      const socket = this.#socket;
      const timer = setTimeout(() => socket.destroy(), CLOSE_MS_MAX);
      timer.unref();
      socket.once("close", () => clearTimeout(timer));
      socket.end();
    }
    this.#break();
  }
}

/** Sends messages one by one. */
export interface DatagramWire {
  send(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** UDP tells nothing of a peer that is not there, nor of what it did not read in time. */
export function openUdp(address: HostPort): DatagramWire {
  const udp: UdpSocket = createSocket(isIPv6(address.host) ? "udp6" : "udp4");
  udp.on("error", () => undefined); // each send is told of its own
  udp.unref();
  return {
    send: (bytes) =>
      new Promise((resolve, reject) => {
        udp.send(bytes, address.port, address.host, (error) => {
          if (error instanceof Error) reject(error);
          else resolve();
        });
      }),
    close: () => udp.close(),
  };
}

const FULL_RETRY_MS = 5; // no event tells that a datagram socket has room again
const SEND_BUFFER_BYTES = 1024 * 1024; // environment variables may make a message large

/** Throws SyscallError when nobody listens; `send` waits while the peer's queue is full. */
export function openUnixDatagram(path: string): DatagramWire {
  const fd = socket(AF_UNIX, SOCK_DGRAM, 0, { nonBlocking: true });
  try {
    setSocketBuffers(fd, { sendBytes: SEND_BUFFER_BYTES });
    connectUnix(fd, path);
  } catch (error) {
    close(fd);
    throw error;
  }
  let open = true;
  return {
    send: async (bytes) => {
      while (open && trySend(fd, bytes) === undefined) {
        await new Promise<void>((resolve) => setTimeout(resolve, FULL_RETRY_MS));
      }
      if (!open) throw new NaruError("cancelled", "the log is being closed");
    },
    close: () => {
      if (!open) return;
      open = false;
      close(fd);
    },
  };
}
