import { type Clock, errorMessage, KiB, NaruError, SECOND_MS } from "../base/mod.ts";
import type { RegistryBytes } from "./contract.ts";
import { connectionError } from "./failure.ts";
import type { HttpAnswer } from "./http-transport.ts";

/**
 * A download slower than this is taken for dead and begun again elsewhere or where it was. Time in
 * which the consumer is busy does not count.
 */
export interface RateFloor {
  readonly bytesPerSecond: number;
  /** Looked at over windows of this length, so that a short pause is no stall. */
  readonly windowMs: number;
}

// A modem line (33 kbit/s) is four times as fast; a stalled one would otherwise hold a pull for ever.
export const RATE_FLOOR: RateFloor = { bytesPerSecond: 1 * KiB, windowMs: 30 * SECOND_MS };

export interface ReadOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly floor: RateFloor;
}

/** The body's bytes. Throws unavailable when it breaks off or stalls. Stopping early closes it. */
export async function* readBytes(answer: HttpAnswer, options: ReadOptions): RegistryBytes {
  const { body, url } = answer;
  const meter = new FloorMeter(options.floor, options.clock);
  const source = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      const step = await meter.wait(
        () => source.next(),
        () => body.destroy(new NaruError("unavailable", `${url.host} stalled`)),
      );
      if (step.done === true) break;
      meter.received(step.value.length);
      yield step.value;
    }
    if (!body.complete) throw new Error("the answer ended early");
  } catch (error) {
    throw connectionError(error, url.host, options.signal);
  } finally {
    body.destroy(); // after the end this gives the connection back, before it closes it
  }
}

/** Counts bytes and the time waited for them. */
class FloorMeter {
  readonly #floor: RateFloor;
  readonly #clock: Clock;
  #waitedMs = 0;
  #bytes = 0;

  constructor(floor: RateFloor, clock: Clock) {
    this.#floor = floor;
    this.#clock = clock;
  }

  async wait<T>(next: () => Promise<T>, stalled: () => void): Promise<T> {
    const beganMs = this.#clock.nowMs();
    const cancel = this.#clock.after(Math.max(1, this.#floor.windowMs - this.#waitedMs), () => {
      if (this.#bytes < (this.#floor.bytesPerSecond * this.#floor.windowMs) / SECOND_MS) stalled();
    });
    try {
      return await next();
    } finally {
      cancel();
      this.#waitedMs += this.#clock.nowMs() - beganMs;
    }
  }

  received(bytes: number): void {
    this.#bytes += bytes;
    if (this.#waitedMs < this.#floor.windowMs) return;
    this.#waitedMs = 0;
    this.#bytes = 0;
  }
}

/** All of a small body. Throws too_large as soon as more than `bytesMax` came. */
export async function readAll(
  answer: HttpAnswer,
  bytesMax: number,
  options: ReadOptions & { what: string },
): Promise<Uint8Array> {
  const announced = Number(answer.headers["content-length"] ?? 0);
  if (announced > bytesMax) {
    answer.body.destroy();
    throw tooLarge(options.what, bytesMax);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of readBytes(answer, options)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(options.what, bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function tooLarge(what: string, bytesMax: number): NaruError {
  return new NaruError("too_large", `${what} has more than ${bytesMax} bytes`, { bytesMax });
}

/** Reads JSON. Throws damaged when it is none. */
export async function readJson(
  answer: HttpAnswer,
  bytesMax: number,
  options: ReadOptions & { what: string },
): Promise<unknown> {
  const bytes = await readAll(answer, bytesMax, options);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const message = `${options.what} is not JSON: ${errorMessage(error)}`;
    throw new NaruError("damaged", message, {}, { cause: error });
  }
}
