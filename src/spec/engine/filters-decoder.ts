import { errorMessage, NaruError } from "../../base/mod.ts";
import { isObject, parseJson } from "../decode.ts";

const FILTER_VALUES_MAX = 1_000; // a person or a tool names a handful

/**
 * `filters=` in both shapes: `{"label":["a=b"]}` and `{"label":{"a=b":true}}`. Absent, empty and
 * null are no filters. With `allowed`, another key throws invalid_argument `invalid filter 'x'`.
 */
export function decodeFilters(
  text: string | null,
  allowed?: ReadonlySet<string>,
): ReadonlyMap<string, readonly string[]> {
  const filters = new Map<string, readonly string[]>();
  if (text === null || text === "") return filters;
  const value = parseFilters(text);
  if (value === null) return filters;
  if (!isObject(value)) throw refused("filters: want an object of lists");
  for (const [key, wanted] of Object.entries(value)) {
    if (allowed !== undefined && !allowed.has(key))
      throw refused(`invalid filter '${key.slice(0, 60)}'`);
    const values = valuesOf(key, wanted);
    if (values.length > FILTER_VALUES_MAX)
      throw refused(`filters.${key}: more than ${FILTER_VALUES_MAX} values`);
    filters.set(key, values);
  }
  return filters;
}

function parseFilters(text: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw refused(`filters: ${errorMessage(cause)}`); // a request has other JSON as well
  }
}

function valuesOf(key: string, wanted: unknown): string[] {
  if (wanted === null) return [];
  if (Array.isArray(wanted) && wanted.every((one) => typeof one === "string")) return wanted;
  if (isObject(wanted) && Object.values(wanted).every((one) => typeof one === "boolean")) {
    return Object.keys(wanted);
  }
  throw refused(`filters.${key.slice(0, 60)}: want a list of strings`);
}

function refused(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
