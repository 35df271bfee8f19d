import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errorMessage, NaruError } from "../base/mod.ts";
import type { DaemonConfig, TlsConfig } from "../config/mod.ts";
import {
  createHttpServer,
  groupIdOf,
  type HttpHandlers,
  type ListenAddress,
  type Listener,
  listen,
  SOCKET_MODE,
  type TlsFiles,
} from "../transport/mod.ts";

const PLAIN_PORT = 2375; // IANA "docker"
const TLS_PORT = 2376; // IANA "docker-s"

/**
 * Listens on every host of the configuration; all or none. `inherited` are descriptors from the
 * service manager for `fd://`. Throws conflict, invalid_argument or unavailable naming the host.
 */
export async function listenOnHosts(
  config: DaemonConfig,
  handlers: HttpHandlers,
  inherited: readonly number[],
): Promise<Listener[]> {
  const tls = config.tls === undefined ? undefined : readTlsFiles(config.tls);
  const listeners: Listener[] = [];
  try {
    for (const [host, address] of addressesOf(config, inherited)) {
      const encrypted = host.startsWith("tcp://") ? tls : undefined;
      listeners.push(await listen(createHttpServer(handlers, encrypted), address));
    }
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
  return listeners;
}

function addressesOf(
  config: DaemonConfig,
  inherited: readonly number[],
): (readonly [host: string, address: ListenAddress])[] {
  return config.hosts.flatMap((host): (readonly [string, ListenAddress])[] => {
    if (host.startsWith("unix://")) {
      const path = host.slice("unix://".length);
      return [[host, { kind: "unix", path, mode: SOCKET_MODE, groupId: groupOf(config.group) }]];
    }
    if (host.startsWith("fd://")) {
      return inheritedFds(host, inherited).map((fd) => [
        host,
        { kind: "fd", fd, relayPath: join(config.execRoot, `fd${fd}.sock`) },
      ]);
    }
    return [[host, { kind: "tcp", ...hostAndPort(host, config.tls !== undefined) }]];
  });
}

function groupOf(name: string): number | undefined {
  if (name === "") return undefined;
  const id = groupIdOf(name);
  if (id === undefined) throw new NaruError("invalid_argument", `group: no group "${name}"`);
  return id;
}

/** `fd://` is all that systemd passed, `fd://3` or `fd://*` as dockerd takes them. */
function inheritedFds(host: string, inherited: readonly number[]): readonly number[] {
  const wanted = host.slice("fd://".length);
  const fds =
    wanted === "" || wanted === "*" ? inherited : inherited.filter((fd) => String(fd) === wanted);
  if (fds.length === 0) {
    throw new NaruError(
      "invalid_argument",
      `${host}: no socket was passed to this process; fd:// works under systemd socket activation only`,
    );
  }
  return fds;
}

function hostAndPort(url: string, encrypted: boolean): { host: string; port: number } {
  const match = /^tcp:\/\/(?:\[([0-9a-fA-F:]*)\]|([^:]*))(?::(\d+))?$/.exec(url);
  const port = Number(match?.[3] ?? (encrypted ? TLS_PORT : PLAIN_PORT));
  if (match === null || port > 65_535) {
    throw new NaruError("invalid_argument", `hosts: invalid address "${url}"`);
  }
  return { host: match[1] || match[2] || "127.0.0.1", port };
}

function readTlsFiles(tls: TlsConfig): TlsFiles {
  const read = (key: string, path: string): string => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      throw new NaruError(
        "invalid_argument",
        `${key}: cannot read ${path}: ${errorMessage(error)}`,
      );
    }
  };
  return {
    cert: read("tlscert", tls.certPath),
    key: read("tlskey", tls.keyPath),
    ca: tls.verifyClients ? read("tlscacert", tls.caPath) : undefined,
  };
}
