import { join } from "node:path";

const FILES = join(import.meta.dir, "files");

/** Splits a line of `cases.ts`: blanks separate, `'…'` groups with `_` for a blank, `@/` is the files folder. */
export function commandWords(line: string): string[] {
  return line
    .split(" ")
    .map((word) => (word.startsWith("'") ? word.slice(1, -1).replaceAll("_", " ") : word))
    .map((word) => word.replace("@/", `${FILES}/`));
}
