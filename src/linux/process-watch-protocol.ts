/** Orders on the pipe to the watching Worker: two 32-bit integers, the order and a pidfd. */
export const WATCH_RECORD_INTS: number = 2;
export const WATCH_ADD: number = 1;
export const WATCH_DROP: number = 2;
export const WATCH_STOP: number = 3;

export type WatchReport =
  | { readonly kind: "ended"; readonly pidFd: number }
  | { readonly kind: "dropped"; readonly pidFd: number }
  | { readonly kind: "stopped" };
