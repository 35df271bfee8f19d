import type { TableName } from "../contract.ts";
import type { ErrorRecord } from "./database-error.ts";

/** A change as it travels: the value is JSON already, null removes the row. */
export type EncodedChange = readonly [table: TableName, key: string, json: string | null];

/** From the main thread to the Worker. One batch is one transaction. */
export type MetadataRequest =
  | { readonly kind: "open"; readonly path: string }
  | { readonly kind: "commit"; readonly changes: readonly EncodedChange[] }
  | { readonly kind: "close" };

export type EncodedRows = readonly (readonly [key: string, json: string])[];

/** From the Worker: exactly one answer for each request, in order. */
export type MetadataAnswer =
  | { readonly kind: "opened"; readonly tables: readonly (readonly [TableName, EncodedRows])[] }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: ErrorRecord };
