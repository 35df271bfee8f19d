import type { Other } from "./other.ts";

export interface Mine {
  readonly other: Other | undefined;
}

export function greet(name: string): string {
  return name;
}
