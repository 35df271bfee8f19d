import { open } from "node:fs/promises";
import type { Digest } from "../base/mod.ts";
import { errorCode, KiB, NaruError } from "../base/mod.ts";
import type { ByteStream } from "./contract.ts";

const READ_BYTES = 256 * KiB; // larger reads gain nothing here; smaller ones cost a thread hop each

export interface FileStreamOptions {
  readonly start?: number;
  readonly end?: number;
  /** The digest of the whole file, when it is a verified blob. */
  readonly digest?: Digest;
}

/**
 * The bytes of a file. Whoever knows this class may open `path` itself, so that the bytes need not
 * pass through the main thread (unpacking does). Each chunk is a buffer of its own.
 */
export class FileStream implements ByteStream {
  readonly path: string;
  readonly options: FileStreamOptions;

  constructor(path: string, options: FileStreamOptions = {}) {
    this.path = path;
    this.options = options;
  }

  /** True when the stream is the whole file. */
  get whole(): boolean {
    return (this.options.start ?? 0) === 0 && this.options.end === undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    await using file = await openFile(this.path);
    let offset = this.options.start ?? 0;
    const end = this.options.end ?? Number.POSITIVE_INFINITY;
    while (offset < end) {
      const wanted = Math.min(READ_BYTES, end - offset);
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafeSlow(wanted),
        0,
        wanted,
        offset,
      );
      if (bytesRead === 0) return;
      offset += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
}

async function openFile(path: string): Promise<Awaited<ReturnType<typeof open>>> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") {
      throw new NaruError("not_found", `no such file ${path}`, { path }, { cause: error });
    }
    throw error;
  }
}
