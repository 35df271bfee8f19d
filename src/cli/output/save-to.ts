import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { NaruError } from "../../base/mod.ts";

/** Under another name until it is whole: a cut-off archive never looks like one. */
export async function saveTo(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  const partial = `${path}.partial-${process.pid}`;
  let fd: number;
  try {
    fd = openSync(partial, "wx", 0o600);
  } catch (cause) {
    throw new NaruError(
      "invalid_argument",
      `cannot write ${path}: ${String(cause)}`,
      {},
      { cause },
    );
  }
  try {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    }
    fsyncSync(fd);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}
