import type { Clock } from "../../../base/mod.ts";
import type { Logger } from "../../../observe/mod.ts";
import type { SegmentSource } from "../segment-reader.ts";
import { type Batch, type Places, ShippingFeed } from "./feed.ts";
import type { OffsetFile, ShippedState } from "./offset-file.ts";
import type { ShippingPlan } from "./plan.ts";
import type { LogSink } from "./sink.ts";

const RETRY_GROWTH = 1.5;
const RETRY_MS_MAX = 30_000; // a peer that is back is found again within this

/** What a shipper needs of the log. */
export interface ShippingSource extends SegmentSource {
  /** No run writes at this time. */
  readonly atRest: boolean;
  /** Counts what may let a reader go on. */
  readonly version: number;
  /** Which file the live one is. */
  liveFile(): { readonly liveSerial: number; readonly liveInode: string };
  change(signal: AbortSignal): Promise<void>;
}

export interface ShipperOptions {
  readonly source: ShippingSource;
  /** Asked at each start of the loop: a container may have been renamed. */
  readonly plan: () => ShippingPlan;
  readonly openSink: (plan: ShippingPlan) => LogSink;
  readonly offsets: OffsetFile;
  readonly clock: Clock;
  readonly logger: Logger;
  /** An older file may be needed no more. */
  readonly onMoved: () => void;
}

/**
 * Sends one container's log to a peer: in order, a batch at a time, the place written down after
 * each. It stops by itself when the run has ended and everything was taken.
 */
export class Shipper {
  readonly #options: ShipperOptions;
  #places: Places;
  #loop: Promise<void> | undefined;
  #again = false;
  #stop: AbortController = new AbortController();
  /** Counts batches that were taken. */
  #delivered = 0;

  constructor(options: ShipperOptions, from: Places) {
    this.#options = options;
    this.#places = from;
  }

  /** This file and later ones are needed. */
  get serial(): number {
    return Math.min(this.#places.stdout.serial, this.#places.stderr.serial);
  }

  /** Goes on until the end of the run. Idempotent. */
  start(): void {
    if (this.#stop.signal.aborted) return;
    this.#again = true;
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
    });
  }

  /** Resolves when all was taken (true), or when nothing was for so long (false). */
  async drained(patienceMs: number): Promise<boolean> {
    for (;;) {
      const loop = this.#loop;
      if (loop === undefined) return !this.#stop.signal.aborted;
      const before = this.#delivered;
      const late = Promise.withResolvers<boolean>();
      const cancel = this.#options.clock.after(patienceMs, () => late.resolve(true));
      const tooLate = await Promise.race([loop.then(() => false), late.promise]);
      cancel();
      if (tooLate && this.#delivered === before) return false;
    }
  }

  /** Ends at once; what is under way and not acknowledged is sent again by the next engine. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await this.#options.offsets.close();
  }

  async #run(): Promise<void> {
    const { source, openSink, logger } = this.#options;
    const { signal } = this.#stop;
    while (this.#again && !signal.aborted) {
      this.#again = false;
      const plan = this.#options.plan();
      const sink = openSink(plan);
      const end = (): void => sink.close();
      signal.addEventListener("abort", end, { once: true });
      const id = plan.origin.containerId;
      const feed = new ShippingFeed(source, this.#places, (stream, serial, offset) =>
        [id.slice(0, 12), stream, serial, offset].join("-"),
      );
      try {
        await this.#ship(feed, sink, plan);
      } catch (error) {
        if (signal.aborted) return;
        logger.error("shipping a log", { container: id, error }); // a full disk, a damaged file
        await this.#pause(RETRY_MS_MAX);
        this.#again = true;
      } finally {
        signal.removeEventListener("abort", end);
        sink.close();
        await feed.close();
      }
    }
  }

  async #ship(feed: ShippingFeed, sink: LogSink, plan: ShippingPlan): Promise<void> {
    const { source } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { version, atRest } = source;
      const batch = (await feed.next(plan.batchBytesMax)) ?? (atRest ? feed.rest() : undefined);
      if (batch !== undefined) {
        if (!(await this.#deliver(batch, sink, plan))) return;
        continue;
      }
      if (atRest && source.atRest) return;
      if (source.version === version) await source.change(signal);
    }
  }

  /** False when it was stopped before the peer took it. */
  async #deliver(batch: Batch, sink: LogSink, plan: ShippingPlan): Promise<boolean> {
    const { clock, logger, offsets, source, onMoved } = this.#options;
    const { signal } = this.#stop;
    const container = plan.origin.containerId;
    let rest = batch.messages;
    let waitMs = plan.retryWaitMs;
    for (let tries = 1; rest.length > 0; tries += 1) {
      let taken = 0;
      try {
        await sink.send(rest, (count) => {
          taken += count;
        });
        if (tries > 1) logger.info("the log peer takes lines again", { container });
        break;
      } catch (error) {
        if (signal.aborted) return false;
        rest = rest.slice(taken);
        if (taken > 0) waitMs = plan.retryWaitMs;
        if (tries === 1)
          logger.warn("the log peer takes no lines; trying on", { container, error });
        if (plan.triesMax !== null && tries > plan.triesMax) {
          const lines = rest.length;
          logger.error("log lines are given up after the last try", { container, lines, error });
          break;
        }
      }
      await this.#pause(waitMs);
      if (signal.aborted) return false;
      waitMs = Math.min(waitMs * RETRY_GROWTH, RETRY_MS_MAX);
    }
    const serial = this.serial;
    const state: ShippedState = { ...batch.after, ...source.liveFile() };
    await offsets.write(state, clock.nowMs());
    this.#places = batch.after;
    this.#delivered += 1;
    if (this.serial !== serial) onMoved();
    return true;
  }

  async #pause(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(delayMs, resolve);
    const end = (): void => resolve();
    this.#stop.signal.addEventListener("abort", end, { once: true });
    await promise;
    this.#stop.signal.removeEventListener("abort", end);
    cancel();
  }
}
