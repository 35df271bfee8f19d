import { type Digest, errorMessage, isNaruError, NaruError, Semaphore } from "../../base/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import type { BlobInfo, BlobStore, ByteStream } from "../../storage/mod.ts";

/** Where the bytes of one blob come from. `signal` is the download's, which may outlive who began it. */
export interface BlobSource {
  open(startBytes: number, signal: AbortSignal): ByteStream;
  /** The bytes were not those of the digest. */
  damaged(): void;
}

export interface WantedBlob {
  readonly digest: Digest;
  readonly size: number;
}

export interface DownloadListener {
  readonly signal: AbortSignal;
  /** Called with the digest before the blob can be seen. */
  readonly beforeVisible: (digest: Digest) => void;
  /** The first bytes are asked for. */
  readonly onStart?: () => void;
  readonly onProgress?: (bytes: number) => void;
  readonly onVerify?: () => void;
}

/** One blob on its way. */
export interface Download {
  /** The verified blob. Throws when the download fails, or `signal` says to stop. */
  readonly done: Promise<BlobInfo>;
  /** The bytes as they come, not verified yet. Throws when the download is left. */
  follow(): Promise<ByteStream>;
}

const DAMAGED_TRIES_MAX = 3; // another endpoint may have the right bytes; more than that is an attack

/**
 * Downloads of blobs, at most so many at a time, each digest once whoever asks. A download goes on as
 * long as anybody wants it; what is left in the middle is gone on with the next time.
 */
export class BlobDownloads {
  readonly #blobs: BlobStore;
  readonly #slots: Semaphore;
  readonly #logger: Logger;
  readonly #running: Map<Digest, RunningDownload> = new Map();

  constructor(options: { blobs: BlobStore; logger: Logger; concurrent: () => number }) {
    this.#blobs = options.blobs;
    this.#slots = new Semaphore(options.concurrent);
    this.#logger = options.logger;
  }

  start(blob: WantedBlob, source: BlobSource, listener: DownloadListener): Download {
    const followed = Promise.withResolvers<ByteStream>();
    followed.promise.catch(() => undefined); // whoever follows is told
    const done = this.#fetch(blob, source, listener, followed.resolve);
    done.catch(followed.reject);
    return { done, follow: () => followed.promise };
  }

  async #fetch(
    blob: WantedBlob,
    source: BlobSource,
    listener: DownloadListener,
    onFollow: (bytes: ByteStream) => void,
  ): Promise<BlobInfo> {
    for (;;) {
      const known = await this.#blobs.stat(blob.digest);
      if (known !== undefined) {
        listener.beforeVisible(blob.digest);
        onFollow(this.#blobs.read(blob.digest));
        return known;
      }
      const other = this.#running.get(blob.digest);
      const running = other ?? this.#begin(blob, source);
      try {
        return await running.join(listener, onFollow);
      } catch (error) {
        // Another's credentials or patience are no reason to give up.
        if (other === undefined || listener.signal.aborted) throw error;
      }
    }
  }

  #begin(blob: WantedBlob, source: BlobSource): RunningDownload {
    const running = new RunningDownload(blob, (download) =>
      this.#slots.run(() => this.#download(blob, source, download)),
    );
    this.#running.set(blob.digest, running);
    void running.ended.finally(() => this.#running.delete(blob.digest)).catch(() => undefined);
    return running;
  }

  async #download(
    blob: WantedBlob,
    source: BlobSource,
    download: RunningDownload,
  ): Promise<BlobInfo> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#attempt(blob, source, download);
      } catch (error) {
        if (!isNaruError(error, "damaged") || tries >= DAMAGED_TRIES_MAX) throw error;
        source.damaged();
        const fact = { digest: blob.digest, error: errorMessage(error) };
        this.#logger.warn("a download did not match its digest and begins again", fact);
      }
    }
  }

  async #attempt(
    blob: WantedBlob,
    source: BlobSource,
    download: RunningDownload,
  ): Promise<BlobInfo> {
    const { signal } = download;
    if (signal.aborted) throw new NaruError("cancelled", "the download was cancelled");
    const writer = await this.#blobs.resume(blob.digest, {
      sizeBytes: blob.size,
      signal,
      beforeVisible: (digest) => download.visible(digest),
    });
    try {
      download.begins(() => writer.follow());
      let bytes = writer.startBytes;
      download.progress(bytes);
      for await (const chunk of source.open(bytes, signal)) {
        await writer.write(chunk);
        bytes += chunk.byteLength;
        download.progress(bytes);
      }
      download.verifies();
      return await writer.commit().catch((error: unknown) => {
        throw mismatch(error, blob);
      });
    } finally {
      await writer.keep();
    }
  }
}

/** What the store calls a wrong argument is damage here: the registry named the digest itself. */
function mismatch(error: unknown, blob: WantedBlob): unknown {
  if (!isNaruError(error, "invalid_argument")) return error;
  const message = `the registry sent other bytes than those of ${blob.digest}: ${error.message}`;
  return new NaruError("damaged", message, { digest: blob.digest }, { cause: error });
}

/** A download and those who want it. */
class RunningDownload {
  readonly ended: Promise<BlobInfo>;
  readonly #stop: AbortController = new AbortController();
  readonly #listeners: Set<DownloadListener> = new Set();
  readonly #digest: Digest;
  #follow: (() => ByteStream) | undefined;
  #following: ((bytes: ByteStream) => void)[] = [];
  #verifies = false;

  constructor(blob: WantedBlob, run: (self: RunningDownload) => Promise<BlobInfo>) {
    this.#digest = blob.digest;
    // Later than this turn, so that who began it is a listener before anything happens.
    this.ended = Promise.resolve().then(() => run(this));
    this.ended.catch(() => undefined); // each listener is told
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  async join(listener: DownloadListener, onFollow: (bytes: ByteStream) => void): Promise<BlobInfo> {
    this.#listeners.add(listener);
    if (this.#follow === undefined) this.#following.push(onFollow);
    else onFollow(this.#follow());
    if (this.#follow !== undefined) listener.onStart?.();
    if (this.#verifies) listener.onVerify?.();
    const left = Promise.withResolvers<never>();
    const leave = (): void =>
      left.reject(new NaruError("cancelled", `the download of ${this.#digest} was cancelled`));
    listener.signal.addEventListener("abort", leave, { once: true });
    if (listener.signal.aborted) leave();
    try {
      return await Promise.race([this.ended, left.promise]);
    } finally {
      left.promise.catch(() => undefined);
      listener.signal.removeEventListener("abort", leave);
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop.abort();
    }
  }

  begins(follow: () => ByteStream): void {
    this.#verifies = false;
    this.#follow = follow;
    for (const listener of this.#listeners) listener.onStart?.();
    for (const onFollow of this.#following) onFollow(follow());
    this.#following = [];
  }

  visible(digest: Digest): void {
    for (const listener of this.#listeners) listener.beforeVisible(digest);
  }

  progress(bytes: number): void {
    for (const listener of this.#listeners) listener.onProgress?.(bytes);
  }

  verifies(): void {
    this.#verifies = true;
    for (const listener of this.#listeners) listener.onVerify?.();
  }
}
