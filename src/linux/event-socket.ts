/** What Bun calls back on a socket that was opened elsewhere and handed over by its descriptor. */
export interface EventSocketHandlers {
  /** `bytes` is the callee's to keep. One message per call on a SOCK_SEQPACKET socket. */
  readonly data: (bytes: Uint8Array) => void;
  /** There is room to write again. May come without need. */
  readonly drain: () => void;
  /** Once, last: the peer is gone or `close` was called. */
  readonly close: (error: Error | undefined) => void;
}

/** The part of Bun's socket that works on a descriptor of any unix socket type. */
export interface EventSocket {
  /** Bytes accepted; 0 when it would wait. */
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  terminate(): void;
  ref(): void;
  unref(): void;
}

interface BunSocketHandlers {
  data(socket: EventSocket, bytes: Uint8Array): void;
  drain(socket: EventSocket): void;
  end(socket: EventSocket): void;
  close(socket: EventSocket, error?: Error): void;
  error(socket: EventSocket, error: Error): void;
}

/**
 * Gives a connected, non-blocking unix socket to Bun's event loop, which owns the descriptor from
 * now on. `Bun.connect({ fd })` is missing from Bun's published types, hence the cast.
 */
export async function adoptSocket(fd: number, handlers: EventSocketHandlers): Promise<EventSocket> {
  let failure: Error | undefined;
  const socket: BunSocketHandlers = {
    data: (_, bytes) => handlers.data(bytes),
    drain: () => handlers.drain(),
    end: (ended) => ended.terminate(), // half-open would wait for ever: nobody writes to it any more
    close: (_, error) => handlers.close(failure ?? error),
    error: (_, error) => {
      failure = error;
    },
  };
  const connect = Bun.connect as unknown as (options: {
    fd: number;
    socket: BunSocketHandlers;
  }) => Promise<EventSocket>;
  return await connect({ fd, socket });
}
