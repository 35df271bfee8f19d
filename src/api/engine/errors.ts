import { type ErrorKind, errorMessage, isNaruError } from "../../base/mod.ts";

/** The one table from what went wrong to the Engine API's status. */
export const ENGINE_STATUS: Readonly<Record<ErrorKind, number>> = {
  invalid_argument: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  not_modified: 304,
  conflict: 409,
  too_large: 413,
  unsupported: 501,
  unavailable: 503,
  exhausted: 507,
  cancelled: 499, // nobody reads it: the client is gone
  damaged: 500,
  internal: 500,
};

export interface EngineError {
  readonly status: number;
  readonly message: string;
  /** A fault of ours: to be logged with its stack. */
  readonly fault: boolean;
}

/**
 * Status and text for anything that was thrown. What is no NaruError is a bug: its text may hold
 * internals, so that the client gets a number to find it in the log instead.
 */
export function engineError(error: unknown, requestId: string): EngineError {
  if (isNaruError(error)) {
    const status = ENGINE_STATUS[error.kind];
    return { status, message: error.message, fault: status === 500 };
  }
  return {
    status: 500,
    message: `internal error, see the engine's log for request ${requestId}`,
    fault: true,
  };
}

/** The text of an error inside a stream whose status is sent already. */
export function streamErrorText(error: unknown, requestId: string): string {
  return isNaruError(error) ? errorMessage(error) : engineError(error, requestId).message;
}
