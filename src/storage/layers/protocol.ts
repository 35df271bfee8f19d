import type { Digest } from "../../base/mod.ts";
import type { ErrorRecord } from "../metadata/database-error.ts";
import type { Compression } from "./decompress.ts";

/** Where the Worker finds the archive. */
export type UnpackSource =
  /** It reads the file itself. `digest` is known for verified blobs: of plain ones it is the diff id. */
  | { readonly kind: "file"; readonly path: string; readonly digest: Digest | undefined }
  /** Chunks are sent as it asks for them. */
  | { readonly kind: "chunks" };

/** From the main thread; one job at a time. */
export type UnpackRequest =
  | { readonly kind: "unpack"; readonly root: string; readonly source: UnpackSource }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array }
  | { readonly kind: "end" }
  /** The source failed or nobody wants the result: the job ends with an error. */
  | { readonly kind: "abort" };

export type UnpackAnswer =
  | { readonly kind: "want" }
  | { readonly kind: "progress"; readonly bytes: number }
  | { readonly kind: "done"; readonly result: UnpackResult }
  | { readonly kind: "failed"; readonly error: ErrorRecord };

export interface UnpackResult {
  readonly diffId: Digest;
  readonly sizeBytes: number;
  readonly skippedXattrs: number;
  readonly compression: Compression;
}
