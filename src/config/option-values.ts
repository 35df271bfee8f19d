import { NaruError } from "../base/mod.ts";

/** Typed reading of merged values; the flag parser and the file reader have checked the types. */
export class Values {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  text(key: string, fallback = ""): string {
    const value = this.#values.get(key);
    return typeof value === "string" ? value : fallback;
  }

  flag(key: string, fallback = false): boolean {
    const value = this.#values.get(key);
    return typeof value === "boolean" ? value : fallback;
  }

  whole(key: string, fallback: number, range: { min: number; max: number }): number {
    const value = this.#values.get(key);
    if (typeof value !== "number") return fallback;
    if (value < range.min || value > range.max) {
      throw new NaruError(
        "invalid_argument",
        `${key}: want ${range.min} to ${range.max}, got ${value}`,
      );
    }
    return value;
  }

  items(key: string): readonly unknown[] {
    const value = this.#values.get(key);
    return Array.isArray(value) ? (value as unknown[]) : [];
  }

  list(key: string): string[] {
    const value = this.#values.get(key);
    return Array.isArray(value) ? value.map(String) : [];
  }

  oneOf<T extends string>(key: string, words: readonly T[], fallback: T): T {
    const text = this.text(key);
    if (text === "") return fallback;
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) {
      throw new NaruError(
        "invalid_argument",
        `${key}: want ${words.filter(Boolean).join(", ")}; got "${text}"`,
      );
    }
    return word;
  }

  /** Entries of `key=value` flags or of an object. */
  entries(key: string): [string, unknown][] {
    const value = this.#values.get(key);
    if (Array.isArray(value)) return value.map((item) => splitPair(key, String(item)));
    return typeof value === "object" && value !== null ? Object.entries(value) : [];
  }
}

export function splitPair(key: string, text: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals <= 0)
    throw new NaruError("invalid_argument", `${key}: want name=value, got "${text}"`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
