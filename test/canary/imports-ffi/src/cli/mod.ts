import { ptr } from "bun:ffi";

export function greet(name: string): string {
  return name + ptr(Buffer.alloc(1));
}
