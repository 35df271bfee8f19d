import { NaruError } from "../base/mod.ts";
import type { EventMessage } from "../spec/mod.ts";
import type { EventFilters } from "./contract.ts";

/** The keys of `GET /events?filters`. @see reference engine-api SystemEvents */
const FILTER_KEYS: ReadonlySet<string> = new Set([
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "type",
  "volume",
]);

/** Actions that carry a command or a state after a colon; their bare name means all of them. */
const ACTIONS_WITH_DETAIL: ReadonlySet<string> = new Set([
  "health_status",
  "exec_create",
  "exec_start",
]);

/** Object types whose filter matches a prefix of the actor's id or name. */
const ACTOR_KEYS: readonly string[] = [
  "container",
  "daemon",
  "network",
  "plugin",
  "volume",
  "node",
  "service",
  "secret",
  "config",
];

/** Throws invalid_argument in Docker's words for a key that events do not have. */
export function checkEventFilters(filters: EventFilters): void {
  for (const key of filters.keys()) {
    if (!FILTER_KEYS.has(key)) throw new NaruError("invalid_argument", `invalid filter '${key}'`);
  }
}

/** Does the event pass every key? Values of one key are alternatives, labels must all match. */
export function matchesEvent(event: EventMessage, filters: EventFilters): boolean {
  if (filters.size === 0) return true;
  return (
    matchesAction(event.Action, filters.get("event")) &&
    isOneOf(event.Type, filters.get("type")) &&
    isOneOf(event.scope, filters.get("scope")) &&
    ACTOR_KEYS.every((key) => matchesActor(event, filters.get(key))) &&
    matchesImage(event, filters.get("image")) &&
    matchesLabels(event.Actor.Attributes, filters.get("label"))
  );
}

function isOneOf(text: string, wanted: readonly string[] | undefined): boolean {
  return wanted === undefined || wanted.length === 0 || wanted.includes(text);
}

function startsWithOneOf(text: string, wanted: readonly string[] | undefined): boolean {
  return (
    wanted === undefined || wanted.length === 0 || wanted.some((value) => text.startsWith(value))
  );
}

function matchesAction(action: string, wanted: readonly string[] | undefined): boolean {
  const loose = wanted?.some((value) => ACTIONS_WITH_DETAIL.has(value)) ?? false;
  return loose ? startsWithOneOf(action, wanted) : isOneOf(action, wanted);
}

function matchesActor(event: EventMessage, wanted: readonly string[] | undefined): boolean {
  if (wanted === undefined || wanted.length === 0) return true;
  const name = event.Actor.Attributes["name"] ?? "";
  return startsWithOneOf(event.Actor.ID, wanted) || startsWithOneOf(name, wanted);
}

function matchesImage(event: EventMessage, wanted: readonly string[] | undefined): boolean {
  if (wanted === undefined || wanted.length === 0) return true;
  const id = event.Actor.ID;
  const name = event.Actor.Attributes[event.Type === "image" ? "name" : "image"] ?? "";
  return [id, name, withoutTag(id), withoutTag(name)].some((text) => wanted.includes(text));
}

function withoutTag(reference: string): string {
  const untagged = reference.split("@")[0] ?? "";
  const colon = untagged.lastIndexOf(":");
  return colon > untagged.lastIndexOf("/") ? untagged.slice(0, colon) : untagged;
}

function matchesLabels(
  attributes: Readonly<Record<string, string>>,
  wanted: readonly string[] | undefined,
): boolean {
  return (wanted ?? []).every((label) => {
    const equals = label.indexOf("=");
    if (equals === -1) return Object.hasOwn(attributes, label);
    return attributes[label.slice(0, equals)] === label.slice(equals + 1);
  });
}
