import { decompress } from "../storage/mod.ts";
import { RunningJob } from "./files/file-job.ts";
import type { FileOutput } from "./files-contract.ts";

/** A tar of all that is in a directory of the host, with its own owner and mode. */
export async function packTree(path: string): Promise<FileOutput> {
  const root = { kind: "directory", path } as const;
  const job = await RunningJob.start({ kind: "read", root, path: "/." });
  try {
    await job.ready();
    return { stream: job.output(), close: () => job.close() };
  } catch (error) {
    await job.close();
    throw error;
  }
}

/** Unpacks a tar (plain, gzip or zstd) into a directory of the host, and never outside of it. */
export async function unpackTree(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  const root = { kind: "directory", path } as const;
  const options = { noOverwriteDirNonDir: false, user: "", withRoot: true };
  const job = await RunningJob.start({ kind: "write", root, path: "/", options });
  try {
    await job.ready();
    await job.input(decompress(body));
  } finally {
    await job.close();
  }
}
