import { errorCode, NaruError } from "../base/mod.ts";
import type { EngineAddress } from "./host.ts";

/** Certificates of a tls connection, as PEM text. */
export interface TlsOptions {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** False accepts any certificate (`--tls` without `--tlsverify`). */
  readonly verify: boolean;
}

// Received bytes kept for a reader that lags; beyond it the socket is not read any more.
const QUEUE_BYTES_MAX = 1024 * 1024;

type Socket = Bun.Socket<undefined>;

/** One byte stream in both directions, read by pulling, with back-pressure and half-close. */
export class ByteChannel {
  #socket: Socket | undefined;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #paused = false;
  #ended = false;
  #failure: NaruError | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** Throws unavailable when nothing listens, forbidden without the right to connect. */
  static async connect(address: EngineAddress, tls: TlsOptions | undefined): Promise<ByteChannel> {
    const channel = new ByteChannel();
    const handlers = {
      data: (_: Socket, bytes: Uint8Array): void => channel.#received(bytes),
      drain: (): void => channel.#wakeWriter?.(),
      end: (): void => channel.#finish(undefined),
      close: (_: Socket, error?: Error): void => channel.#finish(error),
      error: (_: Socket, error: Error): void => channel.#finish(error),
    };
    try {
      channel.#socket = await (address.kind === "unix"
        ? Bun.connect<undefined>({ unix: address.path, allowHalfOpen: true, socket: handlers })
        : Bun.connect<undefined>({
            hostname: address.hostname,
            port: address.port,
            allowHalfOpen: true,
            socket: handlers,
            ...(address.tls ? { tls: tlsFor(address.hostname, tls) } : {}),
          }));
    } catch (error) {
      throw connectError(address, error);
    }
    return channel;
  }

  /** False once the peer has gone: an idle connection like this must not be used again. */
  get usable(): boolean {
    return !this.#ended && this.#failure === undefined;
  }

  /** The next bytes, or null at the end. Throws unavailable when the connection broke. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.length;
        if (this.#paused && this.#queuedBytes < QUEUE_BYTES_MAX / 2) {
          this.#paused = false;
          this.#socket?.resume();
        }
        return chunk;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  /** Puts bytes back in front of what read() will give. */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#queue.unshift(bytes);
    this.#queuedBytes += bytes.length;
  }

  /** Resolves when the kernel has taken all of it. Throws unavailable when the peer has gone. */
  async write(bytes: Uint8Array | string): Promise<void> {
    let rest = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    while (rest.length > 0) {
      if (this.#failure !== undefined) throw this.#failure;
      const written = this.#socket?.write(rest) ?? -1;
      if (written < 0) throw gone();
      rest = rest.subarray(written);
      if (rest.length === 0) return;
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  /** Half-close: the peer sees the end of our bytes, its own still arrive. */
  closeWrite(): void {
    this.#socket?.shutdown();
  }

  /** Idempotent. A pending read ends with `reason`, or with the end of the stream. */
  close(reason?: NaruError): void {
    this.#failure ??= reason;
    this.#ended = true;
    this.#socket?.terminate();
    this.#wake();
  }

  #received(bytes: Uint8Array): void {
    // The buffer belongs to the socket and is used again after this callback.
    this.#queue.push(bytes.slice());
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > QUEUE_BYTES_MAX && !this.#paused) {
      this.#paused = true;
      this.#socket?.pause();
    }
    this.#wakeReader?.();
  }

  #finish(error: Error | undefined): void {
    if (error !== undefined && !this.#ended) {
      this.#failure ??= new NaruError(
        "unavailable",
        `the connection to the engine broke: ${error.message}`,
        {},
        { cause: error },
      );
    }
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }
}

function tlsFor(hostname: string, tls: TlsOptions | undefined): Bun.TLSOptions {
  return {
    serverName: hostname,
    rejectUnauthorized: tls?.verify ?? true,
    ...(tls?.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls?.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls?.key === undefined ? {} : { key: tls.key }),
  };
}

function gone(): NaruError {
  return new NaruError("unavailable", "the engine closed the connection");
}

function connectError(address: EngineAddress, error: unknown): NaruError {
  const where =
    address.kind === "unix"
      ? `unix://${address.path}`
      : `tcp://${address.hostname}:${address.port}`;
  const code = errorCode(error) ?? "";
  const details = { host: where, code };
  if (code === "EACCES" || code === "EPERM") {
    return new NaruError(
      "forbidden",
      `permission denied while connecting to the engine at ${where}`,
      details,
      { cause: error },
    );
  }
  return new NaruError(
    "unavailable",
    `cannot connect to the engine at ${where}: is it running?`,
    details,
    { cause: error },
  );
}
