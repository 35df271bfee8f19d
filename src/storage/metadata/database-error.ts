import { type ErrorKind, errorCode, errorMessage, isNaruError, NaruError } from "../../base/mod.ts";

/** A NaruError as it crosses a Worker boundary, where classes do not survive. */
export interface ErrorRecord {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

export function errorRecord(error: unknown): ErrorRecord {
  if (isNaruError(error)) {
    return { kind: error.kind, message: error.message, details: error.details };
  }
  return { kind: "internal", message: errorMessage(error), details: {} };
}

export function errorFromRecord(record: ErrorRecord): NaruError {
  return new NaruError(record.kind, record.message, record.details);
}

/** What a failure of SQLite means for the engine. `code` is SQLite's (`SQLITE_FULL`). */
export function databaseError(error: unknown, path: string): NaruError {
  if (isNaruError(error)) return error;
  const code = errorCode(error) ?? "";
  const details = { path, code };
  const cause = { cause: error };
  if (code.startsWith("SQLITE_FULL")) {
    return new NaruError("exhausted", `no space left for the database ${path}`, details, cause);
  }
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB")) {
    return damagedError(path, errorMessage(error), error);
  }
  if (code.startsWith("SQLITE_CANTOPEN")) {
    return new NaruError("not_found", `cannot open the database ${path}`, details, cause);
  }
  const message = `the database ${path} failed: ${errorMessage(error)}`;
  return new NaruError("internal", message, details, cause);
}

/** Damage is never repaired by starting over: the rows are all that is known of running containers. */
export function damagedError(path: string, finding: string, cause?: unknown): NaruError {
  const message =
    `the database ${path} is damaged (${finding}); nothing was changed: keep a copy of it and of ` +
    `${path}-wal, then restore a backup, or save what can be read with ` +
    `\`sqlite3 ${path} .recover | sqlite3 ${path}.new\` and put that in its place`;
  return new NaruError("damaged", message, { path }, { cause });
}
