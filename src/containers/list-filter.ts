import { NaruError, parseInstantOrAge } from "../base/mod.ts";
import type { PublishedPort } from "../network/mod.ts";
import type { ContainerRecord } from "./record.ts";
import { lastExit, statusWord } from "./state.ts";

export type Filters = ReadonlyMap<string, readonly string[]>;

const LIST_KEYS: ReadonlySet<string> = new Set([
  "ancestor",
  "before",
  "expose",
  "exited",
  "health",
  "id",
  "isolation",
  "is-task",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
]);
const PRUNE_KEYS: ReadonlySet<string> = new Set(["until", "label", "label!"]);
const STATUS_WORDS = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTH_WORDS = ["starting", "healthy", "unhealthy", "none"];

export interface FilterContext {
  /** Throws not_found. */
  readonly find: (ref: string) => ContainerRecord;
  readonly healthOf: (record: ContainerRecord) => string;
  /** Image ids that have this image, or are it: undefined when there is no such image. */
  readonly imageId: (name: string) => string | undefined;
  readonly networksOf: (record: ContainerRecord) => readonly { id: string; name: string }[];
  readonly publishedBy: (record: ContainerRecord) => readonly PublishedPort[];
}

type Check = (record: ContainerRecord) => boolean;

/** One test out of all filters. Throws invalid_argument in Docker's words for a bad key or value. */
export function compileListFilters(filters: Filters, context: FilterContext): Check {
  for (const key of filters.keys()) if (!LIST_KEYS.has(key)) throw badKey(key);
  const checks: Check[] = [];
  for (const [key, values] of filters) {
    if (values.length > 0) checks.push(compileOne(key, values, context));
  }
  return (record) => checks.every((check) => check(record));
}

function badKey(key: string): NaruError {
  return new NaruError("invalid_argument", `invalid filter '${key}'`);
}

function badValue(key: string, value: string): NaruError {
  return new NaruError("invalid_argument", `invalid filter '${key}=${value}'`);
}

function compileOne(key: string, values: readonly string[], context: FilterContext): Check {
  switch (key) {
    case "id":
      return (record) => values.some((value) => record.id.startsWith(value));
    case "name":
      return compileNames(values);
    case "label":
      return (record) => values.every((value) => hasLabel(record, value));
    case "status":
      return compileWords(key, values, STATUS_WORDS, (record) => statusWord(record.state));
    case "health":
      return compileWords(
        key,
        values,
        HEALTH_WORDS,
        (record) => context.healthOf(record) || "none",
      );
    case "exited":
      return compileExited(values);
    case "before":
    case "since":
      return compileOrder(key, values, context);
    case "ancestor":
      return compileAncestor(values, context);
    case "volume":
      return (record) => values.some((value) => usesVolume(record, value));
    case "network":
      return (record) =>
        context
          .networksOf(record)
          .some(({ id, name }) => values.some((value) => name === value || id.startsWith(value)));
    case "expose":
      return compileExposed(values);
    case "publish":
      return compilePublished(values, context);
    case "is-task":
      return compileBoolean(key, values, false);
    case "isolation":
      return () => true; // of Windows; dockerd on Linux lists all
    default:
      throw badKey(key);
  }
}

/** A name filter is a regular expression of the client's; one that does not compile matches
 * nothing. */
function compileNames(values: readonly string[]): Check {
  const patterns = values.map((value) => {
    try {
      return new RegExp(value);
    } catch {
      return { test: () => false };
    }
  });
  return (record) =>
    patterns.some((pattern) => pattern.test(`/${record.name}`) || pattern.test(record.name));
}

function hasLabel(record: ContainerRecord, text: string): boolean {
  const labels = record.config.Labels ?? {};
  const equals = text.indexOf("=");
  if (equals === -1) return Object.hasOwn(labels, text);
  return labels[text.slice(0, equals)] === text.slice(equals + 1);
}

function compileWords(
  key: string,
  values: readonly string[],
  known: readonly string[],
  wordOf: (record: ContainerRecord) => string,
): Check {
  const bad = values.find((value) => !known.includes(value));
  if (bad !== undefined) throw badValue(key, bad);
  return (record) => values.includes(wordOf(record));
}

function compileExited(values: readonly string[]): Check {
  const codes = values.map((value) => {
    if (!/^-?\d{1,9}$/.test(value)) throw badValue("exited", value);
    return Number(value);
  });
  return (record) => {
    const exit = record.state.kind === "exited" ? lastExit(record.state) : undefined;
    return exit !== undefined && codes.includes(exit.exitCode);
  };
}

function compileOrder(
  key: "before" | "since",
  values: readonly string[],
  context: FilterContext,
): Check {
  const bounds = values.map((value) => BigInt(context.find(value).createdAtNs));
  return (record) => {
    const createdAtNs = BigInt(record.createdAtNs);
    return bounds.every((bound) => (key === "before" ? createdAtNs < bound : createdAtNs > bound));
  };
}

function compileAncestor(values: readonly string[], context: FilterContext): Check {
  const ids = values.flatMap((value) => context.imageId(value) ?? []);
  return (record) => ids.includes(record.imageId) || values.includes(record.config.Image);
}

function usesVolume(record: ContainerRecord, value: string): boolean {
  return record.mounts.some(
    (one) => one.volumeName === value || one.destination === value || one.source === value,
  );
}

function compileExposed(values: readonly string[]): Check {
  const wanted = values.flatMap((value) => parsePorts("expose", value));
  return (record) => {
    const exposed = Object.keys(record.config.ExposedPorts ?? {}).flatMap((port) =>
      parsePorts("expose", port),
    );
    return exposed.some((port) => wanted.includes(port));
  };
}

/** By the container's port or the host's, as Docker. */
function compilePublished(values: readonly string[], context: FilterContext): Check {
  const wanted = new Set(values.flatMap((value) => parsePorts("publish", value)));
  return (record) =>
    context
      .publishedBy(record)
      .some(
        ({ containerPort, hostPort, protocol }) =>
          wanted.has(`${containerPort}/${protocol}`) || wanted.has(`${hostPort}/${protocol}`),
      );
}

/** `80`, `80/udp`, `80-90/tcp` as `port/protocol`. */
function parsePorts(key: string, text: string): string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || last > 65535 || last < first) throw badValue(key, text);
  const protocol = match[3] ?? "tcp";
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

function compileBoolean(key: string, values: readonly string[], actual: boolean): Check {
  const wanted = values.map((value) => {
    if (["1", "true"].includes(value)) return true;
    if (["0", "false"].includes(value)) return false;
    throw badValue(key, value);
  });
  return () => wanted.includes(actual);
}

/** Which stopped containers a prune takes. `until` is an instant, or a length of time ago. */
export function compilePruneFilters(filters: Filters, nowNs: bigint): Check {
  for (const key of filters.keys()) if (!PRUNE_KEYS.has(key)) throw badKey(key);
  const untils = (filters.get("until") ?? []).map((text) => parseUntil(text, nowNs));
  const labels = filters.get("label") ?? [];
  const without = filters.get("label!") ?? [];
  return (record) =>
    untils.every((untilNs) => BigInt(record.createdAtNs) < untilNs) &&
    labels.every((label) => hasLabel(record, label)) &&
    !without.some((label) => hasLabel(record, label));
}

function parseUntil(text: string, nowNs: bigint): bigint {
  try {
    return parseInstantOrAge(text, nowNs);
  } catch (cause) {
    throw new NaruError("invalid_argument", `invalid filter 'until=${text}'`, {}, { cause });
  }
}
