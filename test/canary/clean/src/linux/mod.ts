import { ptr } from "bun:ffi";

export function pageBytes(): number {
  return ptr(Buffer.alloc(8)) % 4096;
}
