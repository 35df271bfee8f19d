/** Replaces what changes from run to run by placeholders, and nothing else. */

/** Values saved by steps, so that ids keep their identity: name -> full value. */
export type Names = ReadonlyMap<string, string>;

const VOLATILE_NUMBERS: ReadonlySet<string> = new Set([
  "Pid",
  "Created",
  "time",
  "timeNano",
  "Size",
  "VirtualSize",
  "SizeRw",
  "SizeRootFs",
  "SpaceReclaimed",
  "current",
  "total",
  "start",
]);
const VOLATILE_STRINGS: ReadonlyMap<string, string> = new Map([
  ["IPAddress", "<ip>"],
  ["Gateway", "<ip>"],
  ["MacAddress", "<mac>"],
]);

/** Text with ids, times, roots and ages replaced. */
export function normaliseText(text: string, names: Names): string {
  let out = text;
  for (const [name, value] of names) {
    const bare = value.replace(/^sha256:/, "");
    if (!/^[0-9a-f]{64}$/.test(bare)) continue;
    out = out.replaceAll(bare, `<${name}>`).replaceAll(bare.slice(0, 12), `<${name}:12>`);
  }
  return out
    .replace(/[0-9a-f]{64}/g, "<hex64>")
    .replace(/\b[0-9a-f]{12}\b/g, "<hex12>")
    .replace(/\b[0-9a-f]{32}\b/g, "<hex32>")
    .replace(
      /(?!0001-01-01T00:00:00Z)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g,
      "<time>",
    )
    .replace(/(Less than a second|About a minute|\d+ (seconds?|minutes?))( ago)?/g, "<age>$3")
    .replace(/\/tmp\/[A-Za-z0-9._-]+\/(data|exec)\b/g, "<$1-root>")
    .replace(/(overlay2|layers)\/[A-Za-z0-9]+\b/g, "$1/<layer>")
    .replace(/overlay2\/<(hex64|[a-z]+)>/g, "overlay2/<layer>")
    .replace(/\/l\/[A-Z0-9]{26}/g, "/l/<link>")
    .replace(/\b\d+\.\d+\.0\.0\/16\b/g, "<subnet>")
    .replace(/to \d+\.00, as there are only \d+ CPUs/g, "to <cpus>, as there are only <n> CPUs")
    .replace(/, available: [\d,-]+/g, ", available: <set>")
    .replace(/docker-import-\d+/g, "docker-import-<n>")
    .replace(/\bpid \d+\b/g, "pid <pid>");
}

/** JSON with volatile values replaced; which keys are there, null, [] and {} stay as they are. */
export function normaliseJson(value: unknown, names: Names, key = ""): unknown {
  if (typeof value === "string") {
    const whole = VOLATILE_STRINGS.get(key);
    if (whole !== undefined && value !== "") return whole;
    return normaliseText(value, names);
  }
  if (typeof value === "number") {
    return VOLATILE_NUMBERS.has(key) && value > 0 ? `<${typeof value}>` : value;
  }
  if (Array.isArray(value)) {
    return sorted(value.map((item) => normaliseJson(item, names, key)));
  }
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      normaliseText(name, names),
      normaliseJson(item, names, name),
    ]),
  );
}

// Docker keeps these in maps: their order is chance.
const SORTED_BY: readonly (readonly string[])[] = [
  ["Destination", "RW"], // mounts
  ["PrivatePort", "Type"], // ports of the list
  ["Path", "Kind"], // changes
];

function sorted(items: unknown[]): unknown[] {
  const first = items[0];
  if (first === null || typeof first !== "object") return items;
  if (!SORTED_BY.some((keys) => keys.every((name) => name in first))) return items;
  const text = (item: unknown): string => JSON.stringify(item);
  return items.sort((a, b) => text(a).localeCompare(text(b)));
}

/** JSON with every leaf replaced by its type, except the paths in `keep`. */
export function shapeOf(value: unknown, keep: readonly string[], path = ""): unknown {
  if (keep.includes(path)) return value;
  if (value === null) return null;
  if (Array.isArray(value)) {
    const shapes = value.map((item) => shapeOf(item, keep, `${path}[]`));
    const seen = new Map(shapes.map((shape) => [JSON.stringify(shape), shape]));
    return [...seen.values()];
  }
  if (typeof value !== "object") return `<${typeof value}>`;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      shapeOf(item, keep, path === "" ? name : `${path}.${name}`),
    ]),
  );
}
