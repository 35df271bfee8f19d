import { errorMessage } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { OutputStream, StdioClient } from "./contract.ts";
import type { LogSpool, Positions, SpoolCursor } from "./log/spool.ts";

/** What is held in memory for one client before it goes on from the log. */
export const CLIENT_BUFFER_BYTES_MAX: number = 256 * 1024;

/** conmon writes the log before the socket; a log behind is its disk at work. */
const SPOOL_RETRY_MS = 10;

/** After the end the log has everything: one that still lacks something will not get it. */
const SPOOL_TRIES_MAX = 1000;

export interface HubClientDriver {
  /** What the hub has received, by stream. */
  readonly received: () => Positions;
  readonly spool: LogSpool | undefined;
  readonly logger: Logger;
  /** The client got something: others may wait for that. */
  readonly moved: () => void;
  readonly left: () => void;
}

interface Chunk {
  readonly stream: OutputStream;
  readonly bytes: Uint8Array;
}

/**
 * One client of a hub: live from memory while it keeps up, else from the log, and back when it has
 * read all that the hub has. What it does not want (stdout, stderr) is counted and passed over.
 */
export class HubClient {
  readonly #client: StdioClient;
  readonly #driver: HubClientDriver;
  /** Output that was given to the client or passed over. */
  readonly #position: Record<OutputStream, number>;
  #queue: Chunk[] = [];
  #queuedBytes = 0;
  /** Where the queue ends. */
  readonly #queuedTo: Record<OutputStream, number>;
  /** Set while the client reads from the log. */
  #cursor: SpoolCursor | undefined;
  #state: "open" | "finishing" | "over" = "open";
  #running = false;

  constructor(client: StdioClient, driver: HubClientDriver) {
    this.#client = client;
    this.#driver = driver;
    this.#position = { ...driver.received() };
    this.#queuedTo = { ...this.#position };
  }

  get spooling(): boolean {
    return this.#cursor !== undefined;
  }

  /** Bytes that the hub has and the client has not. */
  get lagBytes(): number {
    const { stdout, stderr } = this.#driver.received();
    return stdout - this.#position.stdout + stderr - this.#position.stderr;
  }

  push(stream: OutputStream, bytes: Uint8Array): void {
    if (this.#state === "over" || this.#cursor !== undefined) return;
    if (this.#queuedBytes > CLIENT_BUFFER_BYTES_MAX) {
      // From here on the log; what is queued goes out first. The cursor keeps its segments.
      this.#cursor = this.#driver.spool?.openCursor({ ...this.#queuedTo });
      if (this.#cursor !== undefined) return;
    }
    this.#queue.push({ stream, bytes });
    this.#queuedBytes += bytes.byteLength;
    this.#queuedTo[stream] += bytes.byteLength;
    this.#run();
  }

  /** No more output comes: ends the client when it has all. */
  finish(): void {
    if (this.#state !== "open") return;
    this.#state = "finishing";
    this.#run();
  }

  detach(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#queue = [];
    void this.#cursor?.close();
    this.#cursor = undefined;
    this.#driver.left();
    this.#client.end();
  }

  #run(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#deliver().catch((error: unknown) => {
      // Seldom, and all that is left of it when somebody asks why a client has not everything.
      const { lagBytes } = this;
      const left = { lagBytes, error: errorMessage(error) };
      if (lagBytes > 0) this.#driver.logger.info("a client left before it had all output", left);
      this.detach();
    });
  }

  async #deliver(): Promise<void> {
    while (this.#state !== "over") {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.bytes.byteLength;
        await this.#give(chunk);
      } else if (this.#cursor !== undefined) {
        await this.#follow(this.#cursor);
      } else {
        this.#running = false;
        if (this.#state === "finishing") this.detach();
        return;
      }
    }
  }

  async #give({ stream, bytes }: Chunk): Promise<void> {
    const wanted = stream === "stdout" ? this.#client.stdout : this.#client.stderr;
    if (wanted) await this.#client.write(stream, bytes);
    this.#position[stream] += bytes.byteLength;
    this.#driver.moved();
  }

  async #follow(cursor: SpoolCursor): Promise<void> {
    let tries = 0;
    while (this.#state !== "over") {
      if (this.#caughtUp()) {
        this.#backToLive();
        return;
      }
      const pieces = await cursor.next();
      if (pieces === undefined) {
        if (this.#state === "finishing") tries += 1;
        if (tries > SPOOL_TRIES_MAX) {
          const { lagBytes } = this;
          this.#driver.logger.error("a client lost output: the log ends before it", { lagBytes });
          throw new Error("the log ends before the output does");
        }
        await new Promise<void>((resolve) => setTimeout(resolve, SPOOL_RETRY_MS));
        continue;
      }
      for (const piece of pieces) {
        if (await this.#giveReceived(piece)) continue;
        this.#backToLive();
        return;
      }
    }
  }

  /**
   * Gives what the hub has received of a piece of the log. The log is ahead of the socket: the rest
   * will come there, so false means caught up, and no await stands between that look and the live
   * queue.
   */
  async #giveReceived(piece: Chunk): Promise<boolean> {
    const { stream } = piece;
    let rest = piece.bytes;
    while (this.#state !== "over" && rest.byteLength > 0) {
      const room = this.#driver.received()[stream] - this.#position[stream];
      if (room > 0) {
        await this.#give({ stream, bytes: rest.subarray(0, room) });
        rest = rest.subarray(room);
      } else if (this.#caughtUp()) return false;
      else await new Promise<void>((resolve) => setTimeout(resolve, SPOOL_RETRY_MS));
    }
    return true;
  }

  /** No await since the look at what the hub has: the next packet is queued, none was missed. */
  #backToLive(): void {
    const cursor = this.#cursor;
    this.#cursor = undefined;
    Object.assign(this.#queuedTo, this.#position);
    void cursor?.close();
  }

  #caughtUp(): boolean {
    const { stdout, stderr } = this.#driver.received();
    return this.#position.stdout === stdout && this.#position.stderr === stderr;
  }
}
