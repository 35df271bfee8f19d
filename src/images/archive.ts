import { type Digest, isDigest, isNaruError, MiB, NaruError } from "../base/mod.ts";
import { displayName, readTar, TAR_LIMITS, type TarLimits, utf8 } from "../oci/mod.ts";
import { type BlobInfo, type BlobStore, type ByteStream, decompress } from "../storage/mod.ts";
import type { LeaseGroup } from "./leases.ts";

/** An image archive has some files per layer; the rest of the limits are those of any archive. */
const ARCHIVE_LIMITS: TarLimits = { ...TAR_LIMITS, entriesMax: 50_000 };
const LINKS_MAX = 8; // links to links in old archives; more is a loop
const BLOB_NAME = /^blobs\/sha256\/([0-9a-f]{64})$/;
export const DOCUMENT_BYTES_MAX: number = 8 * MiB; // manifest.json of an archive with thousands of images

/** The files of an image archive, which are blobs now. */
export class Archive {
  readonly #files: ReadonlyMap<string, BlobInfo>;
  readonly #links: ReadonlyMap<string, string>;
  readonly #blobs: BlobStore;

  constructor(
    blobs: BlobStore,
    files: ReadonlyMap<string, BlobInfo>,
    links: ReadonlyMap<string, string>,
  ) {
    this.#blobs = blobs;
    this.#files = files;
    this.#links = links;
  }

  /** The blob of a file, through links; undefined when the archive has no such file. */
  file(name: string): BlobInfo | undefined {
    let path = clean(name);
    for (let count = 0; count <= LINKS_MAX; count += 1) {
      const file = this.#files.get(path);
      if (file !== undefined) return file;
      const target = this.#links.get(path);
      if (target === undefined) return undefined;
      path = target;
    }
    throw new NaruError("invalid_argument", `invalid image archive: "${name}" is a loop of links`);
  }

  /** As `file`; throws invalid_argument when missing. */
  need(name: string): BlobInfo {
    const file = this.file(name);
    if (file !== undefined) return file;
    throw new NaruError("invalid_argument", `invalid image archive: "${name}" is missing`);
  }

  /** A blob of the layout, if the archive carries it. */
  blob(digest: Digest): BlobInfo | undefined {
    return this.file(`blobs/sha256/${digest.slice("sha256:".length)}`);
  }

  read(file: BlobInfo, bytesMax: number): Promise<Uint8Array> {
    return this.#blobs.readAll(file.digest, bytesMax);
  }
}

export interface ArchiveOptions {
  readonly blobs: BlobStore;
  readonly leases: LeaseGroup;
  readonly signal: AbortSignal;
}

/**
 * Streams an archive into blobs, in whatever order its entries come: nothing is kept in memory.
 * Names below `blobs/sha256/` must match their content.
 */
export async function readArchive(source: ByteStream, options: ArchiveOptions): Promise<Archive> {
  const files = new Map<string, BlobInfo>();
  const links = new Map<string, string>();
  for await (const { entry, content } of readTar(decompress(source), ARCHIVE_LIMITS)) {
    if (options.signal.aborted) throw new NaruError("cancelled", "loading was cancelled");
    const name = clean(utf8(entry.name));
    switch (entry.type) {
      case "directory":
        break;
      case "file":
        files.set(name, await ingest(name, content, options));
        links.delete(name);
        break;
      case "symlink":
        links.set(name, resolveLink(name, utf8(entry.linkName)));
        files.delete(name);
        break;
      case "hardlink":
        links.set(name, clean(utf8(entry.linkName)));
        files.delete(name);
        break;
      default:
        throw new NaruError(
          "invalid_argument",
          `invalid image archive: entry "${displayName(entry.name)}" is a ${entry.type} device or fifo`,
        );
    }
  }
  return new Archive(options.blobs, files, links);
}

async function ingest(
  name: string,
  content: ByteStream,
  { blobs, leases, signal }: ArchiveOptions,
): Promise<BlobInfo> {
  const digest = `sha256:${BLOB_NAME.exec(name)?.[1]}`;
  const expected = isDigest(digest) ? { expectDigest: digest } : {};
  try {
    const beforeVisible = (seen: Digest): void => leases.add(seen);
    return await blobs.ingest(content, { ...expected, signal, beforeVisible });
  } catch (error) {
    if (!isNaruError(error, "invalid_argument") || "entry" in error.details) throw error;
    const message = `invalid image archive: entry "${displayName(name)}": ${error.message}`;
    throw new NaruError("invalid_argument", message, { entry: name }, { cause: error });
  }
}

/** Without `.`, and with `..` resolved inside the archive: names only choose among its own files. */
function clean(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function resolveLink(name: string, target: string): string {
  return target.startsWith("/") ? clean(target) : clean(`${name}/../${target}`);
}
