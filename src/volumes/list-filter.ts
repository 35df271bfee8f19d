import { NaruError } from "../base/mod.ts";
import type { Volume, VolumeFilters } from "./contract.ts";

const LIST_KEYS: ReadonlySet<string> = new Set(["dangling", "driver", "label", "name"]);
const PRUNE_KEYS: ReadonlySet<string> = new Set(["all", "label", "label!"]);
const TRUE: ReadonlySet<string> = new Set(["1", "true"]);
const FALSE: ReadonlySet<string> = new Set(["0", "false"]);

/** Docker's label of volumes that were made without a name. */
const ANONYMOUS_LABEL = "com.docker.volume.anonymous";

/** The labels that clients see. */
export function labelsOf(volume: Volume): Readonly<Record<string, string>> {
  return volume.anonymous ? { ...volume.labels, [ANONYMOUS_LABEL]: "" } : volume.labels;
}

type Fits = (volume: Volume) => boolean;

/** Throws invalid_argument for another key or a `dangling` that is no truth value. */
export function compileListFilters(
  filters: VolumeFilters,
  isUsed: (name: string) => boolean,
): Fits {
  checkKeys(filters, LIST_KEYS);
  const dangling = truth(filters, "dangling");
  const drivers = filters.get("driver") ?? [];
  const names = (filters.get("name") ?? []).map(nameMatcher);
  const labels = filters.get("label") ?? [];
  return (volume) =>
    (dangling === undefined || dangling === !isUsed(volume.name)) &&
    (drivers.length === 0 || drivers.includes(volume.driver)) &&
    (names.length === 0 || names.some((matches) => matches(volume.name))) &&
    labels.every((label) => hasLabel(volume, label));
}

/** Which unused volumes a prune takes: anonymous ones, named ones too with `named` or `all=1`. */
export function compilePruneFilters(
  filters: VolumeFilters,
  options: { readonly named: boolean },
): Fits {
  checkKeys(filters, PRUNE_KEYS);
  const named = truth(filters, "all") ?? options.named;
  const labels = filters.get("label") ?? [];
  const notLabels = filters.get("label!") ?? [];
  return (volume) =>
    (named || volume.anonymous) &&
    labels.every((label) => hasLabel(volume, label)) &&
    !notLabels.some((label) => hasLabel(volume, label));
}

function checkKeys(filters: VolumeFilters, known: ReadonlySet<string>): void {
  for (const key of filters.keys()) {
    if (!known.has(key)) {
      throw new NaruError("invalid_argument", `invalid filter '${key.slice(0, 60)}'`);
    }
  }
}

function truth(filters: VolumeFilters, key: string): boolean | undefined {
  const values = filters.get(key) ?? [];
  if (values.length === 0) return undefined;
  const yes = values.some((value) => TRUE.has(value));
  const no = values.some((value) => FALSE.has(value));
  if (yes === no || values.some((value) => !TRUE.has(value) && !FALSE.has(value))) {
    const shown = values.map((value) => value.slice(0, 60)).join(" ");
    throw new NaruError("invalid_argument", `invalid filter '${key}=[${shown}]'`);
  }
  return yes;
}

/** A part of the name, or a regular expression, as Docker takes it. */
function nameMatcher(wanted: string): (name: string) => boolean {
  let pattern: RegExp | undefined;
  try {
    pattern = new RegExp(wanted.slice(0, NAME_PATTERN_MAX));
  } catch {
    pattern = undefined; // then it is only a text
  }
  return (name) => name.includes(wanted) || (isSimple(wanted) && (pattern?.test(name) ?? false));
}

const NAME_PATTERN_MAX = 256; // longer than any name

/** Nested repetition takes for ever on purpose-made names: such a pattern is only a text. */
function isSimple(pattern: string): boolean {
  return !/[*+}][^(]*\)[*+{]/.test(pattern);
}

function hasLabel(volume: Volume, label: string): boolean {
  const labels = labelsOf(volume);
  const equals = label.indexOf("=");
  if (equals === -1) return Object.hasOwn(labels, label);
  const key = label.slice(0, equals);
  return Object.hasOwn(labels, key) && labels[key] === label.slice(equals + 1);
}
