import type { TrackedPort } from "./netlink/connection.ts";
import type { SyscallErrorRecord } from "./syscall-error.ts";

export interface ForgetQuestion {
  readonly id: number;
  readonly ports: readonly TrackedPort[];
}

export type ForgetAnswer =
  | { readonly id: number; readonly kind: "done"; readonly forgotten: number }
  | { readonly id: number; readonly kind: "failed"; readonly failure: SyscallErrorRecord }
  | { readonly id: number; readonly kind: "broken"; readonly message: string };
