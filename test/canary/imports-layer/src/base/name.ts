import { greet } from "../cli/mod.ts";

export type Name = string;

export function nameOf(text: string): Name {
  return greet(text);
}
