import { type Clock, type Digest, NaruError, parseInstantOrAge } from "../base/mod.ts";
import { chainIdsOf, matchesPattern, type Reference } from "../oci/mod.ts";
import type { ImageSummary } from "../spec/mod.ts";
import type { LayerStore } from "../storage/mod.ts";
import type { ImageListOptions, ImageUsers } from "./contract.ts";
import type { ImageRow } from "./image-row.ts";
import type { ImageTable } from "./image-table.ts";
import { containerConfigOf, createdNsOf, patternTexts, summaryOf } from "./view.ts";

export interface ListInput {
  readonly table: ImageTable;
  readonly layers: LayerStore;
  readonly users: ImageUsers;
  readonly clock: Clock;
}

const FILTERS: ReadonlySet<string> = new Set([
  "before",
  "dangling",
  "label",
  "reference",
  "since",
  "until",
]);

type Test = (image: {
  readonly row: ImageRow;
  readonly references: readonly Reference[];
}) => boolean;

/** Newest first. Throws invalid_argument for a bad filter, not_found for its image. */
export function listImages(input: ListInput, options: ImageListOptions): ImageSummary[] {
  const { table, layers } = input;
  const tests = testsOf(input, options.filters);
  const patterns = options.filters.get("reference") ?? [];
  const found: { summary: ImageSummary; createdNs: bigint; id: Digest; row: ImageRow }[] = [];
  for (const [id, row] of table.visible()) {
    const all = table.referencesOf(id);
    // With patterns only the names that match are shown.
    const references =
      patterns.length === 0 ? all : all.filter((name) => matchesAny(patterns, name));
    if (patterns.length > 0 && references.length === 0) continue;
    if (!tests.every((test) => test({ row, references: all }))) continue;
    const summary = summaryOf({ id, row, references, layers });
    found.push({ summary, createdNs: createdNsOf(row.config) ?? 0n, id, row });
  }
  found.sort((a, b) => {
    if (a.createdNs !== b.createdNs) return a.createdNs > b.createdNs ? -1 : 1;
    return a.id < b.id ? -1 : 1;
  });
  if (options.sharedSize) fillShared(found, input);
  return found.map(({ summary }) => summary);
}

function matchesAny(patterns: readonly string[], reference: Reference): boolean {
  const texts = patternTexts(reference);
  return patterns.some((pattern) => texts.some((text) => matchesPattern(pattern, text)));
}

function testsOf(input: ListInput, filters: ReadonlyMap<string, readonly string[]>): Test[] {
  const tests: Test[] = [];
  for (const [key, values] of filters) {
    if (!FILTERS.has(key)) throw new NaruError("invalid_argument", `invalid filter '${key}'`);
    if (values.length === 0) continue;
    switch (key) {
      case "dangling":
        tests.push(danglingTest(values));
        break;
      case "label":
        tests.push(...values.map(labelTest));
        break;
      case "before":
      case "since":
        tests.push(...values.map((name) => createdTest(input.table, key, name)));
        break;
      case "until":
        tests.push(...values.map((value) => untilTest(input.clock, value)));
        break;
    }
  }
  return tests;
}

const TRUE: ReadonlySet<string> = new Set(["1", "true", "t", "T", "True", "TRUE"]);
const FALSE: ReadonlySet<string> = new Set(["0", "false", "f", "F", "False", "FALSE"]);

function danglingTest(values: readonly string[]): Test {
  const [value = ""] = values;
  if (values.length > 1 || !(TRUE.has(value) || FALSE.has(value))) {
    throw new NaruError("invalid_argument", `invalid filter 'dangling=[${values.join(" ")}]'`);
  }
  return ({ references }) => (references.length === 0) === TRUE.has(value);
}

function labelTest(value: string): Test {
  const equals = value.indexOf("=");
  const key = equals === -1 ? value : value.slice(0, equals);
  return ({ row }) => {
    const labels = containerConfigOf(row.config).Labels ?? {};
    if (!Object.hasOwn(labels, key)) return false;
    return equals === -1 || labels[key] === value.slice(equals + 1);
  };
}

function createdTest(table: ImageTable, key: "before" | "since", name: string): Test {
  const limitNs = createdNsOf(table.find(name).row.config) ?? 0n;
  return ({ row }) => {
    const createdNs = createdNsOf(row.config) ?? 0n;
    return key === "before" ? createdNs < limitNs : createdNs > limitNs;
  };
}

/** An instant, or a duration before now. */
function untilTest(clock: Clock, value: string): Test {
  const limitNs = parseInstantOrAge(value, clock.nowNs());
  return ({ row }) => (createdNsOf(row.config) ?? 0n) < limitNs;
}

/** Bytes of layers that other images have too, and how many containers there are. */
function fillShared(
  found: readonly { summary: ImageSummary; id: Digest; row: ImageRow }[],
  { table, layers, users }: ListInput,
): void {
  const counts = new Map<Digest, number>();
  for (const [, row] of table.visible()) {
    for (const chainId of chainIdsOf(row.config.rootfs.diff_ids)) {
      counts.set(chainId, (counts.get(chainId) ?? 0) + 1);
    }
  }
  for (const { summary, id, row } of found) {
    summary.SharedSize = chainIdsOf(row.config.rootfs.diff_ids)
      .filter((chainId) => (counts.get(chainId) ?? 0) > 1)
      .reduce((total, chainId) => total + (layers.get(chainId)?.sizeBytes ?? 0), 0);
    summary.Containers = users.usersOf(id).length;
  }
}
