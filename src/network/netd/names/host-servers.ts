import { readFileSync, statSync } from "node:fs";
import { parseResolvConf } from "../../resolv-conf.ts";

/** Public servers, Docker's choice, of a host that names none. */
const FALLBACK: readonly string[] = ["8.8.8.8", "8.8.4.4"];
const SERVERS_MAX = 3; // MAXNS of resolv.conf(5)

/**
 * The name servers of the host, as its file says now. netd asks from the host's own namespace, so
 * that a stub on the host's loopback (127.0.0.53) answers it too.
 */
export class HostServers {
  readonly #path: string;
  #changedNs: bigint = -1n;
  #servers: readonly string[] = FALLBACK;

  constructor(path: string = "/etc/resolv.conf") {
    this.#path = path;
  }

  now(): readonly string[] {
    try {
      const { mtimeNs } = statSync(this.#path, { bigint: true });
      if (mtimeNs === this.#changedNs) return this.#servers;
      const { servers } = parseResolvConf(readFileSync(this.#path, "utf8"));
      this.#servers = servers.length === 0 ? FALLBACK : servers.slice(0, SERVERS_MAX);
      this.#changedNs = mtimeNs;
    } catch {
      this.#servers = FALLBACK; // no file: resolv.conf(5) would ask the local host, which has none
      this.#changedNs = -1n;
    }
    return this.#servers;
  }
}
