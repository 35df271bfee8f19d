import type { IncomingMessage } from "node:http";
import { NaruError } from "../../base/mod.ts";
import { DEFAULT_DETACH_KEYS, parseDetachKeys, webSocketAccept } from "../../transport/mod.ts";
import { type EngineRoute, type HijackHandler, hijack } from "./handler.ts";
import { WebSocketBridge } from "./web-socket-bridge.ts";

const NO_KEYS = new Uint8Array(0);
const BINARY_SINCE = 1028; // text frames before, whatever the bytes

/** Is this a request that only a web socket can answer? Its connection is taken either way. */
export function wantsWebSocket(request: IncomingMessage): boolean {
  return request.method === "GET" && WEB_SOCKET.test(request.url ?? "");
}

const WEB_SOCKET = /^(?:\/v[\d.]+)?\/containers\/[^/]+\/attach\/ws(?:\?|$)/;

/** Throws invalid_argument for what is no handshake. @see RFC 6455 section 4.2.1 */
function handshakeKey({ headers }: IncomingMessage): string {
  const key = headers["sec-websocket-key"];
  const fits =
    headers.upgrade?.toLowerCase() === "websocket" &&
    headers["sec-websocket-version"] === "13" &&
    key !== undefined &&
    /^[A-Za-z0-9+/]{22}==$/.test(key);
  if (fits) return key;
  throw new NaruError(
    "invalid_argument",
    "this is for web sockets: send Upgrade: websocket, Sec-WebSocket-Version: 13 and a Sec-WebSocket-Key",
  );
}

const attach: HijackHandler = async (call, { containers }) => {
  const { query, param: ref } = call;
  const acceptKey = webSocketAccept(handshakeKey(call.request));
  const tty = containers.isTty(ref);
  const keysText = query.text("detachKeys");
  const keys = parseDetachKeys(keysText === "" ? DEFAULT_DETACH_KEYS : keysText);
  const bridge = new WebSocketBridge(call, {
    acceptKey,
    stdout: query.flag("stdout"),
    stderr: query.flag("stderr"),
    kind: call.version >= BINARY_SINCE ? "binary" : "text",
  });
  const session = await containers.attach(ref, bridge, {
    stdin: query.flag("stdin"),
    stdout: bridge.stdout,
    stderr: bridge.stderr,
    logs: query.flag("logs"),
    stream: query.flag("stream"),
  });
  try {
    await bridge.start();
    const usesKeys = tty && session.stdin !== undefined;
    bridge.connectStdin(session.stdin, usesKeys ? keys : NO_KEYS, () => session.detach());
    await session.done;
    bridge.end();
  } catch (error) {
    session.detach();
    throw error;
  }
};

export const WEB_SOCKET_ROUTES: readonly EngineRoute[] = [
  hijack("GET /containers/{id}/attach/ws", attach),
];
