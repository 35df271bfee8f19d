import type { Writable } from "node:stream";
import { NaruError } from "../base/mod.ts";

/**
 * Writes `chunk` and resolves when there is room for more, so that the writer goes at the reader's
 * pace. Throws cancelled when the other side is gone, also while waiting.
 */
export function writeDrained(stream: Writable, chunk: Uint8Array | string): Promise<void> {
  if (stream.destroyed || stream.writableEnded) return Promise.reject(gone());
  if (stream.write(chunk)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      stream.off("drain", drained);
      stream.off("close", closed);
      stream.off("error", closed);
      end();
    };
    const drained = (): void => settle(resolve);
    const closed = (): void => settle(() => reject(gone()));
    stream.on("drain", drained);
    stream.on("close", closed);
    stream.on("error", closed);
    if (stream.destroyed) closed();
  });
}

function gone(): NaruError {
  return new NaruError("cancelled", "the client is gone");
}
