import http, { type Agent, type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";
import { NaruError, SECOND_MS } from "../base/mod.ts";
import type { TlsMaterial } from "./endpoint.ts";
import { tlsOptions } from "./tls-options.ts";
import { hostOf, portOf } from "./url-parts.ts";

const CONNECT_MS = 30 * SECOND_MS; // the proxy itself connects meanwhile

interface Connectable {
  createConnection(
    options: { host?: string; port?: number },
    connected: (error: Error | null, socket?: Duplex) => void,
  ): Duplex | undefined;
}

/** Makes `agent` open its TLS connections through `proxy` with CONNECT. @see RFC 9110 9.3.6 */
export function connectThrough(agent: Agent, proxy: URL, material: TlsMaterial): void {
  (agent as unknown as Connectable).createConnection = ({ host = "", port = 443 }, connected) => {
    tunnel(proxy, host, port).then(
      (socket) => {
        const secured = tls.connect({
          socket,
          host,
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...tlsOptions(material),
        });
        secured.once("secureConnect", () => connected(null, secured));
        secured.once("error", connected);
      },
      (error: Error) => connected(error),
    );
    return undefined;
  };
}

function tunnel(proxy: URL, host: string, port: number): Promise<Socket> {
  const authority = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      const message = `the proxy ${proxy.host} does not connect to ${authority}: ${why}`;
      reject(new NaruError("unavailable", message));
    };
    const asked: ClientRequest = (proxy.protocol === "https:" ? https : http).request({
      method: "CONNECT",
      host: hostOf(proxy),
      port: portOf(proxy),
      path: authority,
      agent: false,
      timeout: CONNECT_MS,
      headers: { host: authority, ...proxyAuthorization(proxy) },
    });
    asked.on("connect", (answer: IncomingMessage, socket: Socket) => {
      socket.setTimeout(0);
      if (answer.statusCode === 200) resolve(socket);
      else {
        socket.destroy();
        fail(`status ${answer.statusCode}`);
      }
    });
    asked.on("response", (answer: IncomingMessage) => {
      answer.destroy();
      fail(`status ${answer.statusCode}`);
    });
    asked.on("timeout", () => asked.destroy(new Error("timed out")));
    asked.on("error", (error) => fail(error.message));
    asked.end();
  });
}

export function proxyAuthorization(proxy: URL): Record<string, string> {
  if (proxy.username === "" && proxy.password === "") return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
}
