import type { Digest } from "../base/mod.ts";
import type { ContainerConfig } from "../spec/mod.ts";

/** Docker's description of a path in a container (`X-Docker-Container-Path-Stat`). */
export interface ContainerPathStat {
  readonly name: string;
  readonly size: number;
  /** Go's os.FileMode. */
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

/** A stream that holds something until it is read to its end or `close` is called. */
export interface FileOutput {
  readonly stream: AsyncIterable<Uint8Array>;
  /** Ends the work and waits until nothing of it is left. Idempotent. */
  close(): Promise<void>;
}

export interface ExtractRequest {
  readonly path: string;
  readonly noOverwriteDirNonDir: boolean;
  readonly copyUidGid: boolean;
}

export interface CommitRequest {
  readonly pause: boolean;
  readonly author: string;
  readonly comment: string;
  readonly repo: string;
  readonly tag: string;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  /** From the body; null: the container's own. */
  readonly config: ContainerConfig | null;
}

/**
 * The files of containers, whatever their state. A container that does not run is not started or
 * changed while its files are looked at. Every path is resolved inside the container.
 */
export interface ContainerFiles {
  /** Throws not_found in Docker's words. The link in the last place is not followed. */
  stat(ref: string, path: string): Promise<ContainerPathStat>;
  /** A tar of a file, or of a directory with all that is in it. Throws as `stat`. */
  read(ref: string, path: string): Promise<FileOutput & { readonly stat: ContainerPathStat }>;
  /**
   * Unpacks a tar (plain, gzip or zstd) into a directory. Throws not_found, invalid_argument that
   * names the entry, forbidden where the container cannot write. What was unpacked stays.
   */
  write(ref: string, body: AsyncIterable<Uint8Array>, request: ExtractRequest): Promise<void>;
  /** A tar of the root file system without what is mounted in it. */
  export(ref: string): Promise<FileOutput>;
  /** Docker's list of changes as JSON text. */
  changes(ref: string): Promise<FileOutput>;
  /** An image of what is there. Durable when it resolves; a crash before leaves nothing. */
  commit(ref: string, request: CommitRequest, signal: AbortSignal): Promise<Digest>;
}
