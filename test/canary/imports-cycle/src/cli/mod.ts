import { other } from "./other.ts";

export function greet(name: string): string {
  return other(name);
}
