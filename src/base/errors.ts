/**
 * What went wrong, seen from the caller. The set is closed: each protocol keeps one table from kind
 * to its own status (for the Engine API `ENGINE_STATUS` in `src/api/engine/errors.ts`), and a new
 * kind does not compile until every table has a row for it.
 */
export type ErrorKind =
  | "invalid_argument" // the request is malformed or asks for something that cannot be
  | "unauthorized" // credentials missing or wrong
  | "forbidden" // understood, and refused whatever the credentials
  | "not_found" // the named object does not exist
  | "not_modified" // already in the state that was asked for (304, empty body)
  | "conflict" // the object's state forbids it (in use, running, name taken)
  | "too_large" // over a documented limit
  | "unsupported" // known to the contract, and this engine or kernel cannot do it
  | "unavailable" // a peer or a part is not there now; trying later may help
  | "exhausted" // disk, addresses, descriptors: given back later
  | "cancelled" // the client went away or asked to stop
  | "damaged" // what is on disk does not match its digest or checksum
  | "internal"; // a fault of ours or of a program that we drive

/** Facts about the error for logs and for programs; never secrets. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/**
 * The one error class. `message` goes to users as it is: it says what happened and to which object,
 * lower case and without a full stop, except where clients match Docker's own words
 * (`shared/compat.md` item 3).
 */
export class NaruError extends Error {
  override readonly name: string = "NaruError";
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;

  constructor(
    kind: ErrorKind,
    message: string,
    details: ErrorDetails = {},
    options: ErrorOptions = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.details = details;
  }
}

/** True when `error` is a NaruError, of `kind` if one is given. */
export function isNaruError(error: unknown, kind?: ErrorKind): error is NaruError {
  return error instanceof NaruError && (kind === undefined || error.kind === kind);
}

/** The message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The errno name (`ENOENT`) of a Node, Bun or `SyscallError` failure, or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
