import { NaruError } from "../base/mod.ts";
import { latin1, number } from "./tar-header.ts";

/** A piece of a sparse file that the archive holds; everything between pieces is zeros. */
export interface SparsePiece {
  readonly offset: number;
  readonly sizeBytes: number;
}

export const SPARSE_PIECES_MAX: number = 100_000; // a gigabyte of alternating 4 KiB pages and holes

/** One table of GNU's old format: `count` pairs of 12-byte numbers, ended by an empty one. */
export function decodeOldSparse(block: Uint8Array, offset: number, count: number): SparsePiece[] {
  const pieces: SparsePiece[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = offset + index * 24;
    if (block[at] === 0 || latin1(block, at, at + 12).trim() === "") break;
    pieces.push({
      offset: number(block, at, 12, "sparse offset"),
      sizeBytes: number(block, at + 12, 12, "sparse size"),
    });
  }
  return pieces;
}

/** `GNU.sparse.map` of pax format 0.1 (and 0.0, joined): offset,size,offset,size,... */
export function decodeSparseList(list: string): SparsePiece[] {
  if (list === "") return [];
  const numbers = list.split(",").map((digits) => decimal(digits));
  if (numbers.length % 2 !== 0) throw malformed("a map has an odd count");
  const pieces: SparsePiece[] = [];
  for (let index = 0; index < numbers.length; index += 2) {
    pieces.push({ offset: numbers[index] as number, sizeBytes: numbers[index + 1] as number });
  }
  return pieces;
}

/**
 * Gathers the map in front of the content in pax format 1.0: decimal lines, the first is the count.
 * Lines are counted as blocks arrive, so that a hostile map is parsed once and not once per block.
 */
export class SparsePrefix {
  readonly #blocks: Uint8Array[] = [];
  #lines = 0;
  #linesWanted: number | undefined;

  /** The pieces once the last block of the map has come. */
  push(block: Uint8Array): SparsePiece[] | undefined {
    this.#blocks.push(new Uint8Array(block)); // copied: a Buffer's slice() is no copy
    for (let at = block.indexOf(10); at !== -1; at = block.indexOf(10, at + 1)) this.#lines += 1;
    if (this.#linesWanted === undefined) {
      const text = latin1(block, 0, block.byteLength);
      const end = text.indexOf("\n");
      if (end === -1) throw malformed("the map has no count");
      const count = decimal(text.slice(0, end));
      if (count > SPARSE_PIECES_MAX) throw malformed(`more than ${SPARSE_PIECES_MAX} pieces`);
      this.#linesWanted = 1 + 2 * count;
    }
    if (this.#lines < this.#linesWanted) return undefined;
    const whole = Buffer.concat(this.#blocks).toString("latin1");
    return decodeSparseList(whole.split("\n").slice(1, this.#linesWanted).join(","));
  }
}

/** Throws unless pieces are in order, do not overlap, fit the file and add up to what is stored. */
export function checkSparse(
  pieces: readonly SparsePiece[],
  sizes: { readonly storedBytes: number; readonly fileBytes: number },
): void {
  let end = 0;
  let stored = 0;
  for (const piece of pieces) {
    if (piece.offset < end) throw malformed("pieces overlap or are out of order");
    end = piece.offset + piece.sizeBytes;
    stored += piece.sizeBytes;
  }
  if (end > sizes.fileBytes) throw malformed("a piece lies beyond the end of the file");
  if (stored !== sizes.storedBytes) throw malformed("the pieces do not add up to the stored size");
}

function decimal(digits: string): number {
  if (!/^\d{1,15}$/.test(digits)) throw malformed("a number is malformed");
  return Number(digits);
}

function malformed(what: string): NaruError {
  return new NaruError("invalid_argument", `invalid sparse file: ${what}`);
}
