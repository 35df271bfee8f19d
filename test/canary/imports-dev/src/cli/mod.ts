import fc from "fast-check";

export function greet(name: string): string {
  return name + String(fc);
}
