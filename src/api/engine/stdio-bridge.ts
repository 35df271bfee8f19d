import type { ContainerService } from "../../containers/mod.ts";
import { DetachMatcher, encodeStdcopy } from "../../transport/mod.ts";
import type { HijackCall } from "./handler.ts";
import { MULTIPLEXED_STREAM, RAW_STREAM } from "./raw-answer.ts";

const MULTIPLEXED_SINCE = 1042; // its media type is newer than the framing itself

/** The media type of a hijacked stream; the framing goes by tty alone. @see compat: moby attach */
export function streamType(call: HijackCall, tty: boolean): string {
  const named = !tty && call.connection.upgraded && call.version >= MULTIPLEXED_SINCE;
  return named ? MULTIPLEXED_STREAM : RAW_STREAM;
}

/** What the client types goes here. */
export interface StdinSink {
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

type StdioClient = Parameters<ContainerService["attach"]>[1];

/**
 * A hijacked connection as a client of the stdio hub. The head of the answer leaves before the
 * first output, or with `start`. Writes resolve when the socket has room, so that lagging shows.
 */
export class StdioBridge implements StdioClient {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly #call: HijackCall;
  readonly #tty: boolean;
  #ended = false;

  constructor(call: HijackCall, options: { tty: boolean; stdout: boolean; stderr: boolean }) {
    this.#call = call;
    this.#tty = options.tty;
    this.stdout = options.stdout;
    this.stderr = options.stderr;
  }

  start(): Promise<void> {
    return this.#call.answer.start(streamType(this.#call, this.#tty));
  }

  async write(stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    if (!this.#call.answer.started) await this.start();
    await this.#call.answer.write(this.#tty ? bytes : encodeStdcopy(stream, bytes));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#call.answer.started) this.#call.answer.close();
    else
      void this.start().then(
        () => this.#call.answer.close(),
        () => undefined,
      );
  }

  /**
   * Passes what the client sends to `sink`, at its pace. The end of the client's side closes the
   * sink; the detach keys, and the client's going away, call `detach` once.
   */
  connectStdin(sink: StdinSink | undefined, detachKeys: Uint8Array, detach: () => void): void {
    const { socket, head } = this.#call.connection;
    const matcher = new DetachMatcher(detachKeys);
    let detached = false;
    const leave = (): void => {
      if (detached) return;
      detached = true;
      detach();
    };
    const take = async (chunk: Uint8Array): Promise<void> => {
      const { passed, detached: typed } = matcher.push(chunk);
      if (passed.length > 0) await sink?.write(passed);
      if (typed) leave();
    };
    // One chunk at a time: the queue keeps order, pausing keeps it short.
    let queue: Promise<void> = Promise.resolve();
    const then = (step: () => Promise<void> | void): void => {
      queue = queue.then(step).catch(() => undefined); // stdin closed meanwhile: output goes on
    };
    if (head.length > 0) then(() => take(head));
    socket.on("data", (chunk: Uint8Array) => {
      if (detached || sink === undefined) return;
      socket.pause();
      then(() => take(chunk));
      then(() => {
        socket.resume();
      });
    });
    socket.on("end", () =>
      then(async () => {
        const held = matcher.flush();
        if (held.length > 0) await sink?.write(held);
        sink?.close();
      }),
    );
    socket.on("close", leave);
    if (socket.destroyed) leave();
    socket.resume();
  }
}
