import { Database } from "bun:sqlite";

export function greet(name: string): string {
  return new Database(name).filename;
}
