import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { NaruError } from "../base/mod.ts";

/**
 * A request whose connection became a stream of raw bytes. The request's body, if it has one, is
 * still read from `request`; what the client sends after it arrives on `socket`, also when body
 * and first bytes came in one packet.
 */
export interface RawConnection {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  /** The client sent `Connection: Upgrade` and `Upgrade:`; answer 101, otherwise 200. */
  readonly upgraded: boolean;
  /** Bytes after a request without a body that came in the same packet. */
  readonly head: Uint8Array;
}

/**
 * Takes over the connection of a request without `Upgrade`, which node:http has no way for: its
 * parser would read the client's bytes as a next request and answer 400. Bun's own upgrade goes
 * through the socket's native handle, and so does this. Must be called in the same tick as the
 * request event. Throws unsupported when this Bun's internals differ (a test would show it).
 */
export function takeConnection(request: IncomingMessage, response: ServerResponse): RawConnection {
  const socket = request.socket;
  const native = handleOf(socket);
  const enableStreaming = symbolOf(socket, "kEnableStreaming");
  if (typeof native?.["upgradeToTunnel"] !== "function" || enableStreaming === undefined) {
    throw new NaruError(
      "unsupported",
      "this request needs the headers Connection: Upgrade and Upgrade: tcp",
    );
  }
  const length = request.headers["content-length"];
  const hasBody =
    request.headers["transfer-encoding"] !== undefined ||
    (length !== undefined && Number(length) > 0);
  // The parser's own listeners would destroy the socket at errors that are the stream's business.
  socket.removeAllListeners("error");
  socket.removeAllListeners("timeout");
  socket.on("error", () => undefined);
  native["upgradeToTunnel"](hasBody, handleOf(response));
  Reflect.get(socket, enableStreaming).call(socket, true);
  return { request, socket, upgraded: false, head: Buffer.alloc(0) };
}

interface NativeHandle {
  upgradeToTunnel?: (hasBody: boolean, response: unknown) => void;
}

function handleOf(owner: object): NativeHandle | undefined {
  const symbol = symbolOf(owner, "handle");
  return symbol === undefined ? undefined : Reflect.get(owner, symbol);
}

function symbolOf(owner: object, description: string): symbol | undefined {
  for (let at: object | null = owner; at !== null; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertySymbols(at).find((one) => one.description === description);
    if (found !== undefined) return found;
  }
  return undefined;
}
