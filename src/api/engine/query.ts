import { NaruError, parseInstant } from "../../base/mod.ts";

/** The query of a request, by Docker's rules for booleans and numbers. The first of equal names counts. */
export class Query {
  readonly #values: URLSearchParams;

  constructor(text: string) {
    this.#values = new URLSearchParams(text);
  }

  text(name: string): string {
    return this.#values.get(name) ?? "";
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  all(name: string): readonly string[] {
    return this.#values.getAll(name);
  }

  /** Everything but "", 0, no, false and none is true. @see moby httputils/form.go */
  flag(name: string): boolean {
    const value = this.text(name).trim().toLowerCase();
    return !(
      value === "" ||
      value === "0" ||
      value === "no" ||
      value === "false" ||
      value === "none"
    );
  }

  /** As flag, with a default for an absent name. */
  flagOr(name: string, absent: boolean): boolean {
    return this.has(name) ? this.flag(name) : absent;
  }

  /** A whole number, or undefined when absent or empty. Throws invalid_argument in Go's words. */
  whole(name: string): number | undefined {
    return this.text(name) === "" ? undefined : this.wholeRequired(name);
  }

  wholeRequired(name: string): number {
    const value = this.text(name);
    const number = /^[+-]?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (Number.isSafeInteger(number)) return number;
    const reason = Number.isNaN(number) ? "invalid syntax" : "value out of range";
    throw new NaruError("invalid_argument", `strconv.Atoi: parsing ${quoted(value)}: ${reason}`);
  }

  /** since, until: nanoseconds, or undefined when absent, empty or 0 (Docker: no bound). */
  instant(name: string): bigint | undefined {
    const value = this.text(name);
    if (value === "" || value === "0") return undefined;
    return parseInstant(value);
  }
}

function quoted(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
}
