/** One entry of a tar archive. Times are 0 and owners are numbers: the same input, the same bytes. */
export interface TarEntry {
  /** Relative, without a leading slash; at most 100 bytes. */
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink" | "hardlink";
  /** Permission bits; 0o755 for directories and 0o644 for files unless given. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Of a file. */
  readonly data?: Uint8Array | string;
  /** Of a symlink or hard link. */
  readonly target?: string;
}

const BLOCK_BYTES = 512; // POSIX ustar
const KIND_FLAG = { file: "0", hardlink: "1", symlink: "2", directory: "5" } as const;
const MODE = { file: 0o644, hardlink: 0o644, symlink: 0o777, directory: 0o755 } as const;

/** A whole ustar archive in memory: for images of a few megabytes that are made on the spot. */
export function tarArchive(entries: readonly TarEntry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const entry of entries) {
    const data = Buffer.from(entry.data ?? "");
    blocks.push(header(entry, data.length), data);
    const rest = data.length % BLOCK_BYTES;
    if (rest > 0) blocks.push(Buffer.alloc(BLOCK_BYTES - rest));
  }
  blocks.push(Buffer.alloc(2 * BLOCK_BYTES));
  return Buffer.concat(blocks);
}

function header(entry: TarEntry, dataBytes: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const name = entry.kind === "directory" ? `${entry.path}/` : entry.path;
  for (const text of [name, entry.target ?? ""]) {
    if (Buffer.byteLength(text) > 100) throw new Error(`path too long for ustar: ${text}`);
  }
  const octal = (value: number, offset: number, length: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, offset);
  };
  block.write(name, 0);
  octal(entry.mode ?? MODE[entry.kind], 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(dataBytes, 124, 12);
  octal(0, 136, 12);
  block.write("        ", 148);
  block.write(KIND_FLAG[entry.kind], 156);
  block.write(entry.target ?? "", 157);
  block.write("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}
