import { createHash, type Hash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, type Digest, digestFrom, errorCode, isNaruError, MiB } from "../base/mod.ts";
import { type BlobStore, type ByteStream, diskError, FileStream } from "../storage/mod.ts";
import { RECEIVING_MAX, UPLOAD_IDLE_MS, UPLOADS_MAX } from "./limits.ts";
import { type ContentDigest, digestBy, hashFor } from "./names.ts";
import { refusal } from "./refusal.ts";

const GATHER_BYTES: number = MiB; // one hop to the thread pool for so many bytes
const ID = /^[0-9a-f-]{36}$/;

/** One upload that a client may go on with. Its bytes are a file that survives the server. */
export interface Upload {
  readonly id: string;
  readonly repository: string;
  /** Bytes that are here. */
  readonly sizeBytes: number;
}

interface Session {
  readonly id: string;
  readonly repository: string;
  readonly folder: string;
  sizeBytes: number;
  /** Of all bytes that are here; undefined after a restart, until the file has been read. */
  hash: Hash | undefined;
  touchedMs: number;
  /** Ends the body that is being received. */
  stop: ((reason: Error) => void) | undefined;
  /** One request at a time; the newest wins, see `take`. */
  idle: Promise<void>;
  gone: boolean;
}

/**
 * Uploads in parts: `uploads/ID/{data,repository}`. What has arrived stays, also when the client or
 * the server goes away, until it is committed, cancelled, or left for UPLOAD_IDLE_MS.
 */
export class Uploads {
  readonly #root: string;
  readonly #blobs: BlobStore;
  readonly #clock: Clock;
  readonly #sessions: Map<string, Session> = new Map();
  #receiving = 0;

  private constructor(root: string, blobs: BlobStore, clock: Clock) {
    this.#root = root;
    this.#blobs = blobs;
    this.#clock = clock;
  }

  static async open(root: string, blobs: BlobStore, clock: Clock): Promise<Uploads> {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const uploads = new Uploads(root, blobs, clock);
    for (const id of await readdir(root)) await uploads.#restore(id);
    return uploads;
  }

  async #restore(id: string): Promise<void> {
    const folder = join(this.#root, id);
    try {
      if (!ID.test(id)) throw new Error("not an upload");
      const repository = await readFile(join(folder, "repository"), "utf8");
      const { size, mtimeMs } = await stat(join(folder, "data"));
      this.#add({ id, repository, folder, sizeBytes: size, hash: undefined, touchedMs: mtimeMs });
    } catch {
      await rm(folder, { recursive: true, force: true }); // made half, or removed half
    }
  }

  #add(start: Omit<Session, "stop" | "idle" | "gone">): Session {
    const session: Session = { ...start, stop: undefined, idle: Promise.resolve(), gone: false };
    this.#sessions.set(session.id, session);
    return session;
  }

  get count(): number {
    return this.#sessions.size;
  }

  get receiving(): number {
    return this.#receiving;
  }

  /** Throws TOOMANYREQUESTS. */
  async begin(repository: string): Promise<Upload> {
    if (this.#sessions.size >= UPLOADS_MAX) {
      throw refusal("TOOMANYREQUESTS", `there are ${UPLOADS_MAX} uploads already: try again later`);
    }
    const id = randomUUID();
    const folder = join(this.#root, id);
    const session = this.#add({
      ...{ id, repository, folder, sizeBytes: 0 },
      ...{ hash: createHash("sha256"), touchedMs: this.#clock.nowMs() },
    });
    try {
      await mkdir(folder, { mode: 0o700 });
      await writeFile(join(folder, "data"), "", { mode: 0o600 });
      await writeFile(join(folder, "repository"), repository, { mode: 0o600 });
    } catch (error) {
      await this.#drop(session);
      throw diskError(error, "beginning an upload");
    }
    return session;
  }

  /** Throws BLOB_UPLOAD_UNKNOWN. */
  find(repository: string, id: string): Upload {
    const session = this.#sessions.get(id);
    if (session !== undefined && session.repository === repository) return session;
    throw refusal("BLOB_UPLOAD_UNKNOWN", "there is no such upload: it ended, or was left too long");
  }

  /**
   * Runs `task` alone on an upload. A request that still runs is of a connection that broke, or of a
   * client that races itself: it is ended, and what it had sent stays. `task` gets the upload as it
   * is then. Throws BLOB_UPLOAD_UNKNOWN.
   */
  async take<T>(upload: Upload, task: (work: UploadWork) => Promise<T>): Promise<T> {
    const session = this.#session(upload);
    session.stop?.(refusal("BLOB_UPLOAD_INVALID", "another request took over this upload", 409));
    const before = session.idle;
    const turn = before.then(async () => {
      const work = new UploadWork(session, this.#blobs, {
        receive: (source, sizeBytesMax) => this.#receive(session, source, sizeBytesMax),
        drop: () => this.#drop(session),
      });
      this.#session(session);
      session.touchedMs = this.#clock.nowMs();
      return task(work);
    });
    session.idle = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  #session(upload: Upload): Session {
    const session = upload as Session;
    if (!session.gone) return session;
    throw refusal("BLOB_UPLOAD_UNKNOWN", "this upload has ended");
  }

  /** Forgets an upload and its bytes. */
  cancel(upload: Upload): Promise<void> {
    return this.take(upload, (work) => work.drop());
  }

  async #receive(session: Session, source: ByteStream, sizeBytesMax: number): Promise<void> {
    if (this.#receiving >= RECEIVING_MAX) {
      throw refusal("TOOMANYREQUESTS", `${RECEIVING_MAX} uploads are under way: try again`);
    }
    this.#receiving += 1;
    const stop = new Stop();
    session.stop = (reason) => stop.now(reason);
    try {
      await append(session, source, { stop, sizeBytesMax });
    } catch (error) {
      throw diskError(error, "receiving a blob");
    } finally {
      session.stop = undefined;
      session.touchedMs = this.#clock.nowMs();
      this.#receiving -= 1;
    }
  }

  async #drop(session: Session): Promise<void> {
    session.gone = true;
    this.#sessions.delete(session.id);
    await rm(session.folder, { recursive: true, force: true });
  }

  /** Removes what was left for UPLOAD_IDLE_MS, and says how many uploads that were. */
  async sweep(): Promise<number> {
    const nowMs = this.#clock.nowMs();
    let swept = 0;
    for (const session of [...this.#sessions.values()]) {
      if (session.stop !== undefined || nowMs - session.touchedMs < UPLOAD_IDLE_MS) continue;
      try {
        await this.cancel(session);
        swept += 1;
      } catch (error) {
        if (!isNaruError(error, "not_found")) throw error;
      }
    }
    return swept;
  }
}

