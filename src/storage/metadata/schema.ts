import type { Database } from "bun:sqlite";
import { NaruError } from "../../base/mod.ts";
import type { TableName } from "../contract.ts";

/** Every table, in the order in which they are made. */
export const TABLES: readonly TableName[] = [
  "settings",
  "containers",
  "execs",
  "images",
  "references",
  "leases",
  "layers",
  "addresses",
  "networks",
  "ports",
  "volumes",
  "events",
  "work",
];

/** Those of version 1. */
const FIRST_TABLES: readonly TableName[] = TABLES.filter(
  (table) => table !== "leases" && table !== "ports",
);

function createTable(database: Database, table: TableName): void {
  database.run(
    `CREATE TABLE "${table}" (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT`,
  );
}

/**
 * Each step leads from the version that is its index to the next one, inside one transaction. Steps
 * are only ever added: an old database walks through all that follow its version.
 */
const MIGRATIONS: readonly ((database: Database) => void)[] = [
  (database) => {
    for (const table of FIRST_TABLES) createTable(database, table);
  },
  (database) => createTable(database, "leases"),
  (database) => createTable(database, "ports"),
];

/** The version that this engine writes (SQLite's `user_version`). */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

/**
 * The database's version. Throws unsupported, naming both versions, when a newer engine wrote it:
 * going on could destroy what this one does not know of.
 */
export function checkVersion(database: Database, path: string): number {
  const row = database.query<{ user_version: number }, []>("PRAGMA user_version").get();
  const version = row?.user_version ?? 0;
  if (version <= SCHEMA_VERSION) return version;
  throw new NaruError(
    "unsupported",
    `the database ${path} has version ${version} and this engine knows up to version ` +
      `${SCHEMA_VERSION}: start the newer engine that wrote it, or choose another data root`,
    { version, supported: SCHEMA_VERSION },
  );
}

/** Brings an older or an empty database to SCHEMA_VERSION; all steps or none. */
export function migrate(database: Database, path: string): void {
  const version = checkVersion(database, path);
  if (version === SCHEMA_VERSION) return;
  database.transaction(() => {
    for (const step of MIGRATIONS.slice(version)) step(database);
    database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  })();
}
