/** Filters by key; a key may have several values. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** The `filters` query as `{"label":{"a=b":true}}`, or undefined when there are none. */
export function filtersQuery(filters: Filters | undefined): string | undefined {
  if (filters === undefined || filters.size === 0) return undefined;
  const shape: Record<string, Record<string, boolean>> = {};
  for (const [key, values] of filters) {
    shape[key] = Object.fromEntries(values.map((value) => [value, true]));
  }
  return JSON.stringify(shape);
}
