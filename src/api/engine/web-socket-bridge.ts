import { isNaruError } from "../../base/mod.ts";
import type { ContainerService } from "../../containers/mod.ts";
import {
  DetachMatcher,
  WEB_SOCKET_NORMAL,
  WEB_SOCKET_PROTOCOL_ERROR,
  WebSocketDecoder,
  webSocketClose,
  webSocketFrame,
} from "../../transport/mod.ts";
import type { HijackCall } from "./handler.ts";
import type { StdinSink } from "./stdio-bridge.ts";

type StdioClient = Parameters<ContainerService["attach"]>[1];

/**
 * A web socket as a client of the stdio hub: both outputs as they come, in binary messages (text
 * ones for API versions before 1.28), and what the client sends as stdin. Writes resolve when the
 * socket has room, so that lagging shows.
 */
export class WebSocketBridge implements StdioClient {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly #call: HijackCall;
  readonly #kind: "binary" | "text";
  readonly #acceptKey: string;
  #ended = false;

  constructor(
    call: HijackCall,
    options: { acceptKey: string; stdout: boolean; stderr: boolean; kind: "binary" | "text" },
  ) {
    this.#call = call;
    this.stdout = options.stdout;
    this.stderr = options.stderr;
    this.#kind = options.kind;
    this.#acceptKey = options.acceptKey;
  }

  /** Answers the handshake. Idempotent; the first output does it too. */
  start(): Promise<void> {
    return this.#call.answer.startWebSocket(this.#acceptKey);
  }

  async write(_stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    await this.start();
    await this.#call.answer.write(webSocketFrame(this.#kind, bytes));
  }

  /** Says goodbye once and closes the connection. */
  end(code: number = WEB_SOCKET_NORMAL): void {
    if (this.#ended) return;
    this.#ended = true;
    const { answer, connection } = this.#call;
    this.start()
      .then(() => answer.write(webSocketClose(code)))
      .then(
        () => answer.close(),
        () => connection.socket.destroy(),
      );
  }

  /**
   * Passes what the client sends to `sink`, at its pace. The client's close, or its going away,
   * closes the sink and calls `leave` once; so do the detach keys, without closing.
   */
  connectStdin(sink: StdinSink | undefined, detachKeys: Uint8Array, leave: () => void): void {
    const { socket, head } = this.#call.connection;
    const decoder = new WebSocketDecoder();
    const matcher = new DetachMatcher(detachKeys);
    let left = false;
    const go = (code: number): void => {
      if (left) return;
      left = true;
      leave();
      this.end(code);
    };
    const take = async (chunk: Uint8Array): Promise<void> => {
      for (const piece of decoder.push(chunk)) {
        if (left) return;
        if (piece.kind === "ping")
          await this.#call.answer.write(webSocketFrame("pong", piece.bytes));
        else if (piece.kind === "close") {
          sink?.close();
          go(WEB_SOCKET_NORMAL);
        } else {
          const { passed, detached } = matcher.push(piece.bytes);
          if (passed.length > 0) await sink?.write(passed);
          if (detached) go(WEB_SOCKET_NORMAL);
        }
      }
    };
    // One chunk at a time: the queue keeps order, pausing keeps it short.
    let queue: Promise<void> = Promise.resolve();
    const then = (step: () => Promise<void> | void): void => {
      queue = queue.then(step).catch((error: unknown) => {
        // A broken frame ends it; a stdin that closed meanwhile does not: output goes on.
        if (isNaruError(error, "invalid_argument")) go(WEB_SOCKET_PROTOCOL_ERROR);
      });
    };
    if (head.length > 0) then(() => take(head));
    socket.on("data", (chunk: Uint8Array) => {
      if (left) return;
      socket.pause();
      then(() => take(chunk));
      then(() => void socket.resume());
    });
    socket.on("end", () =>
      then(() => {
        sink?.close();
        go(WEB_SOCKET_NORMAL);
      }),
    );
    const gone = (): void => go(WEB_SOCKET_NORMAL);
    socket.on("close", gone);
    if (socket.destroyed) gone();
    socket.resume();
  }
}
