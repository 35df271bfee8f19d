import type { Change, Metadata, TableName } from "../../src/storage/mod.ts";

/** The database in memory. `rows` after `reopen` shows what was committed, as a restart would. */
export interface MemoryMetadata extends Metadata {
  /** Commits so far; what the run path costs. */
  commits(): number;
  /** The next commit fails with this. */
  failNext(error: Error): void;
}

export function memoryMetadata(): MemoryMetadata {
  const tables = new Map<TableName, Map<string, string>>();
  let commits = 0;
  let failure: Error | undefined;
  const table = (name: TableName): Map<string, string> => {
    const found = tables.get(name) ?? new Map<string, string>();
    tables.set(name, found);
    return found;
  };
  return {
    rows: (name) =>
      [...table(name).entries()]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, text]) => [key, JSON.parse(text)] as const),
    async commit(changes: readonly Change[]) {
      await Promise.resolve();
      if (failure !== undefined) {
        const error = failure;
        failure = undefined;
        throw error;
      }
      commits += 1;
      for (const change of changes) {
        if (change.value === undefined) table(change.table).delete(change.key);
        else table(change.table).set(change.key, JSON.stringify(change.value));
      }
    },
    close: () => Promise.resolve(),
    commits: () => commits,
    failNext(error) {
      failure = error;
    },
  };
}
