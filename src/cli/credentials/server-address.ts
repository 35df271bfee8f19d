import { parseReference } from "../../oci/mod.ts";

/** The key of Docker Hub in `config.json` and in credential helpers. */
export const HUB_SERVER = "https://index.docker.io/v1/";

const HUB_NAMES: ReadonlySet<string> = new Set([
  "docker.io",
  "index.docker.io",
  "registry-1.docker.io",
]);

/** The key under which credentials for what a person typed are kept: a host, or Docker Hub's. */
export function serverKey(typed: string): string {
  const host = hostOfServer(typed);
  return host === "" || HUB_NAMES.has(host) ? HUB_SERVER : host;
}

/** `https://host:port/v1/` and `host:port` name the same server. */
export function hostOfServer(server: string): string {
  return (server.replace(/^https?:\/\//i, "").split("/")[0] ?? "").toLowerCase();
}

/** The server that has a reference's repository. Throws invalid_argument. */
export function serverOfReference(reference: string): string {
  return serverKey(parseReference(reference).domain);
}
