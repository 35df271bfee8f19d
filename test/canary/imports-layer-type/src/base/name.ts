import type { pageBytes } from "../linux/mod.ts";

export type Name = string;

export function nameOf(text: string): Name | ReturnType<typeof pageBytes> {
  return text;
}
