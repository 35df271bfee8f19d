import { assert, NaruError } from "../base/mod.ts";
import type { Endpoint } from "../network/mod.ts";
import type { Change, Metadata } from "../storage/mod.ts";
import type { ContainerRecord } from "./record.ts";

/** Rows of engines before users' networks have one endpoint or null. */
type StoredRecord = ContainerRecord & { readonly endpoint?: Endpoint | null };

function withEndpoints({ endpoint, ...record }: StoredRecord): ContainerRecord {
  return { ...record, endpoints: record.endpoints ?? (endpoint ? [endpoint] : []) };
}

/**
 * All containers in memory, by id and by name, written through to the database. A name is reserved
 * before the row is written, so that two creates at once cannot both have it.
 */
export class ContainerTable {
  readonly #metadata: Metadata;
  readonly #records: Map<string, ContainerRecord> = new Map();
  readonly #ids: Map<string, string> = new Map(); // name -> id

  constructor(metadata: Metadata) {
    this.#metadata = metadata;
    for (const [, value] of metadata.rows("containers")) {
      const record = withEndpoints(value as StoredRecord);
      this.#records.set(record.id, record);
      this.#ids.set(record.name, record.id);
    }
  }

  all(): IterableIterator<ContainerRecord> {
    return this.#records.values();
  }

  get(id: string): ContainerRecord | undefined {
    return this.#records.get(id);
  }

  /** The record of a container that the caller knows to exist. */
  must(id: string): ContainerRecord {
    const record = this.#records.get(id);
    if (record === undefined) throw noSuchContainer(id);
    return record;
  }

  /**
   * By full id, name with or without slash, or unique prefix of an id, in this order, as Docker
   * looks. Throws not_found, invalid_argument for an ambiguous prefix.
   */
  find(ref: string): ContainerRecord {
    const name = ref.startsWith("/") ? ref.slice(1) : ref;
    const exact = this.#records.get(ref) ?? this.#byName(name);
    if (exact !== undefined) return exact;
    let found: ContainerRecord | undefined;
    if (/^[0-9a-f]{1,64}$/.test(ref)) {
      for (const record of this.#records.values()) {
        if (!record.id.startsWith(ref)) continue;
        if (found !== undefined) {
          throw new NaruError(
            "invalid_argument",
            `multiple IDs found with provided prefix: ${ref}`,
          );
        }
        found = record;
      }
    }
    if (found === undefined) throw noSuchContainer(ref);
    return found;
  }

  /** Takes a name for an id. Throws conflict in Docker's words when another has it. */
  reserveName(name: string, id: string): void {
    const owner = this.#ids.get(name);
    if (owner !== undefined && owner !== id) {
      throw new NaruError(
        "conflict",
        `Conflict. The container name "/${name}" is already in use by container "${owner}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
    this.#ids.set(name, id);
  }

  /** Gives a reserved name back, unless another owns it by now. */
  releaseName(name: string, id: string): void {
    if (this.#ids.get(name) === id) this.#ids.delete(name);
  }

  isNameTaken(name: string): boolean {
    return this.#ids.has(name);
  }

  /** A new container, or one whose record is replaced whole. Durable when it resolves. */
  put(record: ContainerRecord, also: readonly Change[] = []): Promise<void> {
    assert(this.#ids.get(record.name) === record.id, `name of ${record.id} is not reserved`);
    return this.#write(record, also);
  }

  /**
   * Changes what is there now: `change` sees the newest record and readers see its result at once.
   * Durable when it resolves; `also` is committed with it.
   */
  async update(
    id: string,
    change: (record: ContainerRecord) => ContainerRecord,
    also: readonly Change[] = [],
  ): Promise<ContainerRecord> {
    const next = change(this.must(id));
    await this.#write(next, also);
    return next;
  }

  /** As update, in memory only: for what a crash may forget because it is found again elsewhere. */
  updateInMemory(id: string, change: (record: ContainerRecord) => ContainerRecord): void {
    this.#records.set(id, change(this.must(id)));
  }

  /** The row and what goes with it are gone when it resolves; the name is free. */
  async remove(id: string, also: readonly Change[] = []): Promise<void> {
    const record = this.must(id);
    await this.#metadata.commit([{ table: "containers", key: id, value: undefined }, ...also]);
    this.#records.delete(id);
    this.releaseName(record.name, id);
  }

  async #write(record: ContainerRecord, also: readonly Change[]): Promise<void> {
    const before = this.#records.get(record.id);
    this.#records.set(record.id, record);
    try {
      await this.#metadata.commit([
        { table: "containers", key: record.id, value: record },
        ...also,
      ]);
    } catch (error) {
      // Only when nothing newer was written over it since.
      if (this.#records.get(record.id) === record) {
        if (before === undefined) this.#records.delete(record.id);
        else this.#records.set(record.id, before);
      }
      throw error;
    }
  }

  #byName(name: string): ContainerRecord | undefined {
    const id = this.#ids.get(name);
    return id === undefined ? undefined : this.#records.get(id);
  }
}

export function noSuchContainer(ref: string): NaruError {
  return new NaruError("not_found", `No such container: ${ref}`, { container: ref });
}
