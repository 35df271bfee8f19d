import type { Logger } from "../observe/mod.ts";
import type { OutputStream, StdioClient } from "./contract.ts";
import type { LogSpool, Positions, SpoolCursor } from "./log/spool.ts";

/** What is held in memory for one client before it goes on from the log. */
export const CLIENT_BUFFER_BYTES_MAX: number = 256 * 1024;

/** conmon writes the log before the socket; a log behind is its disk at work. */
const SPOOL_RETRY_MS = 10;

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
  #mode: "live" | "spool" = "live";
  #state: "open" | "finishing" | "over" = "open";
  #running = false;

  constructor(client: StdioClient, driver: HubClientDriver) {
    this.#client = client;
    this.#driver = driver;
    this.#position = { ...driver.received() };
  }

  get spooling(): boolean {
    return this.#mode === "spool";
  }

  /** Bytes that the hub has and the client has not. */
  get lagBytes(): number {
    const { stdout, stderr } = this.#driver.received();
    return stdout - this.#position.stdout + stderr - this.#position.stderr;
  }

  push(stream: OutputStream, bytes: Uint8Array): void {
    if (this.#state === "over" || this.#mode === "spool") return;
    if (this.#driver.spool !== undefined && this.#queuedBytes > CLIENT_BUFFER_BYTES_MAX) {
      // From here on the log; what is queued goes out first.
      this.#mode = "spool";
      return;
    }
    this.#queue.push({ stream, bytes });
    this.#queuedBytes += bytes.byteLength;
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
    this.#driver.left();
    this.#client.end();
  }

  #run(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#deliver().catch((error: unknown) => {
      this.#driver.logger.debug("stdio client left", { error });
      this.detach();
    });
  }

  async #deliver(): Promise<void> {
    while (this.#state !== "over") {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.bytes.byteLength;
        await this.#give(chunk);
      } else if (this.#mode === "spool") {
        await this.#readSpool();
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

  async #readSpool(): Promise<void> {
    const cursor = this.#driver.spool?.openCursor({ ...this.#position });
    if (cursor === undefined) throw new Error("the log does not reach back to a lagging client");
    try {
      await this.#follow(cursor);
    } finally {
      await cursor.close();
    }
  }

  async #follow(cursor: SpoolCursor): Promise<void> {
    while (this.#state !== "over") {
      if (this.#caughtUp()) {
        // No await since the look: the next packet is queued, and none was missed.
        this.#mode = "live";
        return;
      }
      const pieces = await cursor.next();
      if (pieces === undefined) {
        await new Promise<void>((resolve) => setTimeout(resolve, SPOOL_RETRY_MS));
        continue;
      }
      for (const piece of pieces) {
        if (this.#stateNow() === "over") return;
        const rest = this.#within(piece);
        if (rest === undefined) return this.#atOddPlace();
        await this.#give(rest);
      }
    }
  }

  /**
   * The log is ahead of the socket: bytes that the hub has not received yet will come live, so the
   * cursor goes no further than what the hub has at this moment.
   */
  #within(piece: Chunk): Chunk | undefined {
    const room = this.#driver.received()[piece.stream] - this.#position[piece.stream];
    if (room >= piece.bytes.byteLength) return piece;
    return undefined;
  }

  /** Ends this pass: the next one opens a cursor at the position reached. */
  async #atOddPlace(): Promise<void> {
    if (!this.#caughtUp())
      await new Promise<void>((resolve) => setTimeout(resolve, SPOOL_RETRY_MS));
  }

  #stateNow(): "open" | "finishing" | "over" {
    return this.#state;
  }

  #caughtUp(): boolean {
    const { stdout, stderr } = this.#driver.received();
    return this.#position.stdout === stdout && this.#position.stderr === stderr;
  }
}
