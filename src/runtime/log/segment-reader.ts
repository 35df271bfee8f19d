import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { errorCode } from "../../base/mod.ts";
import { LineSplitter, type LogLine } from "./line.ts";
import type { Segment } from "./segments.ts";

/** What a reader asks of the log while it goes through its files. */
export interface SegmentSource {
  readonly path: string;
  /** The number that the live file will have once it is rotated. */
  readonly liveSerial: number;
  readonly liveInode: bigint | undefined;
  /** The finished segment of this number, or else the next one after it. */
  segmentFrom(serial: number): Segment | undefined;
  /** A finished file is read no further: its compressed form is not whole. */
  damaged(serial: number, error: unknown): void;
}

const CHUNK_BYTES = 64 * 1024;
const OPEN_TRIES_MAX = 1000; // a rename and its record are moments apart; more means damage

/**
 * Goes through a log's files from one position on, in order, and over rotations: an open file stays
 * readable whatever its name becomes. Memory is one chunk.
 */
export class SegmentReader {
  readonly #source: SegmentSource;
  readonly #splitter: LineSplitter = new LineSplitter();
  readonly #chunk: Buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #serial: number;
  #offset: number;
  #file: FileHandle | undefined;
  #gunzip: AsyncIterator<Buffer> | undefined;
  #closeGunzip: () => void = () => undefined;
  #closed = false;

  constructor(source: SegmentSource, position: { serial: number; offset: number }) {
    this.#source = source;
    this.#serial = position.serial;
    this.#offset = position.offset;
  }

  /** The segment being read: it and later ones must be kept for this reader. */
  get serial(): number {
    return this.#serial;
  }

  /** Where in its (uncompressed) file each line of the last `next` ends. */
  get lineEnds(): readonly number[] {
    return this.#splitter.ends;
  }

  /** Lines that are there (perhaps none of a torn one), or undefined at the end of the live file. */
  async next(): Promise<LogLine[] | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      if (this.#file === undefined && this.#gunzip === undefined && !(await this.#open())) {
        return undefined;
      }
      // A client may leave while its file is opened: a handle that nobody closes ends the process.
      if (this.#closed) {
        await this.#closeFile();
        return undefined;
      }
      // Asked before reading: what a finished file says after this is its end.
      const finished = this.#serial < this.#source.liveSerial;
      const chunk = await this.#read();
      if (chunk !== undefined) return this.#splitter.push(chunk);
      if (!finished) return undefined;
      await this.#closeFile();
      this.#splitter.reset();
      this.#serial += 1;
      this.#offset = 0;
    }
  }

  /** Idempotent; also while `next` is at work, which gives undefined then. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#closeFile();
  }

  async #read(): Promise<Buffer | undefined> {
    if (this.#gunzip !== undefined) {
      for (;;) {
        const step = await this.#decompressed(this.#gunzip);
        if (step?.done !== false) return undefined;
        const chunk = step.value;
        if (this.#offset < chunk.byteLength) {
          const rest = chunk.subarray(this.#offset);
          this.#offset = 0;
          return rest;
        }
        this.#offset -= chunk.byteLength;
      }
    }
    if (this.#file === undefined) return undefined;
    const { bytesRead } = await this.#file.read(this.#chunk, 0, CHUNK_BYTES, this.#offset);
    if (bytesRead === 0) return undefined;
    this.#offset += bytesRead;
    // Lines are views of the chunk, and the next read writes over it.
    return Buffer.from(this.#chunk.subarray(0, bytesRead));
  }

  /** Undefined where the file is damaged: what was before that has been given, the next file goes on. */
  async #decompressed(
    gunzip: AsyncIterator<Buffer>,
  ): Promise<IteratorResult<Buffer, unknown> | undefined> {
    try {
      return await gunzip.next();
    } catch (error) {
      if (errorCode(error)?.startsWith("Z_") !== true) throw error;
      this.#source.damaged(this.#serial, error);
      return undefined;
    }
  }

  /** False when there is no file yet. */
  async #open(): Promise<boolean> {
    for (let tries = 0; ; tries += 1) {
      if (this.#serial >= this.#source.liveSerial) {
        const opened = await this.#openLive();
        if (opened || this.#serial >= this.#source.liveSerial) return opened;
        continue; // it was rotated meanwhile, and is a segment now
      }
      const segment = this.#source.segmentFrom(this.#serial);
      if (segment === undefined) {
        this.#serial = this.#source.liveSerial;
        this.#offset = 0;
        continue;
      }
      if (segment.serial !== this.#serial) this.#offset = 0;
      this.#serial = segment.serial;
      if (segment.compressed) {
        this.#splitter.reset(this.#offset);
        this.#openCompressed(segment.path);
        return true;
      }
      try {
        this.#file = await open(segment.path, "r");
        this.#splitter.reset(this.#offset);
        return true;
      } catch (error) {
        // Compressed or removed in this moment: ask again.
        if (errorCode(error) !== "ENOENT" || tries > OPEN_TRIES_MAX) throw error;
      }
    }
  }

  async #openLive(): Promise<boolean> {
    for (const path of [this.#source.path, `${this.#source.path}.${this.#serial}`]) {
      const file = await open(path, "r").catch((error: unknown) => {
        if (errorCode(error) === "ENOENT") return undefined;
        throw error;
      });
      if (file === undefined) continue;
      const { ino } = await file.stat({ bigint: true });
      const { liveInode: known, liveSerial } = this.#source;
      // In the moment of a rotation, and after it, the live name has the next file already.
      if (this.#serial >= liveSerial && (known === undefined || ino === known)) {
        this.#file = file;
        this.#splitter.reset(this.#offset);
        return true;
      }
      await file.close();
    }
    return false;
  }

  #openCompressed(path: string): void {
    const gunzip = createGunzip();
    const file = createReadStream(path);
    file.on("error", (error) => gunzip.destroy(error));
    file.pipe(gunzip);
    this.#gunzip = gunzip[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#closeGunzip = () => {
      file.destroy();
      gunzip.destroy();
    };
  }

  async #closeFile(): Promise<void> {
    this.#closeGunzip();
    this.#closeGunzip = () => undefined;
    this.#gunzip = undefined;
    await this.#file?.close();
    this.#file = undefined;
  }
}
