import { NaruError } from "../../base/mod.ts";
import type { Filters } from "../../sdk/mod.ts";

/** Repeated `--filter key=value` by key. Throws invalid_argument in docker's words. */
export function parseFilters(texts: readonly string[]): Filters {
  const filters = new Map<string, string[]>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals < 0) {
      throw new NaruError(
        "invalid_argument",
        `invalid argument "${text}" for "-f, --filter" flag: bad format of filter (expected name=value)`,
      );
    }
    const key = text.slice(0, equals).trim().toLowerCase();
    filters.set(key, [...(filters.get(key) ?? []), text.slice(equals + 1).trim()]);
  }
  return filters;
}
