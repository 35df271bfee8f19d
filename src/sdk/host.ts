import { NaruError } from "../base/mod.ts";

/** Where an engine listens. */
export type EngineAddress =
  | { readonly kind: "unix"; readonly path: string }
  | {
      readonly kind: "tcp";
      readonly hostname: string;
      readonly port: number;
      readonly tls: boolean;
    };

const PLAIN_PORT = 2375; // docker's registered ports
const TLS_PORT = 2376;

/** Parses `unix:///path`, `tcp://host[:port]`, `http://…`, `https://…`. Throws invalid_argument. */
export function parseHost(host: string, tls: boolean): EngineAddress {
  if (host.startsWith("unix://")) {
    const path = host.slice("unix://".length);
    if (path === "") throw invalid(host, "the path of the socket is missing");
    return { kind: "unix", path };
  }
  const match = /^(tcp|http|https):\/\/(\[[0-9a-fA-F:.]+\]|[^:/[\]]*)(?::(\d{1,5}))?\/?$/.exec(
    host,
  );
  if (match === null) {
    throw invalid(host, "want unix:///path/to.sock or tcp://host:port");
  }
  const secure = tls || match[1] === "https";
  const port = match[3] === undefined ? (secure ? TLS_PORT : PLAIN_PORT) : Number(match[3]);
  if (port < 1 || port > 65_535) throw invalid(host, "the port is not between 1 and 65535");
  const hostname = (match[2] ?? "").replace(/^\[|\]$/g, "") || "localhost";
  return { kind: "tcp", hostname, port, tls: secure };
}

function invalid(host: string, why: string): NaruError {
  return new NaruError("invalid_argument", `invalid host "${host}": ${why}`, { host });
}
