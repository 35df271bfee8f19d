import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { gunzipSync } from "node:zlib";

/** A peer that log drivers ship to, on loopback or a unix socket. */
export interface LogPeer {
  readonly port: number;
  /** All that came, in order: bytes of a stream as one, or datagrams. */
  readonly received: Buffer[];
  text(): string;
  close(): Promise<void>;
}

export interface StreamPeerOptions {
  /** Where to listen; without it loopback, at `port` or a free one. */
  readonly path?: string;
  readonly port?: number;
  /** PEM texts; a client must show a certificate of `ca`. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
  /** Called with each piece: an answer may be written. */
  readonly onData?: (socket: Socket, chunk: Buffer) => void;
}

export async function streamPeer(options: StreamPeerOptions = {}): Promise<LogPeer> {
  const received: Buffer[] = [];
  const sockets = new Set<Socket>();
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      received.push(Buffer.from(chunk));
      options.onData?.(socket, chunk);
    });
  };
  const server =
    options.tls === undefined
      ? createServer(accept)
      : createTlsServer({ ...options.tls, requestCert: true }, accept);
  const where =
    options.path === undefined
      ? { host: "127.0.0.1", port: options.port ?? 0 }
      : { path: options.path };
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    received,
    text: () => Buffer.concat(received).toString(),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const RECEIVE_BYTES = 1024 * 1024; // a burst must not be lost to the test's own slowness

export async function udpPeer(): Promise<LogPeer> {
  const received: Buffer[] = [];
  const socket = createSocket({ type: "udp4", recvBufferSize: RECEIVE_BYTES });
  socket.on("message", (message) => received.push(Buffer.from(message)));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return {
    port: socket.address().port,
    received,
    text: () => Buffer.concat(received).toString(),
    close: () => new Promise<void>((resolve) => void socket.close(() => resolve())),
  };
}

const UNIX_DATAGRAMS = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("ready", flush=True)
while True:
    print(s.recv(1 << 20).hex(), flush=True)
`;

/** Like journald's socket, in a process of its own: Bun has no unix datagram server. */
export async function unixDatagramPeer(path: string): Promise<LogPeer> {
  const received: Buffer[] = [];
  const child: ChildProcess = spawn("python3", ["-c", UNIX_DATAGRAMS, path]);
  const ready = Promise.withResolvers<void>();
  child.once("error", ready.reject);
  let rest = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "ready") ready.resolve();
      else received.push(Buffer.from(line, "hex"));
    }
  });
  await ready.promise;
  return {
    port: 0,
    received,
    text: () => Buffer.concat(received).toString(),
    close: async () => {
      child.kill("SIGKILL");
      await new Promise<void>((resolve) => child.once("exit", () => resolve()));
    },
  };
}

/** Whole GELF payloads of datagrams, chunks put together by message id. */
export function gelfPayloads(datagrams: readonly Buffer[]): Record<string, unknown>[] {
  const chunks = new Map<string, Buffer[]>();
  const whole: Buffer[] = [];
  for (const datagram of datagrams) {
    if (datagram[0] !== 0x1e || datagram[1] !== 0x0f) {
      whole.push(datagram);
      continue;
    }
    const id = datagram.subarray(2, 10).toString("hex");
    const parts = chunks.get(id) ?? [];
    parts[datagram[10] ?? 0] = datagram.subarray(12);
    chunks.set(id, parts);
    if (parts.filter((part) => part !== undefined).length === datagram[11]) {
      whole.push(Buffer.concat(parts));
    }
  }
  return whole.map((payload) => {
    const json = payload[0] === 0x1f ? gunzipSync(Uint8Array.from(payload)) : payload;
    return JSON.parse(Buffer.from(json).toString()) as Record<string, unknown>;
  });
}
