import type { ForgetAnswer, ForgetQuestion } from "./conntrack-protocol.ts";
import {
  CONNECTION_GET,
  connectionsOf,
  deleteConnection,
  isOfPort,
  parseConnection,
  type TrackedPort,
} from "./netlink/connection.ts";
import { NETLINK_NETFILTER, RouteSocket } from "./netlink/route-socket.ts";
import { AF_INET, AF_INET6 } from "./socket-address.ts";
import { errnoOf, isSyscallError, SyscallError, syscallErrorRecord } from "./syscall-error.ts";

/*
 * The kernel gives all entries, of which a busy host has hundreds of thousands: a Worker's work.
 */
interface WorkerScope {
  postMessage(message: ForgetAnswer): void;
  onmessage: ((event: MessageEvent<ForgetQuestion>) => void) | null;
}
declare const self: WorkerScope;

const BATCH = 200; // messages of 100 bytes at once: far below any socket buffer

function forget(ports: readonly TrackedPort[]): number {
  const socket = new RouteSocket(NETLINK_NETFILTER);
  try {
    return [AF_INET, AF_INET6]
      .map((family) => forgetFamily(socket, family, ports))
      .reduce((sum, count) => sum + count, 0);
  } finally {
    socket.close();
  }
}

function forgetFamily(socket: RouteSocket, family: number, ports: readonly TrackedPort[]): number {
  // An entry that matches nothing is not kept: the dump may be large.
  const found = socket
    .dump(CONNECTION_GET, connectionsOf(family), (reply) => {
      const connection = parseConnection(reply);
      if (connection === undefined) return undefined;
      return ports.some((port) => isOfPort(connection, port)) ? connection : undefined;
    })
    .filter((connection) => connection !== undefined);
  if (found.length === 0) return 0;
  for (let start = 0; start < found.length; start += BATCH) {
    const results = socket.attempt(
      found
        .slice(start, start + BATCH)
        .map((connection) => ({ message: deleteConnection(connection), label: "connection" })),
    );
    // It may have ended by itself in between.
    const errno = results.find((result) => result !== 0 && result !== errnoOf("ENOENT"));
    if (errno !== undefined) throw new SyscallError("netlink", errno, "connection");
  }
  return found.length;
}

self.onmessage = ({ data: { id, ports } }) => {
  try {
    self.postMessage({ id, kind: "done", forgotten: forget(ports) });
  } catch (error) {
    if (isSyscallError(error)) {
      self.postMessage({ id, kind: "failed", failure: syscallErrorRecord(error) });
    } else {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      self.postMessage({ id, kind: "broken", message });
    }
  }
};