/** What one request may do with the upload that it took. */
export class UploadWork {
  readonly #session: Session;
  readonly #blobs: BlobStore;
  /** Appends to the upload. What arrived before a failure stays. */
  readonly receive: (source: ByteStream, sizeBytesMax: number) => Promise<void>;
  readonly drop: () => Promise<void>;

  constructor(
    session: Session,
    blobs: BlobStore,
    actions: {
      receive: (source: ByteStream, sizeBytesMax: number) => Promise<void>;
      drop: () => Promise<void>;
    },
  ) {
    this.#session = session;
    this.#blobs = blobs;
    this.receive = actions.receive;
    this.drop = actions.drop;
  }

  get sizeBytes(): number {
    return this.#session.sizeBytes;
  }

  /**
   * Makes the upload a blob, durable when this resolves. Throws DIGEST_INVALID, and then the upload
   * is gone: its bytes are not what anyone wants.
   */
  async commit(
    digest: ContentDigest,
    beforeVisible: (content: Digest) => void,
  ): Promise<{ content: Digest; sizeBytes: number }> {
    const path = join(this.#session.folder, "data");
    const { sizeBytes } = this.#session;
    await truncate(path, sizeBytes); // a full disk may have left a part of a write behind them
    const content = digestFrom((this.#session.hash ?? (await hashFile(path))).copy());
    const is = digest.startsWith("sha256:") ? content : await digestOfFile(path, digest);
    if (is !== digest) {
      await this.drop();
      throw refusal("DIGEST_INVALID", `the ${sizeBytes} bytes that arrived have the digest ${is}`);
    }
    await this.#blobs.adopt(path, content, { beforeVisible });
    await this.drop();
    return { content, sizeBytes };
  }
}

/** Ends a wait from outside. Not a race with one promise: that would keep each chunk until the end. */
class Stop {
  #reason: Error | undefined;
  #reject: ((reason: Error) => void) | undefined;

  now(reason: Error): void {
    this.#reason ??= reason;
    this.#reject?.(this.#reason);
  }

  or<T>(promise: Promise<T>): Promise<T> {
    if (this.#reason !== undefined) return Promise.reject(this.#reason);
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      promise.then(resolve, reject);
    });
  }
}

async function hashFile(path: string): Promise<Hash> {
  const hash = createHash("sha256");
  for await (const chunk of new FileStream(path)) hash.update(chunk);
  return hash;
}

async function digestOfFile(path: string, like: ContentDigest): Promise<ContentDigest> {
  const hash = hashFor(like);
  for await (const chunk of new FileStream(path)) hash.update(chunk);
  return digestBy(hash, like);
}

/** Appends `source`, hashing as it comes; one write runs while the next bytes are gathered. */
async function append(
  session: Session,
  source: ByteStream,
  limits: { readonly stop: Stop; readonly sizeBytesMax: number },
): Promise<void> {
  const path = join(session.folder, "data");
  session.hash ??= await hashFile(path);
  await using file = await open(path, "r+");
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  let writing: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    await writing;
    if (gatheredBytes === 0) return;
    const chunks = gathered;
    const bytes = gatheredBytes;
    gathered = [];
    gatheredBytes = 0;
    writing = writeAll(file, chunks, session.sizeBytes).then(() => {
      for (const chunk of chunks) session.hash?.update(chunk);
      session.sizeBytes += bytes;
    });
    writing.catch(() => undefined); // reported by the next await
  };
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await limits.stop.or(iterator.next());
      if (next.done === true) break;
      gathered.push(next.value);
      gatheredBytes += next.value.byteLength;
      if (session.sizeBytes + gatheredBytes > limits.sizeBytesMax) throw outOfRoom();
      if (gatheredBytes >= GATHER_BYTES) await flush();
    }
  } finally {
    await flush();
    await writing;
  }
}

function outOfRoom(): Error {
  return refusal("DENIED", "the repository has no room for this blob: its quota is used up");
}

async function writeAll(
  file: Awaited<ReturnType<typeof open>>,
  chunks: readonly Uint8Array[],
  position: number,
): Promise<void> {
  const bytes = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  let written = 0;
  while (written < bytes.byteLength) {
    try {
      const { bytesWritten } = await file.write(
        bytes,
        written,
        bytes.byteLength - written,
        position + written,
      );
      written += bytesWritten;
    } catch (error) {
      if (errorCode(error) !== "EINTR") throw error;
    }
  }
}
