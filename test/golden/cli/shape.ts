import { join } from "node:path";
import type { RecordedCreate } from "./fake-engine.ts";

const FILES = join(import.meta.dir, "files");

/** What a request changes against the plainest one, keyed by `Field` or `HostConfig.Field`. */
export interface CreateChanges {
  readonly query: Record<string, string>;
  readonly changes: Record<string, unknown>;
}

type Fields = Record<string, unknown>;

/** Only what differs is kept as golden: a reader sees at once what a flag does. */
export function changesOf(plain: unknown, recorded: RecordedCreate): CreateChanges {
  const before = flatten(plain as Fields);
  const after = flatten(recorded.body as Fields);
  const changes: Fields = {};
  for (const [key, value] of Object.entries(after)) {
    if (!Bun.deepEquals(before[key], value, true)) changes[key] = value;
  }
  for (const key of Object.keys(before)) if (!(key in after)) changes[key] = "(absent)";
  return JSON.parse(
    JSON.stringify({ query: recorded.query, changes }).replaceAll(FILES, "@"),
  ) as CreateChanges;
}

function flatten(body: Fields): Fields {
  const flat: Fields = {};
  for (const [key, value] of Object.entries(body)) {
    if (key !== "HostConfig") flat[key] = value;
    else for (const [inner, v] of Object.entries(value as Fields)) flat[`HostConfig.${inner}`] = v;
  }
  return flat;
}
