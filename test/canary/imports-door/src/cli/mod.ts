import { nameOf } from "../base/name.ts";

export function greet(name: string): string {
  return nameOf(name);
}
