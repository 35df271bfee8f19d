import { type Name, nameOf } from "../base/mod.ts";

export function greet(name: Name): string {
  return `hello ${nameOf(name)}`;
}
