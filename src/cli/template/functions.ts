import { printed, sprintf } from "./printf.ts";
import { TemplateError } from "./template-error.ts";

export type TemplateFunction = (...args: readonly unknown[]) => unknown;

/** False, 0, "", nothing, and what is empty. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function text(value: unknown): string {
  return printed(value);
}

function compare(a: unknown, b: unknown): number {
  if (typeof a !== typeof b) throw new TemplateError("incompatible types for comparison");
  const [x, y] = [a as number | string, b as number | string];
  return x < y ? -1 : x > y ? 1 : 0;
}

function equal(a: unknown, b: unknown): boolean {
  return a === b || (isNothing(a) && isNothing(b));
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null;
}

/** Go's encoding/json, which escapes what HTML would read as markup. */
function json(value: unknown): string {
  const plain = JSON.stringify(value, wholeNumber) ?? "null";
  return plain.replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

// Not in the compiler's library yet.
const exact = JSON as unknown as { rawJSON(text: string): unknown };

function wholeNumber(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? exact.rawJSON(value.toString()) : value;
}

function index(value: unknown, keys: readonly unknown[]): unknown {
  return keys.reduce((found: unknown, key) => {
    if (Array.isArray(found)) {
      if (typeof key !== "number" || key < 0 || key >= found.length) {
        throw new TemplateError(`error calling index: index out of range: ${text(key)}`);
      }
      return found[key];
    }
    if (typeof found === "string") return found.charCodeAt(Number(key));
    if (typeof found !== "object" || found === null) {
      throw new TemplateError(`error calling index: index of untyped nil`);
    }
    const name = text(key);
    return Object.hasOwn(found, name) ? (found as Record<string, unknown>)[name] : "";
  }, value);
}

function slice(value: unknown, from: unknown, to: unknown): unknown {
  const start = isNothing(from) ? 0 : Number(from);
  const end = isNothing(to) ? undefined : Number(to);
  const length = typeof value === "string" || Array.isArray(value) ? value.length : 0;
  if (start > length || (end ?? 0) > length) {
    throw new TemplateError(`error calling slice: index out of range: ${end ?? start}`);
  }
  return (value as string | unknown[]).slice(start, end);
}

function len(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (typeof value === "object" && value !== null) return Object.keys(value).length;
  throw new TemplateError("error calling len: nil pointer");
}

function truncate(value: unknown, length: unknown): string {
  return Buffer.from(text(value)).subarray(0, Number(length)).toString(); // bytes, as docker
}

/** Go's own functions and those that docker adds. `and` and `or` are the evaluator's. */
export const TEMPLATE_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  json,
  join: (list, separator) => (Array.isArray(list) ? list : []).map(text).join(text(separator)),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  title: (value) => text(value).replace(/\b\p{L}/gu, (char) => char.toUpperCase()),
  split: (value, separator) => text(value).split(text(separator)),
  pad: (value, before, after) => {
    const inner = text(value);
    return inner === "" ? "" : `${" ".repeat(Number(before))}${inner}${" ".repeat(Number(after))}`;
  },
  truncate,
  println: (...args) => `${args.map(text).join(" ")}\n`,
  print: (...args) => args.map(text).join(""),
  printf: (format, ...args) => sprintf(text(format), args),
  len,
  index: (value, ...keys) => index(value, keys),
  slice,
  not: (value) => !isTrue(value),
  eq: (first, ...others) => others.some((other) => equal(first, other)),
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  html: (value) => text(value).replace(/[<>&'"]/g, (char) => `&#${char.charCodeAt(0)};`),
  js: (value) => JSON.stringify(text(value)).slice(1, -1),
  urlquery: (value) => encodeURIComponent(text(value)).replaceAll("%20", "+"),
};
