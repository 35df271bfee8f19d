import { nameOf, type Name } from "../base/mod.ts";

export function greet(name: Name): string {
  return `hello ${nameOf(name)}`;
}
