import { NaruError } from "../base/mod.ts";

/**
 * From unknown JSON to wire types, by the rules of Go's decoder that clients depend on: names
 * match without regard to case, unknown fields are ignored, null and absent are the zero value, the
 * last of two equal names wins. A wrong type throws invalid_argument naming the path. Every decoder
 * gives the zero value for null and undefined.
 */
export type Decoder<T> = (value: unknown, path: string) => T;

export const JSON_DEPTH_MAX: number = 100; // the deepest wire type has 7 levels; keeps the stack safe
const LIST_MAX = 100_000; // no list or map of a request is near it
const SHOWN_MAX = 60; // characters of a wrong value in a message

/** Parses `text`. Throws invalid_argument for what is not one JSON value of bearable depth. */
export function parseJson(text: string): unknown {
  if (text.trim() === "") throw invalid("got EOF while reading request body");
  checkDepth(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^JSON Parse error: /, "") : "";
    throw new NaruError(
      "invalid_argument",
      `invalid JSON: ${reason.slice(0, 200)}`,
      {},
      { cause: error },
    );
  }
}

function checkDepth(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 92) at += 1;
      else if (code === 34) quoted = false;
    } else if (code === 34) quoted = true;
    else if (code === 91 || code === 123) {
      depth += 1;
      if (depth > JSON_DEPTH_MAX)
        throw invalid(`invalid JSON: nested deeper than ${JSON_DEPTH_MAX}`);
    } else if (code === 93 || code === 125) depth -= 1;
  }
}

export const text: Decoder<string> = (value, path) => {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") throw wrong(path, "a string", value);
  return value;
};

export const flag: Decoder<boolean> = (value, path) => {
  if (value === null || value === undefined) return false;
  if (typeof value !== "boolean") throw wrong(path, "true or false", value);
  return value;
};

/**
 * A whole number. int64 fields take what a JSON number of this runtime holds exactly, which is
 * 2^53 - 1 either way: more is refused rather than rounded.
 */
export function whole(
  min: number = Number.MIN_SAFE_INTEGER,
  max: number = Number.MAX_SAFE_INTEGER,
): Decoder<number> {
  return (value, path) => {
    if (value === null || value === undefined) return 0;
    if (typeof value !== "number" || !Number.isInteger(value))
      throw wrong(path, "a whole number", value);
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw wrong(path, `a whole number from ${min} to ${max}`, value);
    }
    return value === 0 ? 0 : value; // -0 as 0
  };
}

export const int64: Decoder<number> = whole();

/** A slice: null stays null. */
export function list<T>(element: Decoder<T>): Decoder<T[] | null> {
  return (value, path) => {
    if (value === null || value === undefined) return null;
    if (!Array.isArray(value)) throw wrong(path, "a list", value);
    if (value.length > LIST_MAX) throw invalid(`${path}: more than ${LIST_MAX} elements`);
    return value.map((one, index) => element(one, `${path}[${index}]`));
  };
}

/** Docker's StrSlice: a list of strings, or one string meaning a list of one. */
export const textOrList: Decoder<string[] | null> = (value, path) =>
  typeof value === "string" ? [value] : list(text)(value, path);

/** A map: null stays null. Its object has no prototype, so that no key is special. */
export function map<T>(
  element: Decoder<T>,
  checkKey?: (key: string, path: string) => void,
): Decoder<Record<string, T> | null> {
  return (value, path) => {
    if (value === null || value === undefined) return null;
    if (!isObject(value)) throw wrong(path, "an object", value);
    const keys = Object.keys(value);
    if (keys.length > LIST_MAX) throw invalid(`${path}: more than ${LIST_MAX} members`);
    const out: Record<string, T> = Object.create(null);
    for (const key of keys) {
      checkKey?.(key, path);
      out[key] = element(value[key], `${path}.${key.slice(0, SHOWN_MAX)}`);
    }
    return out;
  };
}

/** A pointer: null and absent stay null. */
export function pointer<T>(decoder: Decoder<T>): Decoder<T | null> {
  return (value, path) => (value === null || value === undefined ? null : decoder(value, path));
}

/** How one field is decoded. `omit`: leave it out of the result when this says so. */
export interface Field<T> {
  readonly decode: Decoder<T>;
  readonly omit: "never" | "null" | "zero";
}

/** Always present in the result. */
export function field<T>(decode: Decoder<T>): Field<T> {
  return { decode, omit: "never" };
}

/** Left out of the result when null or absent (a Go pointer with omitempty). */
export function optional<T>(decode: Decoder<T>): Field<T> {
  return { decode, omit: "null" };
}

/** Left out of the result when zero or empty (Go's omitempty on a value). */
export function omitEmpty<T>(decode: Decoder<T>): Field<T> {
  return { decode, omit: "zero" };
}

/** The fields of a wire type: every key of T, so that a new one does not compile until decoded. */
export type Fields<T> = { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

/** A struct: full shape out, zero values filled in. null gives all zeros. */
export function object<T extends object>(fields: Fields<T>): Decoder<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const byFoldedName = new Map(names.map((name) => [name.toLowerCase(), name] as const));
  return (value, path) => {
    const given: Record<string, unknown> = Object.create(null);
    if (value !== null && value !== undefined) {
      if (!isObject(value)) throw wrong(path, "an object", value);
      for (const key of Object.keys(value)) {
        const name = byFoldedName.get(key.toLowerCase());
        if (name !== undefined) given[name] = value[key];
      }
    }
    const out: Partial<T> = {};
    for (const name of names) {
      const one: Field<unknown> = fields[name];
      const raw = given[name];
      if (one.omit === "null" && (raw === null || raw === undefined)) continue;
      const decoded = one.decode(raw, path === "" ? name : `${path}.${name}`);
      if (one.omit === "zero" && isEmpty(decoded)) continue;
      out[name] = decoded as T[typeof name];
    }
    return out as T;
  };
}

/** True when `value` has a member that `decoder`'s fields name; for "is there anything at all". */
export function hasAnyField(value: unknown, names: readonly string[]): boolean {
  if (!isObject(value)) return false;
  const folded = new Set(names.map((name) => name.toLowerCase()));
  return Object.keys(value).some((key) => folded.has(key.toLowerCase()));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isObject(value)) return Object.keys(value).length === 0;
  return value === null || value === "" || value === 0 || value === false;
}

function wrong(path: string, want: string, got: unknown): NaruError {
  const shown = JSON.stringify(got) ?? String(got);
  const short = shown.length > SHOWN_MAX ? `${shown.slice(0, SHOWN_MAX)}…` : shown;
  return invalid(`${path === "" ? "request body" : path}: want ${want}, got ${short}`);
}

function invalid(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
