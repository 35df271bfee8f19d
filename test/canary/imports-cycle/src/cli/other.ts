import { greet } from "./mod.ts";

export function other(name: string): string {
  return name === "" ? greet("x") : name;
}
