import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { KiB, SECOND_MS } from "../base/mod.ts";
import { type RawConnection, takeConnection } from "./hijack.ts";

/** What a server does with requests. */
export interface HttpHandlers {
  /** Never throws. */
  request(request: IncomingMessage, response: ServerResponse): void;
  /** Asked before the body of every request: shall this connection become a raw stream? */
  wantsConnection(request: IncomingMessage): boolean;
  /** Never throws; owns the socket from now on. */
  connection(connection: RawConnection): void;
}

/** PEM text. With `ca`, clients must show a certificate that it signed. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
}

const HEADERS_MS = 10 * SECOND_MS; // clients send them in one packet; more is a slow attack
const HEADER_BYTES_MAX = 256 * KiB; // X-Registry-Config of a user with many registries is long
const CHECK_MS = 2 * SECOND_MS; // how often slow connections are looked for
const KEEP_ALIVE_MS = 90 * SECOND_MS; // longer than the 30-90 s that Go and Python pools reuse

/** An HTTP server with naru's limits. Bodies have limits of their own (request-body.ts). */
export function createHttpServer(handlers: HttpHandlers, tls?: TlsFiles): Server {
  const options = {
    headersTimeout: HEADERS_MS,
    requestTimeout: 0, // an upload may take hours; the body reader drops idle senders
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
    requireHostHeader: false, // old clients on unix sockets send none
    shouldUpgradeCallback: (request: IncomingMessage) => handlers.wantsConnection(request),
  };
  const server =
    tls === undefined ? createServer(options) : createTlsServer({ ...options, ...tlsOptions(tls) });
  // A client that ends its side after the request (nc, curl -N scripts) still wants the answer.
  Reflect.set(server, "httpAllowHalfOpen", true);
  server.timeout = 0;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (staysOpenUnsaid(request)) response.removeHeader("Connection");
    if (!handlers.wantsConnection(request)) return handlers.request(request, response);
    let connection: RawConnection;
    try {
      connection = takeConnection(request, response);
    } catch (error) {
      return answerPlain(response, error);
    }
    handlers.connection(connection);
  });
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => undefined); // a reset shows as close as well
    handlers.connection({ request, socket, upgraded: true, head });
  });
  server.on("clientError", (error: Error & { code?: string }, socket: Socket) => {
    refuseUnparsed(error.code ?? "", socket);
  });
  return server;
}

/**
 * HTTP/1.1 connections stay open without a word, and Go's server, which clients know, says none;
 * node:http would send `Connection: keep-alive` and `Keep-Alive: timeout=`.
 */
function staysOpenUnsaid(request: IncomingMessage): boolean {
  if (request.httpVersion !== "1.1") return false;
  const asked = request.headers.connection;
  return asked === undefined || !/\bclose\b/i.test(asked);
}

function tlsOptions(tls: TlsFiles): Record<string, unknown> {
  const verify =
    tls.ca === undefined ? {} : { ca: tls.ca, requestCert: true, rejectUnauthorized: true };
  return { cert: tls.cert, key: tls.key, minVersion: "TLSv1.2", ...verify };
}

function answerPlain(response: ServerResponse, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  response.writeHead(400, { "Content-Type": "application/json", Connection: "close" });
  response.end(JSON.stringify({ message }));
}

function refuseUnparsed(code: string, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] = UNPARSED[code] ?? ["400 Bad Request", "malformed HTTP request"];
  const body = JSON.stringify({ message });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  );
}

const UNPARSED: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "request headers are too large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "request headers did not arrive in time"],
};
