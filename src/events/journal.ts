import type { Clock } from "../base/mod.ts";
import type { EventMessage } from "../spec/mod.ts";
import type { EventJournal } from "./contract.ts";

const EVENTS_KEPT_MAX = 4096; // as many as the bus keeps in memory
const FLUSH_DELAY_MS = 250; // one commit for a burst; what a crash may lose of the history
const FLUSH_COUNT = 512; // and never more than this in one commit
const KEY_DIGITS = 16; // decimal and padded, so that key order is time order

/** What the journal needs of the database: the part of storage's Metadata for one table. */
export interface EventRows {
  rows(table: "events"): readonly (readonly [key: string, value: unknown])[];
  commit(
    changes: readonly { readonly table: "events"; readonly key: string; readonly value: unknown }[],
  ): Promise<void>;
}

export interface TableJournal extends EventJournal {
  /** Writes what is waiting; for a clean stop. */
  close(): Promise<void>;
}

/** A journal over rows keyed by sequence number. A failed write is reported and its events dropped. */
export function createTableJournal(options: {
  readonly rows: EventRows;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}): TableJournal {
  const kept = options.rows.rows("events").map(([key]) => Number(key));
  const loaded = options.rows.rows("events").map(([, value]) => value as EventMessage);
  let next = (kept.at(-1) ?? 0) + 1;
  let waiting: EventMessage[] = [];
  let flushing: Promise<void> = Promise.resolve();
  let cancelTimer: (() => void) | undefined;

  const write = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    const changes: { table: "events"; key: string; value: unknown }[] = batch.map((value) => {
      kept.push(next);
      return { table: "events", key: keyOf(next++), value };
    });
    for (const old of kept.splice(0, Math.max(0, kept.length - EVENTS_KEPT_MAX))) {
      changes.push({ table: "events", key: keyOf(old), value: undefined });
    }
    try {
      await options.rows.commit(changes);
    } catch (error) {
      options.onError(error);
    }
  };
  const flush = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    flushing = flushing.then(write);
    return flushing;
  };

  return {
    load: () => loaded,
    append(event) {
      waiting.push(event);
      if (waiting.length >= FLUSH_COUNT) void flush();
      else cancelTimer ??= options.clock.after(FLUSH_DELAY_MS, () => void flush());
    },
    close: flush,
  };
}

function keyOf(sequence: number): string {
  return String(sequence).padStart(KEY_DIGITS, "0");
}
