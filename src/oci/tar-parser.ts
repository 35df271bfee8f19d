import { isNaruError, NaruError } from "../base/mod.ts";
import { displayName, TAR_LIMITS, type TarEntry, type TarLimits } from "./tar-entry.ts";
import { type Extensions, type ResolvedEntry, resolveEntry } from "./tar-extensions.ts";
import { BLOCK_BYTES, decodeHeader, isZero, latin1, number, type RawHeader } from "./tar-header.ts";
import { decodePax } from "./tar-pax.ts";
import {
  checkSparse,
  decodeOldSparse,
  SPARSE_PIECES_MAX,
  type SparsePiece,
  SparsePrefix,
} from "./tar-sparse.ts";

/** What the parser tells while it is fed. Everything is synchronous: no queue, no allocation. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** Content of the last entry. `bytes` are only good during the call. */
  data(bytes: Uint8Array, offset: number): void;
  /** The last entry is complete. */
  entryEnd(): void;
}

type State =
  | { readonly kind: "header" }
  | { readonly kind: "meta"; readonly type: string; readonly bytes: Uint8Array; filled: number }
  | {
      readonly kind: "old-sparse";
      readonly raw: RawHeader;
      readonly fileBytes: number;
      readonly pieces: SparsePiece[];
    }
  | {
      readonly kind: "sparse-prefix";
      readonly resolved: ResolvedEntry;
      readonly prefix: SparsePrefix;
      rest: number;
    }
  | { readonly kind: "data" }
  | { readonly kind: "trailer" };

const HEADER: State = { kind: "header" };
const DATA: State = { kind: "data" };
const TRAILER: State = { kind: "trailer" };
const NO_PAX: readonly (readonly [string, string])[] = [];

/**
 * Reads an archive that is pushed in chunks of any size: ustar, pax (local and global), GNU long
 * names, all GNU sparse formats, base-256 numbers. Throws invalid_argument that names the entry.
 * After two blocks of zeros only zeros may follow; an archive may also end without them.
 */
