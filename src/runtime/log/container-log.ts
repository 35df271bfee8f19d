import { type FSWatcher, statSync, watch } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type Clock, errorMessage, isNaruError } from "../../base/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import type {
  ContainerLog,
  LogEntry,
  LogLimits,
  LogReadOptions,
  OutputStream,
} from "../contract.ts";
import { reopenLog } from "../control.ts";
import { EntryJoiner } from "./entry-joiner.ts";
import { SegmentReader, type SegmentSource } from "./segment-reader.ts";
import {
  bytesOf,
  compressSegment,
  inodeOf,
  linkSegment,
  listSegments,
  replaceLive,
  type Segment,
  scanSegment,
} from "./segments.ts";
import { OffsetFile } from "./shipping/offset-file.ts";
import type { ShippingPlan } from "./shipping/plan.ts";
import { Shipper, type ShippingSource } from "./shipping/shipper.ts";
import { openSink } from "./shipping/sink.ts";
import { type LogSpool, type Positions, SpoolCursor } from "./spool.ts";
import { findTail, OutputCounter } from "./tail.ts";

/** 5 files of 20 MB: design.md section 6. Docker's own default has no limit. */
export const DEFAULT_LOG_LIMITS: LogLimits = {
  segmentBytesMax: 20_000_000,
  segmentsMax: 5,
  compress: true,
};

/** conmon answers in a millisecond unless its disk is stuck. */
const REOPEN_WAIT_MS = 2000;
const REOPEN_POLL_MS = 2;
const LATE_POLL_MS = 100;
const LATE_TRIES_AFTER_END = 20; // what conmon does last is done by then
/** inotify tells at once; this is for file systems without it. */
const FOLLOW_POLL_MS = 500;

export interface ContainerLogOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asked when shipping begins; undefined for a log that stays here. */
  readonly shipping?: (() => ShippingPlan) | undefined;
  /** What a peer in blocking mode may be behind before the container waits. */
  readonly shippingLagBytesMax?: number;
}

/** On disk, for a peer that is behind: what a slow client of the hub may cost, too. */
const SHIPPING_LAG_BYTES_MAX = 512 * 1024 * 1024;

/**
 * Opens the log at `path` (it need not exist yet) and finishes a half-done rotation. Nothing is kept
 * open between reads. @see kernel-notes: conmon's k8s-file and `ctl`
 */
export async function openContainerLog(
  path: string,
  limits: LogLimits,
  options: ContainerLogOptions,
): Promise<SpooledLog> {
  const log = new FileLog(path, limits, options);
  await log.load();
  return log;
}

/** A log that a lagging client of the stdio hub can read on from. */
export interface SpooledLog extends ContainerLog {
  readonly spool: LogSpool;
  /**
   * In place of `started` when this engine finds the run going on: followers wait for more, and the
   * positions of output are unknown, so a lagging client makes the container wait.
   */
  resumed(): void;
}

interface Anchor {
  readonly offset: number;
  readonly positions: Positions;
}

class FileLog implements SpooledLog, SegmentSource, LogSpool, ShippingSource {
  readonly path: string;
  readonly spool: LogSpool = this;
  readonly #limits: LogLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #segments: Segment[] = [];
  liveSerial = 1;
  liveInode: bigint | undefined;
  #ended = true;
  /** Counts everything that may let a waiting reader go on. */
  #version = 0;
  #waiting: Set<() => void> = new Set();
  #watcher: FSWatcher | undefined;
  #rotation: Promise<void> = Promise.resolve();
  #isReopenLate = false;
  #closed = false;
  /** Where in a file which output positions of this run are; none after an engine restart. */
  readonly #anchors: Map<number, Anchor> = new Map();
  readonly #cursors: Set<SpoolCursor> = new Set();
  readonly #shipping: (() => ShippingPlan) | undefined;
  readonly #lagBytesMax: number;
  #shipper: Shipper | undefined;
  /** Told of already. */
  readonly #damaged: Set<number> = new Set();
  full = false;
  onFullChanged: () => void = () => undefined;

