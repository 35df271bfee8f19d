import { type Clock, type Digest, MS_NS, SECOND_MS } from "../base/mod.ts";
import type { Metadata } from "../storage/mod.ts";

/** Who has not gone on with a pull for a day begins again. */
const KEPT_NS = BigInt(24 * 3600 * SECOND_MS) * MS_NS;

/** A row of the table `leases`; the key says what wants it. */
interface KeptRow {
  readonly digests: readonly Digest[];
  /** Decimal nanoseconds since the epoch. */
  readonly untilNs: string;
}

/**
 * Blobs and layers of pulls that have begun: what an interrupted one, or a killed engine, leaves is
 * there when it is pulled again. Durable.
 */
export class KeptDigests {
  readonly #metadata: Metadata;
  readonly #clock: Clock;
  readonly #rows: Map<string, KeptRow> = new Map();

  constructor(metadata: Metadata, clock: Clock) {
    this.#metadata = metadata;
    this.#clock = clock;
    for (const [key, value] of metadata.rows("leases")) this.#rows.set(key, value as KeptRow);
  }

  has(digest: Digest): boolean {
    return this.keysOf(digest).length > 0;
  }

  /** What wants it. */
  keysOf(digest: Digest): readonly string[] {
    const nowNs = this.#clock.nowNs();
    return [...this.#rows]
      .filter(([, row]) => BigInt(row.untilNs) > nowNs && row.digests.includes(digest))
      .map(([key]) => key);
  }

  async keep(key: string, digests: readonly Digest[]): Promise<void> {
    const row: KeptRow = { digests, untilNs: (this.#clock.nowNs() + KEPT_NS).toString() };
    await this.#metadata.commit([{ table: "leases", key, value: row }]);
    this.#rows.set(key, row);
  }

  async drop(key: string): Promise<void> {
    if (!this.#rows.has(key)) return;
    await this.#metadata.commit([{ table: "leases", key, value: undefined }]);
    this.#rows.delete(key);
  }

  /** Forgets what nobody came back for. */
  async dropOld(): Promise<void> {
    const nowNs = this.#clock.nowNs();
    for (const [key, { untilNs }] of [...this.#rows]) {
      if (BigInt(untilNs) <= nowNs) await this.drop(key);
    }
  }
}
