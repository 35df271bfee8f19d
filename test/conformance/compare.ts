/** Holds one recorded answer against another, leaf by leaf. */
import type { Answer } from "../golden/engine/play.ts";
import type { Intended } from "./intended-entry.ts";

export interface Difference {
  readonly step: string;
  readonly path: string;
  /** JSON text, or "absent". */
  readonly docker: string;
  readonly naru: string;
}

/** Every leaf where the two differ; keys that one side lacks count. */
export function differences(docker: readonly Answer[], naru: readonly Answer[]): Difference[] {
  const found: Difference[] = [];
  for (const [index, want] of docker.entries()) {
    const wanted = leaves(want);
    const got = leaves(naru[index] ?? {});
    for (const path of new Set([...wanted.keys(), ...got.keys()])) {
      const left = wanted.get(path) ?? "absent";
      const right = got.get(path) ?? "absent";
      if (left === right) continue;
      if (isEmptied(path, left, wanted, got) || isEmptied(path, right, got, wanted)) continue;
      found.push({ step: want.step, path, docker: left, naru: right });
    }
  }
  return found;
}

/** `{}` or `[]` against one with members: each of those is a difference already. */
function isEmptied(
  path: string,
  text: string,
  own: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): boolean {
  const empty = own.has(path) && (text === "{}" || text === "[]");
  return empty && [...other.keys()].some((key) => key.startsWith(`${path}.`));
}

/** The entry that allows the difference, if any. */
export function excuse(
  name: string,
  difference: Difference,
  intended: readonly Intended[],
): Intended | undefined {
  return intended.find(
    (entry) =>
      entry.path.test(difference.path) &&
      (entry.case?.test(name) ?? true) &&
      (entry.step?.test(difference.step) ?? true) &&
      (entry.docker?.test(difference.docker) ?? true) &&
      (entry.naru?.test(difference.naru) ?? true),
  );
}

function leaves(
  value: unknown,
  path = "",
  into: Map<string, string> = new Map(),
): Map<string, string> {
  const inner = value !== null && typeof value === "object" ? Object.entries(value) : [];
  if (inner.length === 0) into.set(path, JSON.stringify(value) ?? "absent");
  for (const [key, item] of inner) {
    if (item !== undefined) leaves(item, path === "" ? key : `${path}.${key}`, into);
  }
  return into;
}