  constructor(path: string, limits: LogLimits, options: ContainerLogOptions) {
    this.path = path;
    this.#limits = limits;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#shipping = options.shipping;
    this.#lagBytesMax = options.shippingLagBytesMax ?? SHIPPING_LAG_BYTES_MAX;
  }

  async load(): Promise<void> {
    const listing = await listSegments(this.path);
    this.#segments = [...listing.segments];
    this.liveSerial = listing.linkedSerial ?? (this.#segments.at(-1)?.serial ?? 0) + 1;
    this.liveInode = listing.liveInode;
    if (this.#shipping !== undefined) await this.#prepareShipping(this.#shipping);
    for (const segment of this.#segments) {
      if (this.#limits.compress && !segment.compressed) await this.#finish(segment);
    }
    await this.#prune();
    this.#shipper?.start();
  }

  damaged(serial: number, error: unknown): void {
    if (this.#damaged.has(serial)) return;
    this.#damaged.add(serial);
    const path = `${this.path}.${serial}.gz`;
    this.#logger.warn("a log file is damaged", { path, error: errorMessage(error) });
  }

  async #prepareShipping(plan: () => ShippingPlan): Promise<void> {
    const { clock, logger } = { clock: this.#clock, logger: this.#logger };
    const offsets = new OffsetFile(`${this.path}.shipped`);
    const shipped = await offsets.read();
    if (shipped !== undefined) {
      // Numbers go on from the file that was live then, though older ones may all be gone.
      const same = this.liveInode?.toString() === shipped.liveInode;
      const next = same ? shipped.liveSerial : shipped.liveSerial + 1;
      this.liveSerial = Math.max(this.liveSerial, next);
    }
    const start = { serial: 0, offset: 0, partial: null };
    this.#shipper = new Shipper(
      {
        ...{ source: this, plan, offsets, clock, logger },
        openSink: (of) => openSink(of, { clock, logger }),
        onMoved: () => {
          this.#rotation = this.#rotation.then(() => this.#prune()).catch(() => undefined);
        },
      },
      shipped ?? { stdout: start, stderr: start },
    );
  }

  get atRest(): boolean {
    return this.#ended;
  }

  get version(): number {
    return this.#version;
  }

  liveFile(): { liveSerial: number; liveInode: string } {
    this.liveInode ??= statSync(this.path, { bigint: true, throwIfNoEntry: false })?.ino;
    return { liveSerial: this.liveSerial, liveInode: String(this.liveInode ?? 0n) };
  }

  started(): void {
    this.#ended = false;
    this.#anchors.clear();
    const status = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    this.liveInode = status?.ino ?? this.liveInode;
    const offset = Number(status?.size ?? 0n);
    this.#anchors.set(this.liveSerial, { offset, positions: { stdout: 0, stderr: 0 } });
    this.#wake();
    this.#shipper?.start();
  }

  resumed(): void {
    this.#ended = false;
    this.#anchors.clear();
    this.#wake();
    this.#shipper?.start();
  }

  shipped(patienceMs: number): Promise<boolean> {
    return this.#shipper?.drained(patienceMs) ?? Promise.resolve(true);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#shipper?.close();
    await this.#rotation;
  }

  ended(): void {
    this.#ended = true;
    this.#wake();
  }

  segmentFrom(serial: number): Segment | undefined {
    return this.#segments.find((segment) => segment.serial >= serial);
  }

  async *read(options: LogReadOptions): AsyncIterable<LogEntry> {
    const wanted = (stream: OutputStream): boolean => options[stream];
    const joiner = new EntryJoiner(options);
    const start = await this.#startOf(options, wanted);
    joiner.skip(start.skip);
    const reader = new SegmentReader(this, start);
    try {
      while (!options.signal.aborted) {
        const version = this.#version;
        const ended = this.#ended;
        const lines = await reader.next();
        if (lines !== undefined) {
          for (const line of lines) yield* joiner.push(line);
          if (joiner.past) return;
          continue;
        }
        const over = options.untilNs !== undefined && this.#clock.nowNs() > options.untilNs;
        // Asked before the read: what came before the end has been read by now.
        if (!options.follow || ended || over) {
          yield* joiner.rest();
          return;
        }
        if (this.#version === version) await this.change(options.signal);
      }
    } finally {
      await reader.close();
    }
  }

  async #startOf(
    options: LogReadOptions,
    wanted: (stream: OutputStream) => boolean,
  ): Promise<{ serial: number; offset: number; skip: number }> {
    if (options.tailLines !== undefined) return await findTail(this, options.tailLines, wanted);
    const { sinceNs } = options;
    const first = this.#segments.find(({ mtimeNs }) => sinceNs === undefined || mtimeNs >= sinceNs);
    return { serial: first?.serial ?? this.liveSerial, offset: 0, skip: 0 };
  }

  /** Resolves when something may have come, and at least every FOLLOW_POLL_MS. */
  async change(signal: AbortSignal): Promise<void> {
    this.#watch();
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(FOLLOW_POLL_MS, resolve);
    this.#waiting.add(resolve);
    const end = (): void => resolve();
    signal.addEventListener("abort", end, { once: true });
    try {
      await promise;
    } finally {
      cancel();
      signal.removeEventListener("abort", end);
      this.#waiting.delete(resolve);
      if (this.#waiting.size === 0 && (signal.aborted || this.#ended)) this.#unwatch();
    }
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    try {
      this.#watcher = watch(dirname(this.path), () => this.#wake());
      this.#watcher.unref();
    } catch (error) {
      this.#logger.debug("no inotify for a log, polling", { path: this.path, error });
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #wake(): void {
    this.#version += 1;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  rotateIfNeeded(bundleDir: string): Promise<void> {
    const next = this.#rotation.then(() => this.#rotate(bundleDir));
    this.#rotation = next.catch(() => undefined);
    return next;
  }

  async #rotate(bundleDir: string): Promise<void> {
    if (this.#isReopenLate) return;
    const status = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    if (status === undefined || Number(status.size) < this.#limits.segmentBytesMax) return;
    this.liveInode = status.ino;
    const serial = this.liveSerial;
    await linkSegment(this.path, serial);
    try {
      reopenLog(bundleDir);
    } catch (error) {
      if (!isNaruError(error, "conflict")) throw error;
      await replaceLive(this.path);
    }
    const inode = await this.#newInode(status.ino);
    if (inode !== undefined) {
      await this.#rotated(serial, inode);
      return;
    }
    // The link stays: nothing is lost, and the next engine goes on from there too.
    this.#logger.debug("conmon has not reopened its log yet", { path: this.path });
    this.#isReopenLate = true;
    void this.#awaitReopen(serial, status.ino).finally(() => {
      this.#isReopenLate = false;
    });
  }

  /** A conmon that waits for a slow client reopens its log when it can write again, or never. */
  async #awaitReopen(serial: number, old: bigint): Promise<void> {
    let triesLeft = LATE_TRIES_AFTER_END;
    while (!this.#closed && triesLeft > 0) {
      if (this.#ended) triesLeft -= 1;
      await new Promise<void>((resolve) => this.#clock.after(LATE_POLL_MS, resolve));
      const inode = await inodeOf(this.path);
      if (inode === undefined) return; // removed
      if (inode === old) continue;
      this.#rotation = this.#rotation
        .then(() => this.#rotated(serial, inode))
        .catch((error: unknown) =>
          this.#logger.error("rotating a log", { path: this.path, error: errorMessage(error) }),
        );
      await this.#rotation;
      return;
    }
  }

  /** The live file of `serial` is finished: `inode` is the next one. */
  async #rotated(serial: number, inode: bigint): Promise<void> {
    const segment: Segment = {
      serial,
      path: `${this.path}.${serial}`,
      compressed: false,
      mtimeNs: this.#clock.nowNs(),
    };
    this.#segments.push(segment);
    this.liveSerial = serial + 1;
    this.liveInode = inode;
    this.#wake();
    await this.#finish(segment);
    await this.#prune();
  }

  async #newInode(old: bigint): Promise<bigint | undefined> {
    for (let waitedMs = 0; waitedMs < REOPEN_WAIT_MS; waitedMs += REOPEN_POLL_MS) {
      const inode = await inodeOf(this.path);
      if (inode !== undefined && inode !== old) return inode;
      await new Promise<void>((resolve) => this.#clock.after(REOPEN_POLL_MS, resolve));
    }
    return undefined;
  }

  /** Counts a finished segment's output for the next one's anchor, and compresses it. */
  async #finish(segment: Segment): Promise<void> {
    const anchor = this.#anchors.get(segment.serial);
    const counter = new OutputCounter(anchor?.offset ?? 0);
    if (this.#limits.compress) {
      const done = await compressSegment(segment, (chunk) => counter.push(chunk));
      const index = this.#segments.findIndex(({ serial }) => serial === segment.serial);
      if (index !== -1) this.#segments[index] = done;
    } else if (anchor !== undefined) {
      await scanSegment(segment.path, (chunk) => counter.push(chunk));
    }
    if (anchor === undefined) return;
    const { stdout, stderr } = anchor.positions;
    this.#anchors.set(segment.serial + 1, {
      offset: 0,
      positions: { stdout: stdout + counter.stdout, stderr: stderr + counter.stderr },
    });
  }

  /**
   * Removes the oldest segments beyond the limit, except those that a lagging client or a peer needs.
   * A peer in non-blocking mode is kept no more than its buffer.
   */
  async #prune(): Promise<void> {
    const clients = Math.min(...[...this.#cursors].map((cursor) => cursor.serial), Infinity);
    const peer = this.#shipper?.serial ?? Infinity;
    let keptBytes = 0;
    if (peer <= (this.#segments.at(-1)?.serial ?? 0)) keptBytes = await this.#bytesFrom(peer);
    const plan = keptBytes > 0 ? this.#shipping?.() : undefined;
    const waits = plan?.blocking === true && keptBytes > this.#lagBytesMax;
    while (this.#segments.length > Math.max(0, this.#limits.segmentsMax - 1)) {
      const oldest = this.#segments[0];
      if (oldest === undefined || oldest.serial >= clients) break;
      if (plan !== undefined && oldest.serial >= peer) {
        if (plan.blocking || keptBytes <= plan.bufferBytesMax) break;
        const bytes = await bytesOf(oldest.path);
        keptBytes -= bytes;
        this.#logger.warn("log lines are dropped before they were shipped", {
          ...{ container: plan.origin.containerId, file: oldest.path, bytes },
        });
      }
      this.#segments.shift();
      this.#anchors.delete(oldest.serial);
      await rm(oldest.path, { force: true });
    }
    if (waits === this.full) return;
    this.full = waits;
    this.onFullChanged();
  }

  async #bytesFrom(serial: number): Promise<number> {
    let total = await bytesOf(this.path);
    for (const segment of this.#segments) {
      if (segment.serial >= serial) total += await bytesOf(segment.path);
    }
    return total;
  }

  openCursor(positions: Positions): SpoolCursor | undefined {
    const candidates = [...this.#anchors]
      .filter(
        ([, { positions: at }]) => at.stdout <= positions.stdout && at.stderr <= positions.stderr,
      )
      .sort(([left], [right]) => right - left);
    const [serial, anchor] = candidates[0] ?? [];
    if (serial === undefined || anchor === undefined) return undefined;
    // A segment in between that was removed would be a hole.
    if (serial < this.liveSerial && this.segmentFrom(serial)?.serial !== serial) return undefined;
    const reader = new SegmentReader(this, { serial, offset: anchor.offset });
    const cursor = new SpoolCursor(reader, anchor.positions, positions, () => {
      this.#cursors.delete(cursor);
      this.#rotation = this.#rotation.then(() => this.#prune()).catch(() => undefined);
    });
    this.#cursors.add(cursor);
    return cursor;
  }

  async remove(): Promise<void> {
    this.#ended = true;
    this.#wake();
    this.#unwatch();
    await this.close();
    await rm(`${this.path}.shipped`, { force: true });
    const { segments } = await listSegments(this.path);
    for (const segment of segments) await rm(segment.path, { force: true });
    for (const path of [
      this.path,
      `${this.path}.tmp`,
      `${this.path}.new`,
      `${this.path}.${this.liveSerial}`,
    ]) {
      await rm(path, { force: true });
    }
    this.#segments = [];
  }
}
