import { Database, type Statement } from "bun:sqlite";
import { existsSync, statSync } from "node:fs";
import { NaruError } from "../../base/mod.ts";
import type { TableName } from "../contract.ts";
import { damagedError, databaseError } from "./database-error.ts";
import type { EncodedChange, EncodedRows } from "./protocol.ts";
import { checkVersion, migrate, SCHEMA_VERSION, TABLES } from "./schema.ts";

// A reader of another process (the leak check) may hold the database for a moment.
const BUSY_TIMEOUT_MS = 5000;
// The log is folded back above 4 MB, so that it never grows with the age of the engine.
const CHECKPOINT_PAGES = 1000;

/** The database itself. Every call waits for the disk: it lives in a Worker (or a short command). */
export interface MetadataDatabase {
  rows(table: TableName): EncodedRows;
  /** One transaction, on disk when it returns. */
  commit(changes: readonly EncodedChange[]): void;
  close(): void;
}

/** Opens, checks and migrates the database, making it when it is missing. Throws damaged, unsupported. */
export function openDatabase(path: string): MetadataDatabase {
  let database: Database | undefined;
  try {
    const fresh = !existsSync(path) || statSync(path).size === 0;
    if (fresh && existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0) {
      // SQLite would throw the log away together with what it holds.
      throw damagedError(path, "the file is missing or empty while its log has content");
    }
    database = new Database(path, { create: true, readwrite: true, strict: true });
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    checkVersion(database, path);
    checkIntegrity(database, path);
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = FULL");
    database.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    migrate(database, path);
    return writer(database, path);
  } catch (error) {
    database?.close();
    throw databaseError(error, path);
  }
}

/** Opens an existing database to look at it, whether or not an engine has it open. */
export function openDatabaseReadOnly(path: string): Omit<MetadataDatabase, "commit"> {
  if (!existsSync(path)) throw new NaruError("not_found", `no database at ${path}`, { path });
  let database: Database | undefined;
  try {
    // Not SQLITE_OPEN_READONLY: after a crash somebody must make the log's index, and without an
    // engine that is this reader. query_only keeps every row as it is.
    database = new Database(path, { create: false, readwrite: true, strict: true });
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    database.run("PRAGMA query_only = ON");
    const version = checkVersion(database, path);
    const opened = database;
    return {
      rows: (table) => (version === SCHEMA_VERSION ? readRows(opened, table, path) : []),
      close: () => opened.close(),
    };
  } catch (error) {
    database?.close();
    throw databaseError(error, path);
  }
}

function checkIntegrity(database: Database, path: string): void {
  const findings = database
    .query<{ quick_check: string }, []>("PRAGMA quick_check(1)")
    .all()
    .map((row) => row.quick_check);
  const first = findings[0] ?? "no answer";
  if (first !== "ok") throw damagedError(path, first.replaceAll("\n", " "));
}

function readRows(database: Database, table: TableName, path: string): EncodedRows {
  try {
    const query = database.query<{ key: string; value: string }, []>(
      `SELECT key, value FROM "${table}" ORDER BY key`,
    );
    return query.all().map((row) => [row.key, row.value] as const);
  } catch (error) {
    throw databaseError(error, path);
  }
}

function writer(database: Database, path: string): MetadataDatabase {
  const statements = new Map<TableName, { set: Statement; remove: Statement }>();
  for (const table of TABLES) {
    statements.set(table, {
      set: database.prepare(
        `INSERT INTO "${table}" (key, value) VALUES (?, ?) ` +
          "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      ),
      remove: database.prepare(`DELETE FROM "${table}" WHERE key = ?`),
    });
  }
  const apply = database.transaction((changes: readonly EncodedChange[]) => {
    for (const [table, key, json] of changes) {
      const statement = statements.get(table);
      if (statement === undefined) throw new NaruError("internal", `unknown table ${table}`);
      if (json === null) statement.remove.run(key);
      else statement.set.run(key, json);
    }
  });
  return {
    rows: (table) => readRows(database, table, path),
    commit(changes) {
      try {
        apply.immediate(changes);
      } catch (error) {
        throw databaseError(error, path);
      }
    },
    close() {
      for (const { set, remove } of statements.values()) {
        set.finalize();
        remove.finalize();
      }
      database.close();
    },
  };
}