export class TarParser {
  readonly #handler: TarHandler;
  readonly #limits: TarLimits;
  readonly #block: Uint8Array = new Uint8Array(BLOCK_BYTES);
  #blockFilled = 0;
  #state: State = HEADER;
  #zeroBlocks = 0;
  #entries = 0;
  #totalBytes = 0;
  #extensions: Extensions = {
    global: new Map(),
    pax: NO_PAX,
    longName: undefined,
    longLink: undefined,
  };
  #current = "";
  /** Content of the entry still to come, and where it goes. */
  #storedBytes = 0;
  #restBytes = 0;
  #offset = 0;
  #pieces: readonly SparsePiece[] | undefined;
  #piece = 0;
  #paddingBytes = 0;

  constructor(handler: TarHandler, limits: TarLimits = TAR_LIMITS) {
    this.#handler = handler;
    this.#limits = limits;
  }

  /** Name of the entry that is being read or was read last, for messages. */
  get current(): string {
    return this.#current;
  }

  /** True once the blocks of zeros that end an archive were seen. */
  get sawTrailer(): boolean {
    return this.#zeroBlocks > 0;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#paddingBytes > 0) {
        const skipped = Math.min(this.#paddingBytes, chunk.byteLength - at);
        this.#paddingBytes -= skipped;
        at += skipped;
      } else if (this.#state.kind === "data") {
        at += this.#pushData(chunk, at);
      } else if (this.#state.kind === "meta") {
        at += this.#pushMeta(this.#state, chunk, at);
      } else {
        at += this.#pushBlock(chunk, at);
      }
    }
  }

  /** The source has ended. Throws invalid_argument when that was in the middle of something. */
  end(): void {
    const clean = this.#state.kind === "header" || this.#state.kind === "trailer";
    const pending = this.#extensions.pax !== NO_PAX || this.#extensions.longName !== undefined;
    // Some writers leave out the padding of the last entry; that loses nothing.
    if (clean && this.#blockFilled === 0 && !pending) return;
    throw this.#failure("the archive ends too early");
  }

  #pushBlock(chunk: Uint8Array, at: number): number {
    const available = chunk.byteLength - at;
    if (this.#blockFilled === 0 && available >= BLOCK_BYTES) {
      this.#takeBlock(chunk.subarray(at, at + BLOCK_BYTES));
      return BLOCK_BYTES;
    }
    const taken = Math.min(BLOCK_BYTES - this.#blockFilled, available);
    this.#block.set(chunk.subarray(at, at + taken), this.#blockFilled);
    this.#blockFilled += taken;
    if (this.#blockFilled === BLOCK_BYTES) {
      this.#blockFilled = 0;
      this.#takeBlock(this.#block);
    }
    return taken;
  }

  #takeBlock(block: Uint8Array): void {
    const state = this.#state;
    switch (state.kind) {
      case "header":
        this.#named(() => this.#takeHeader(block));
        break;
      case "trailer":
        if (!isZero(block)) throw this.#failure("there is data after the end of the archive");
        break;
      case "old-sparse":
        this.#named(() => {
          state.pieces.push(...decodeOldSparse(block, 0, 21));
          if (state.pieces.length > SPARSE_PIECES_MAX) {
            throw this.#failure(`the sparse file has more than ${SPARSE_PIECES_MAX} pieces`);
          }
          if (block[504] === 0) this.#beginOldSparse(state.raw, state.pieces, state.fileBytes);
        });
        break;
      case "sparse-prefix":
        this.#named(() => this.#takeSparsePrefix(state, block));
        break;
      default:
        throw this.#failure("unexpected block");
    }
  }

  #takeHeader(block: Uint8Array): void {
    const raw = decodeHeader(block);
    if (raw === undefined) {
      this.#zeroBlocks += 1;
      if (this.#zeroBlocks === 2) this.#state = TRAILER;
      return;
    }
    if (this.#zeroBlocks > 0) throw this.#failure("there is data after the end of the archive");
    switch (raw.type) {
      case "x":
      case "X": // Solaris
      case "g":
      case "L":
      case "K":
        this.#beginMeta(raw);
        return;
      case "S":
        this.#current = raw.name;
        this.#takeOldSparse(block, raw);
        return;
      default:
        this.#current = this.#extensions.longName ?? raw.name;
        this.#begin(resolveEntry(raw, this.#extensions, this.#limits));
    }
  }

  #beginMeta(raw: RawHeader): void {
    if (raw.sizeBytes > this.#limits.metaBytesMax) {
      throw this.#failure(`an extended header has more than ${this.#limits.metaBytesMax} bytes`);
    }
    this.#countEntry(0);
    const bytes = new Uint8Array(raw.sizeBytes);
    const state: State = { kind: "meta", type: raw.type, bytes, filled: 0 };
    if (raw.sizeBytes === 0) this.#endMeta(state.type, bytes);
    else this.#state = state;
  }

  #pushMeta(state: State & { kind: "meta" }, chunk: Uint8Array, at: number): number {
    const taken = Math.min(state.bytes.byteLength - state.filled, chunk.byteLength - at);
    state.bytes.set(chunk.subarray(at, at + taken), state.filled);
    state.filled += taken;
    if (state.filled === state.bytes.byteLength) {
      this.#named(() => this.#endMeta(state.type, state.bytes));
      this.#paddingBytes = padding(state.bytes.byteLength);
      this.#state = HEADER;
    }
    return taken;
  }

  #endMeta(type: string, bytes: Uint8Array): void {
    const { global } = this.#extensions;
    switch (type) {
      case "g":
        for (const [key, value] of decodePax(bytes)) {
          if (value === "") global.delete(key);
          else global.set(key, value);
          if (global.size > GLOBAL_RECORDS_MAX) {
            throw this.#failure(`more than ${GLOBAL_RECORDS_MAX} global pax records`);
          }
        }
        return;
      case "L":
        this.#extensions.longName = untilZero(bytes);
        return;
      case "K":
        this.#extensions.longLink = untilZero(bytes);
        return;
      default:
        this.#extensions.pax = decodePax(bytes);
    }
  }

  #takeOldSparse(block: Uint8Array, raw: RawHeader): void {
    const pieces = decodeOldSparse(block, 386, 4);
    const fileBytes = number(block, 483, 12, "real size");
    if (block[482] === 0) this.#beginOldSparse(raw, pieces, fileBytes);
    else this.#state = { kind: "old-sparse", raw, pieces, fileBytes };
  }

  #beginOldSparse(raw: RawHeader, pieces: SparsePiece[], fileBytes: number): void {
    const resolved = resolveEntry(raw, this.#extensions, this.#limits);
    const entry = { ...resolved.entry, sizeBytes: fileBytes };
    this.#begin({ ...resolved, entry, sparse: { kind: "pieces", pieces, fileBytes } });
  }

  #begin(resolved: ResolvedEntry): void {
    const { entry, sparse, storedBytes } = resolved;
    this.#current = entry.name;
    if (sparse.kind === "prefix") {
      const prefix = new SparsePrefix();
      this.#state = { kind: "sparse-prefix", resolved, prefix, rest: storedBytes };
      return;
    }
    if (sparse.kind === "pieces") {
      checkSparse(sparse.pieces, { storedBytes, fileBytes: sparse.fileBytes });
      this.#start(entry, storedBytes, sparse.pieces);
    } else {
      this.#start(entry, storedBytes, undefined);
    }
  }

  #takeSparsePrefix(state: State & { kind: "sparse-prefix" }, block: Uint8Array): void {
    state.rest -= BLOCK_BYTES;
    if (state.rest < 0) throw this.#failure("the map of the sparse file does not end");
    const pieces = state.prefix.push(block);
    if (pieces === undefined) return;
    const { entry } = state.resolved;
    checkSparse(pieces, { storedBytes: state.rest, fileBytes: entry.sizeBytes });
    this.#start(entry, state.rest, pieces);
  }

  #start(entry: TarEntry, storedBytes: number, pieces: readonly SparsePiece[] | undefined): void {
    this.#countEntry(entry.sizeBytes);
    this.#extensions.pax = NO_PAX;
    this.#extensions.longName = undefined;
    this.#extensions.longLink = undefined;
    this.#storedBytes = storedBytes;
    this.#restBytes = storedBytes;
    this.#paddingBytes = 0;
    this.#pieces = pieces;
    this.#piece = 0;
    this.#offset = pieces?.[0]?.offset ?? 0;
    this.#handler.entry(entry);
    if (storedBytes === 0) this.#finish(0);
    else this.#state = DATA;
  }

  #countEntry(sizeBytes: number): void {
    this.#entries += 1;
    this.#totalBytes += sizeBytes;
    if (this.#entries > this.#limits.entriesMax) {
      throw this.#failure(`the archive has more than ${this.#limits.entriesMax} entries`);
    }
    if (this.#totalBytes > this.#limits.totalBytesMax) {
      throw this.#failure(`the files have more than ${this.#limits.totalBytesMax} bytes together`);
    }
  }

  #pushData(chunk: Uint8Array, at: number): number {
    const taken = Math.min(this.#restBytes, chunk.byteLength - at);
    if (this.#pieces === undefined) {
      this.#handler.data(chunk.subarray(at, at + taken), this.#offset);
      this.#offset += taken;
    } else {
      this.#pushPieces(chunk.subarray(at, at + taken), this.#pieces);
    }
    this.#restBytes -= taken;
    if (this.#restBytes === 0) this.#finish(this.#storedBytes);
    return taken;
  }

  #pushPieces(bytes: Uint8Array, pieces: readonly SparsePiece[]): void {
    let rest = bytes;
    while (rest.byteLength > 0) {
      const piece = pieces[this.#piece];
      if (piece === undefined) throw this.#failure("the sparse file holds more than its map says");
      const room = piece.offset + piece.sizeBytes - this.#offset;
      if (room <= 0) {
        this.#piece += 1;
        this.#offset = pieces[this.#piece]?.offset ?? 0;
        continue;
      }
      const part = rest.subarray(0, room);
      this.#handler.data(part, this.#offset);
      this.#offset += part.byteLength;
      rest = rest.subarray(part.byteLength);
    }
  }

  #finish(storedBytes: number): void {
    this.#paddingBytes = padding(storedBytes);
    this.#state = HEADER;
    this.#handler.entryEnd();
  }

  #failure(what: string): NaruError {
    return tarFailure(this.#current, what);
  }

  /** Runs `action`; what it finds wrong gets the entry's name. */
  #named(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!isNaruError(error, "invalid_argument") || "entry" in error.details) throw error;
      throw tarFailure(this.#current, error.message);
    }
  }
}

// Real archives have one or two; entries copy them, so their number is cost times entries.
const GLOBAL_RECORDS_MAX = 64;

/** An invalid_argument that says at which entry; `name` is latin1. */
export function tarFailure(name: string, what: string): NaruError {
  const entry = displayName(name);
  const message = entry === "" ? what : `entry "${entry}": ${what}`;
  return new NaruError("invalid_argument", `invalid tar archive: ${message}`, { entry });
}

function padding(sizeBytes: number): number {
  return (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

function untilZero(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return latin1(bytes, 0, end === -1 ? bytes.byteLength : end);
}
