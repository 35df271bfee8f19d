import { NaruError } from "../base/mod.ts";
import type { Change, Metadata } from "../storage/mod.ts";
import type { ExecRecord } from "./record.ts";

/** Ended execs kept for an inspect: health checks and scripts make many, people ask for the last. */
export const EXECS_KEPT_MAX: number = 64;

/**
 * Execs in memory, written behind: an exec lost in a crash of the engine in the moment of its
 * creation is one whose command has not run.
 */
export class ExecTable {
  readonly #metadata: Metadata;
  readonly #onError: (error: unknown) => void;
  readonly #records: Map<string, ExecRecord> = new Map();
  readonly #byContainer: Map<string, Set<string>> = new Map();

  constructor(metadata: Metadata, onError: (error: unknown) => void) {
    this.#metadata = metadata;
    this.#onError = onError;
    const rows = metadata.rows("execs").map(([, value]) => value as ExecRecord);
    rows.sort((a, b) => (BigInt(a.createdAtNs) < BigInt(b.createdAtNs) ? -1 : 1));
    for (const record of rows) this.#remember(record);
  }

  all(): IterableIterator<ExecRecord> {
    return this.#records.values();
  }

  find(id: string): ExecRecord {
    const record = this.#records.get(id);
    if (record === undefined) throw new NaruError("not_found", `No such exec instance: ${id}`);
    return record;
  }

  /** Ids of a container's execs that have not ended, oldest first. */
  idsOf(containerId: string): string[] {
    return [...(this.#byContainer.get(containerId) ?? [])].filter(
      (id) => this.#records.get(id)?.state.kind !== "ended",
    );
  }

  put(record: ExecRecord): void {
    this.#remember(record);
    const changes: Change[] = [{ table: "execs", key: record.id, value: record }];
    changes.push(...this.#dropOldest(record.containerId));
    this.#metadata.commit(changes).catch(this.#onError);
  }

  removalChanges(containerId: string): Change[] {
    return [...(this.#byContainer.get(containerId) ?? [])].map((key) => ({
      table: "execs",
      key,
      value: undefined,
    }));
  }

  forgetContainer(containerId: string): void {
    for (const id of this.#byContainer.get(containerId) ?? []) this.#records.delete(id);
    this.#byContainer.delete(containerId);
  }

  #remember(record: ExecRecord): void {
    this.#records.set(record.id, record);
    const ids = this.#byContainer.get(record.containerId) ?? new Set<string>();
    ids.add(record.id);
    this.#byContainer.set(record.containerId, ids);
  }

  #dropOldest(containerId: string): Change[] {
    const ids = this.#byContainer.get(containerId) ?? new Set<string>();
    const ended = [...ids].filter((id) => this.#records.get(id)?.state.kind === "ended");
    return ended.slice(0, Math.max(0, ended.length - EXECS_KEPT_MAX)).map((id) => {
      ids.delete(id);
      this.#records.delete(id);
      return { table: "execs", key: id, value: undefined };
    });
  }
}
