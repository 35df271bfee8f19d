import { connectSeqpacket, PACKET_BYTES_MAX, type PacketSocket } from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { ContainerLog, OutputStream, StdinMode, StdioClient, StdioHub } from "./contract.ts";
import { HubClient } from "./hub-client.ts";
import type { SpooledLog } from "./log/container-log.ts";
import type { LogSpool } from "./log/spool.ts";

/**
 * How far the slowest client may be behind before the container has to wait. This much log is kept
 * on disk for it at most, beside the log's own limit.
 */
export const SPOOL_LAG_BYTES_MAX: number = 512 * 1024 * 1024;

/** Without a spool: what is held in memory for the slowest client before the container waits. */
export const MEMORY_LAG_BYTES_MAX: number = 1024 * 1024;

const STREAM_BY_PIPE: Readonly<Record<number, OutputStream>> = { 2: "stdout", 3: "stderr" };

export interface ConnectStdioOptions {
  readonly terminal: boolean;
  readonly stdin: StdinMode;
  /**
   * The container's log. With `started()` called before the container's start, output positions are
   * the log's, and a lagging client reads on from it. Undefined, or with `resumed()` (the container
   * ran before this engine did), a lagging client slows the container, as it does with Docker.
   */
  readonly log: ContainerLog | undefined;
  readonly logger: Logger;
}

/**
 * Connects to conmon's attach socket in `bundleDir`, the one connection that this engine has to it.
 * Throws SyscallError (ENOENT, ECONNREFUSED) when conmon is gone.
 */
export async function connectStdio(
  bundleDir: string,
  options: ConnectStdioOptions,
): Promise<StdioHub> {
  const hub = new ConmonHub(options);
  await hub.connect(`${bundleDir}/attach`);
  return hub;
}

class ConmonHub implements StdioHub {
  readonly ended: Promise<void>;
  readonly #options: ConnectStdioOptions;
  readonly #spool: LogSpool | undefined;
  readonly #end: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  readonly #clients: Set<HubClient> = new Set();
  readonly #received: Record<OutputStream, number> = { stdout: 0, stderr: 0 };
  #drainWaiters: (() => void)[] = [];
  #socket: PacketSocket | undefined;
  #paused = false;
  #over = false;
  #stdinClosed = false;
  #stdinWaiters: (() => void)[] = [];
  /** Writes of several clients go one after the other. */
  #stdinTail: Promise<void> = Promise.resolve();

  constructor(options: ConnectStdioOptions) {
    this.#options = options;
    this.ended = this.#end.promise;
    this.#spool = isSpooled(options.log) ? options.log.spool : undefined;
    if (this.#spool !== undefined) this.#spool.onFullChanged = () => this.#balance();
  }

  async connect(path: string): Promise<void> {
    this.#socket = await connectSeqpacket(path, {
      onPacket: (packet) => this.#packet(packet),
      onDrain: () => this.#wakeStdin(),
      onClose: () => this.#closed(),
    });
    if (this.#over) this.#socket.close();
  }

  #packet(packet: Uint8Array): void {
    const stream = STREAM_BY_PIPE[packet[0] ?? 0];
    if (stream === undefined) {
      this.#options.logger.warn("packet of an unknown stream from conmon", {
        pipe: packet[0] ?? -1,
      });
      return;
    }
    const bytes = packet.subarray(1);
    this.#received[stream] += bytes.byteLength;
    for (const client of this.#clients) client.push(stream, bytes);
    this.#balance();
  }

  /** Lets the container wait while a client is too far behind, and go on when it has caught up. */
  #balance(): void {
    if (this.#over) return;
    let slow = this.#spool?.full === true;
    for (const client of this.#clients) {
      const max = client.spooling ? SPOOL_LAG_BYTES_MAX : MEMORY_LAG_BYTES_MAX;
      // Half of it before going on, so that it does not start and stop at every packet.
      if (client.lagBytes > (this.#paused ? max / 2 : max)) slow = true;
    }
    if (slow === this.#paused) return;
    this.#paused = slow;
    if (slow) this.#socket?.pause();
    else this.#socket?.resume();
  }

  #closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stdinClosed = true;
    this.#wakeStdin();
    for (const client of this.#clients) client.finish();
    this.#end.resolve();
    this.#tellDrained();
  }

  async drained(): Promise<void> {
    await this.ended;
    while (this.#clients.size > 0) {
      await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
    }
  }

  #tellDrained(): void {
    if (!this.#over || this.#clients.size > 0) return;
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const resolve of waiters) resolve();
  }

  attach(client: StdioClient): () => void {
    const entry = new HubClient(client, {
      received: () => this.#received,
      spool: this.#spool,
      logger: this.#options.logger,
      moved: () => this.#balance(),
      left: () => {
        this.#clients.delete(entry);
        this.#balance();
        this.#tellDrained();
      },
    });
    this.#clients.add(entry);
    if (this.#over) entry.finish();
    return () => entry.detach();
  }

  writeStdin(bytes: Uint8Array): Promise<void> {
    const next = this.#stdinTail.then(() => this.#write(bytes));
    this.#stdinTail = next.catch(() => undefined);
    return next;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.byteLength; start += PACKET_BYTES_MAX) {
      if (this.#stdinClosed || this.#socket === undefined) return;
      // A copy: what is not sent at once is kept, and the caller may use its buffer again.
      const packet = bytes.slice(start, start + PACKET_BYTES_MAX);
      if (this.#socket.write(packet)) continue;
      await new Promise<void>((resolve) => this.#stdinWaiters.push(resolve));
    }
  }

  #wakeStdin(): void {
    const waiters = this.#stdinWaiters;
    this.#stdinWaiters = [];
    for (const resolve of waiters) resolve();
  }

  closeStdin(): void {
    // A terminal's input stays (its EOF is a character); `open` outlives each client.
    if (this.#stdinClosed || this.#options.terminal || this.#options.stdin !== "once") return;
    const next = this.#stdinTail.then(() => {
      if (this.#stdinClosed) return;
      this.#stdinClosed = true;
      this.#socket?.shutdownWrite();
    });
    this.#stdinTail = next;
  }

  close(): void {
    if (this.#over) return;
    this.#socket?.close();
    this.#closed();
  }
}

function isSpooled(log: ContainerLog | undefined): log is SpooledLog {
  return log !== undefined && "spool" in log;
}
