import { type ErrorKind, errorCode, errorMessage, isNaruError, NaruError } from "../../base/mod.ts";
import type { OverlayDirs } from "../../storage/mod.ts";

/** A mount of a stopped container that is shown while somebody looks at its files. */
export interface ViewBind {
  /** Host path; of an image its layers, the top one first. */
  readonly source: string | readonly string[];
  /** The part of the source that is shown, "" for all of it. */
  readonly subpath: string;
  /** In the container, absolute. */
  readonly destination: string;
  readonly readOnly: boolean;
}

/** Where the root of a container is found. */
export type RootSource =
  /** Of a running one, with all that is mounted there. */
  | { readonly kind: "process"; readonly pid: number; readonly startTime: number }
  /** A directory of the host. */
  | { readonly kind: "directory"; readonly path: string }
  /** Mounted for the job, in a mount namespace of its own that ends with it. */
  | {
      readonly kind: "overlay";
      readonly dirs: OverlayDirs;
      readonly binds: readonly ViewBind[];
      readonly readOnly: boolean;
      /** Tell when the root is there and wait: volumes are filled from it before they hide it. */
      readonly fillFirst: boolean;
      /** Mounts here are other containers': they are let go of in that namespace. */
      readonly bundlesDir: string;
      readonly mountPoint: string;
    };

/** What a container wrote, and what lies below it. */
export interface UpperSource {
  readonly dirs: OverlayDirs;
  readonly bundlesDir: string;
  readonly mountPoint: string;
}

export interface WriteOptions {
  readonly noOverwriteDirNonDir: boolean;
  /** Everything belongs to this user (`name`, `uid`, `user:group`) instead of the archive's; "" for that. */
  readonly user: string;
  /** The archive's own top folder (`./`) says what the target is like: owner, mode, times. */
  readonly withRoot?: boolean;
}

export type FileJob =
  | { readonly kind: "stat"; readonly root: RootSource; readonly path: string }
  | { readonly kind: "read"; readonly root: RootSource; readonly path: string }
  | {
      readonly kind: "write";
      readonly root: RootSource;
      readonly path: string;
      readonly options: WriteOptions;
    }
  | { readonly kind: "export"; readonly root: RootSource }
  | { readonly kind: "changes"; readonly source: UpperSource }
  | { readonly kind: "layer"; readonly source: UpperSource };

/** Docker's answer to `HEAD /containers/{id}/archive`. `mode` is Go's os.FileMode. */
export interface PathStat {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  /** RFC 3339. */
  readonly mtime: string;
  /** Where a symbolic link leads in the container, "" for everything else. */
  readonly linkTarget: string;
}

export type FileRequest =
  | { readonly kind: "job"; readonly job: FileJob }
  /** One more chunk may be sent here. */
  | { readonly kind: "credit" }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array }
  | { readonly kind: "end" }
  | { readonly kind: "filled" }
  | { readonly kind: "abort" };

export type FileAnswer =
  /** The root without its volumes, as a descriptor of this process; open until `filled` comes. */
  | { readonly kind: "mounted"; readonly rootFd: number }
  /** What can be checked beforehand is checked; content follows. */
  | { readonly kind: "ready"; readonly stat: PathStat | null }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array }
  | { readonly kind: "want" }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: ErrorRecord };

/** An error as it crosses the boundary of a Worker, where classes do not survive. */
export interface ErrorRecord {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);

export function recordOf(error: unknown): ErrorRecord {
  if (isNaruError(error)) {
    return { kind: error.kind, message: error.message, details: error.details };
  }
  const code = errorCode(error) ?? "";
  if (FULL.has(code)) {
    return { kind: "exhausted", message: `no space left (${code})`, details: { code } };
  }
  return { kind: "internal", message: errorMessage(error), details: code === "" ? {} : { code } };
}

export function errorOf(record: ErrorRecord): NaruError {
  return new NaruError(record.kind, record.message, record.details);
}
