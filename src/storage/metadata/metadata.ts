import { openSync } from "node:fs";
import { assert, NaruError, workerUrl } from "../../base/mod.ts";
import { close, flock, LOCK_EX, LOCK_NB } from "../../linux/mod.ts";
import type { Change, Metadata, TableName } from "../contract.ts";
import { openDatabaseReadOnly } from "./database.ts";
import { errorFromRecord } from "./database-error.ts";
import type { EncodedChange, EncodedRows, MetadataAnswer, MetadataRequest } from "./protocol.ts";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Opens the engine's database, making or migrating it as needed. Throws damaged (a file that does
 * not pass the check is never replaced), unsupported (written by a newer engine), conflict (another
 * engine has it open).
 */
export async function openMetadata(path: string): Promise<Metadata> {
  const unlock = lockFile(`${path}.lock`, path);
  const channel = new WorkerChannel();
  try {
    const answer = await channel.request({ kind: "open", path });
    assert(answer.kind === "opened", "an open request is answered by its rows");
    return new WorkerMetadata(channel, answer.tables, unlock);
  } catch (error) {
    channel.end();
    unlock();
    throw error;
  }
}

/** Rows as they are on disk; for the leak check and other commands beside or without an engine. */
export interface MetadataReader extends Disposable {
  /** All rows of a table in key order, read now. */
  rows(table: TableName): readonly (readonly [key: string, value: unknown])[];
  close(): void;
}

/** Opens an existing database for reading, with or without an engine running. Throws not_found. */
export function openMetadataReadOnly(path: string): MetadataReader {
  const database = openDatabaseReadOnly(path);
  return {
    rows: (table) => decodeRows(database.rows(table)),
    close: () => database.close(),
    [Symbol.dispose]: () => database.close(),
  };
}

function decodeRows(rows: EncodedRows): [string, unknown][] {
  return rows.map(([key, json]) => [key, JSON.parse(json) as unknown]);
}

/** Two engines on one data root would overwrite each other's rows. The lock ends with the process. */
function lockFile(lockPath: string, path: string): () => void {
  const fd = openSync(lockPath, "a", 0o600);
  if (!flock(fd, LOCK_EX | LOCK_NB)) {
    close(fd);
    throw new NaruError("conflict", `another engine uses the database ${path}`, { path });
  }
  return () => close(fd);
}

/** Requests to the Worker, one answer each, in order. */
class WorkerChannel {
  readonly #worker: Worker = new Worker(workerUrl("storage/metadata/metadata.worker.ts"));
  readonly #waiting: {
    resolve: (answer: MetadataAnswer) => void;
    reject: (error: Error) => void;
  }[] = [];
  #broken: NaruError | undefined;

  constructor() {
    this.#worker.onmessage = (message: MessageEvent<MetadataAnswer>) => {
      const waiter = this.#waiting.shift();
      if (message.data.kind === "failed") waiter?.reject(errorFromRecord(message.data.error));
      else waiter?.resolve(message.data);
    };
    this.#worker.onerror = (event: ErrorEvent) => {
      const message = `the database thread ended: ${event.message}`;
      this.#broken = new NaruError("internal", message);
      for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#broken);
    };
  }

  request(request: MetadataRequest): Promise<MetadataAnswer> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}

class WorkerMetadata implements Metadata {
  readonly #channel: WorkerChannel;
  readonly #tables: ReadonlyMap<TableName, EncodedRows>;
  readonly #unlock: () => void;
  #changes: EncodedChange[] = [];
  #waiters: Waiter[] = [];
  #flushing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    channel: WorkerChannel,
    tables: readonly (readonly [TableName, EncodedRows])[],
    unlock: () => void,
  ) {
    this.#channel = channel;
    this.#tables = new Map(tables);
    this.#unlock = unlock;
  }

  rows(table: TableName): readonly (readonly [string, unknown])[] {
    return decodeRows(this.#tables.get(table) ?? []);
  }

  commit(changes: readonly Change[]): Promise<void> {
    if (this.#closing !== undefined) {
      return Promise.reject(new NaruError("unavailable", "the database is closed"));
    }
    // Encoded now: what the caller does to its objects afterwards belongs to its next commit.
    let encoded: EncodedChange[];
    try {
      encoded = changes.map((change) => [change.table, change.key, encodeValue(change)]);
    } catch (error) {
      return Promise.reject(error);
    }
    if (encoded.length === 0) return this.#flushing ?? Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#changes.push(...encoded);
      this.#waiters.push({ resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Sends what has gathered, again and again, until nothing has. */
  async #flush(): Promise<void> {
    // One turn of the queue: callers of the same moment share the first transaction too.
    await Promise.resolve();
    while (this.#waiters.length > 0) {
      const changes = this.#changes;
      const waiters = this.#waiters;
      this.#changes = [];
      this.#waiters = [];
      try {
        await this.#channel.request({ kind: "commit", changes });
        for (const waiter of waiters) waiter.resolve();
      } catch (error) {
        for (const waiter of waiters) waiter.reject(error as Error);
      }
    }
    this.#flushing = undefined;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#flushing;
    try {
      await this.#channel.request({ kind: "close" });
    } finally {
      this.#channel.end();
      this.#unlock();
    }
  }
}

function encodeValue(change: Change): string | null {
  if (change.value === undefined) return null;
  const json = JSON.stringify(change.value) as string | undefined;
  assert(json !== undefined, `the value of ${change.table}/${change.key} is JSON`);
  return json;
}
