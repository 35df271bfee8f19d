import { type FileHandle, open, readFile, rm } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { errorCode } from "../../../base/mod.ts";

/** All of one stream before this place in the spool was taken by the peer. */
export interface StreamPlace {
  readonly serial: number;
  /** In the uncompressed file. */
  readonly offset: number;
  /** The line that goes on here: its id and how many pieces were sent. */
  readonly partial: { readonly id: string; readonly ordinal: number } | null;
}

/** What was shipped, and which file the live one was, so that numbers go on after a restart. */
export interface ShippedState {
  readonly stdout: StreamPlace;
  readonly stderr: StreamPlace;
  readonly liveSerial: number;
  readonly liveInode: string;
}

const SLOT_BYTES = 512; // one sector: written whole or not at all
const SLOTS = 2; // the one before survives a write that was torn by power loss
const SYNC_EVERY_MS = 1000; // a host that loses power ships this much again at most

interface Slot {
  readonly count: number;
  readonly state: ShippedState;
}

/**
 * The durable offset of a shipped log: two slots in turn, each with its count and checksum. A write
 * is one call, so that a killed engine leaves the one or the other.
 */
export class OffsetFile {
  readonly #path: string;
  #file: FileHandle | undefined;
  #count = 0;
  #syncedMs = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** undefined where nothing was shipped, or where both slots are damaged. */
  async read(): Promise<ShippedState | undefined> {
    const bytes = await readFile(this.#path).catch((error: unknown) => {
      if (errorCode(error) === "ENOENT") return Buffer.alloc(0);
      throw error;
    });
    const slots: Slot[] = [];
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const found = parseSlot(bytes.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES));
      if (found !== undefined) slots.push(found);
    }
    const newest = slots.sort((left, right) => right.count - left.count)[0];
    this.#count = newest?.count ?? 0;
    return newest?.state;
  }

  /** `nowMs` decides about the sync to disk, not about what is written. */
  async write(state: ShippedState, nowMs: number): Promise<void> {
    this.#file ??= await openForWriting(this.#path);
    this.#count += 1;
    const slot = formatSlot({ count: this.#count, state });
    await this.#file.write(slot, 0, SLOT_BYTES, (this.#count % SLOTS) * SLOT_BYTES);
    if (nowMs - this.#syncedMs < SYNC_EVERY_MS) return;
    this.#syncedMs = nowMs;
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await file.datasync();
    await file.close();
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.#path, { force: true });
  }
}

async function openForWriting(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return await open(path, "w+", 0o600);
  }
}

/** `CRC32 JSON`, padded with spaces. */
function formatSlot(slot: Slot): Buffer {
  const json = JSON.stringify(slot);
  const bytes = Buffer.alloc(SLOT_BYTES, " ");
  bytes.write(`${checksum(json)} ${json}`);
  return bytes;
}

function parseSlot(bytes: Buffer): Slot | undefined {
  const text = bytes.toString("latin1").trimEnd();
  const json = text.slice(9);
  if (json === "" || checksum(json) !== text.slice(0, 8)) return undefined;
  return JSON.parse(json) as Slot;
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, "0");
}
