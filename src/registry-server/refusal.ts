import { type ErrorKind, NaruError } from "../base/mod.ts";

/** The error codes of the specification. @see distribution-spec "Error Codes" */
export type RefusalCode =
  | "BLOB_UNKNOWN" // code-1
  | "BLOB_UPLOAD_INVALID" // code-2
  | "BLOB_UPLOAD_UNKNOWN" // code-3
  | "DIGEST_INVALID" // code-4
  | "MANIFEST_BLOB_UNKNOWN" // code-5
  | "MANIFEST_INVALID" // code-6
  | "MANIFEST_UNKNOWN" // code-7
  | "NAME_INVALID" // code-8
  | "NAME_UNKNOWN" // code-9
  | "SIZE_INVALID" // code-10
  | "UNAUTHORIZED" // code-11
  | "DENIED" // code-12
  | "UNSUPPORTED" // code-13
  | "TOOMANYREQUESTS"; // code-14

const RULES: Readonly<Record<RefusalCode, readonly [status: number, kind: ErrorKind]>> = {
  BLOB_UNKNOWN: [404, "not_found"],
  BLOB_UPLOAD_INVALID: [400, "invalid_argument"],
  BLOB_UPLOAD_UNKNOWN: [404, "not_found"],
  DIGEST_INVALID: [400, "invalid_argument"],
  MANIFEST_BLOB_UNKNOWN: [404, "not_found"],
  MANIFEST_INVALID: [400, "invalid_argument"],
  MANIFEST_UNKNOWN: [404, "not_found"],
  NAME_INVALID: [400, "invalid_argument"],
  NAME_UNKNOWN: [404, "not_found"],
  SIZE_INVALID: [400, "invalid_argument"],
  UNAUTHORIZED: [401, "unauthorized"],
  DENIED: [403, "forbidden"],
  UNSUPPORTED: [405, "unsupported"],
  TOOMANYREQUESTS: [429, "exhausted"],
};

/** A request that is refused with a code of the specification. `status` where it is not the usual one. */
export function refusal(code: RefusalCode, message: string, status?: number): NaruError {
  const [usual, kind] = RULES[code];
  return new NaruError(kind, message, { code, status: status ?? usual });
}

/** Status of errors that are not refusals of ours, and the code that comes closest. */
const BY_KIND: Readonly<Record<ErrorKind, readonly [status: number, code: string]>> = {
  invalid_argument: [400, "BLOB_UPLOAD_INVALID"],
  unauthorized: [401, "UNAUTHORIZED"],
  forbidden: [403, "DENIED"],
  not_found: [404, "BLOB_UNKNOWN"],
  not_modified: [304, ""],
  conflict: [409, "DENIED"],
  too_large: [413, "SIZE_INVALID"],
  unsupported: [405, "UNSUPPORTED"],
  unavailable: [503, "UNKNOWN"],
  exhausted: [507, "UNKNOWN"],
  cancelled: [400, "BLOB_UPLOAD_INVALID"],
  damaged: [500, "UNKNOWN"],
  internal: [500, "UNKNOWN"],
};

/** What is answered to a request that failed. */
export interface FailureAnswer {
  readonly status: number;
  readonly body: string;
}

/** Messages of faults of ours stay in the log. */
export function failureAnswer(error: unknown): FailureAnswer {
  const known = error instanceof NaruError ? error : undefined;
  const [kindStatus, kindCode] = BY_KIND[known?.kind ?? "internal"];
  const { code = kindCode, status = kindStatus } = known?.details ?? {};
  const message = known === undefined ? "internal error" : known.message;
  const body = JSON.stringify({ errors: [{ code, message, detail: null }] });
  return { status: Number(status), body };
}
