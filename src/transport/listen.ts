import { chmodSync, chownSync, lstatSync, readFileSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { errorCode, errorMessage, NaruError } from "../base/mod.ts";

/** Where a server listens. */
export type ListenAddress =
  | {
      readonly kind: "unix";
      readonly path: string;
      readonly mode: number;
      readonly groupId: number | undefined;
    }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  /** A listening socket from the service manager; `relayPath` is a private unix socket to make. */
  | { readonly kind: "fd"; readonly fd: number; readonly relayPath: string };

export interface Listener {
  /** For messages: `unix:///run/naru.sock`, `tcp://127.0.0.1:2375`, `fd://3`. */
  readonly url: string;
  /** Of tcp: the real port when 0 was asked for. */
  readonly port: number | undefined;
  /** No new connections; open ones go on. Removes the socket file when it is still ours. */
  close(): void;
}

/** Owner and group may connect; the group is the door for people who are not root. */
export const SOCKET_MODE: number = 0o660;
const SOCKET_PATH_BYTES_MAX = 107; // sun_path with its NUL, unix(7)
const PROBE_MS = 1_000; // a live engine accepts at once

/**
 * Binds `server`. Throws conflict when another process listens there, invalid_argument for a path
 * that cannot be a socket, unavailable when the address cannot be bound.
 */
export async function listen(server: Server, address: ListenAddress): Promise<Listener> {
  if (address.kind === "unix") return listenUnix(server, address);
  if (address.kind === "fd") return listenInherited(server, address);
  await bind(
    server,
    () => server.listen({ host: address.host, port: address.port }),
    `tcp://${address.host}:${address.port}`,
  );
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return { url: `tcp://${host}:${port}`, port, close: () => server.close() };
}

/** The id of a group of /etc/group, or undefined. A number is taken as it is. */
export function groupIdOf(name: string): number | undefined {
  if (/^\d{1,9}$/.test(name)) return Number(name);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${name}:`));
  const id = Number(line?.split(":")[2]);
  return Number.isInteger(id) ? id : undefined;
}

async function listenUnix(
  server: Server,
  address: ListenAddress & { kind: "unix" },
): Promise<Listener> {
  const { path } = address;
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new NaruError(
      "invalid_argument",
      `socket path ${path} is longer than ${SOCKET_PATH_BYTES_MAX} bytes`,
    );
  }
  await clearStale(path);
  const before = process.umask(0o177); // nobody else may connect before mode and group are set
  try {
    await bind(server, () => server.listen(path), `unix://${path}`);
  } finally {
    process.umask(before);
  }
  if (address.groupId !== undefined) chownSync(path, 0, address.groupId);
  chmodSync(path, address.mode);
  const inode = lstatSync(path).ino;
  return {
    url: `unix://${path}`,
    port: undefined,
    close: () => {
      const ours = lstatSync(path, { throwIfNoEntry: false })?.ino === inode;
      server.close();
      if (ours) rmSync(path, { force: true });
    },
  };
}

/** Removes a socket file that nobody answers on. Throws conflict when somebody does. */
async function clearStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new NaruError("invalid_argument", `${path} exists and is not a socket`);
  }
  if (await answers(path)) {
    throw new NaruError("conflict", `another process is listening on ${path}`);
  }
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      end();
    };
    const timer = setTimeout(() => settle(() => resolve(true)), PROBE_MS); // its backlog is full
    socket.once("connect", () => settle(() => resolve(true)));
    socket.once("error", (error) => {
      const code = errorCode(error);
      const dead = code === "ECONNREFUSED" || code === "ENOENT";
      settle(() => (dead ? resolve(false) : reject(error)));
    });
  });
}

function bind(server: Server | NetServer, start: () => void, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown): void => {
      server.off("listening", ready);
      const kind = errorCode(error) === "EADDRINUSE" ? "conflict" : "unavailable";
      reject(
        new NaruError(
          kind,
          `cannot listen on ${url}: ${errorMessage(error)}`,
          {},
          { cause: error },
        ),
      );
    };
    const ready = (): void => {
      server.off("error", failed);
      resolve();
    };
    server.once("error", failed);
    server.once("listening", ready);
    try {
      start();
    } catch (error) {
      failed(error);
    }
  });
}

/**
 * Bun's HTTP server cannot take a descriptor (it listens on a random port instead), its plain
 * server can: connections are passed on, both directions and half-closes, to a private socket.
 */
async function listenInherited(
  server: Server,
  address: ListenAddress & { kind: "fd" },
): Promise<Listener> {
  const inner = await listenUnix(server, {
    kind: "unix",
    path: address.relayPath,
    mode: 0o600,
    groupId: undefined,
  });
  const relay = createServer({ allowHalfOpen: true }, (outside) => {
    join(outside, connect({ path: address.relayPath, allowHalfOpen: true }));
  });
  const url = `fd://${address.fd}`;
  try {
    await bind(relay, () => relay.listen({ fd: address.fd }), url);
  } catch (error) {
    inner.close();
    throw error;
  }
  return {
    url,
    port: undefined,
    close: () => {
      relay.close();
      inner.close();
    },
  };
}

function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroySoon());
  }
}
