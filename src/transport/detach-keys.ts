import { NaruError } from "../base/mod.ts";

/** What leaves a terminal when nobody says otherwise: ctrl-p, ctrl-q. */
export const DEFAULT_DETACH_KEYS: string = "ctrl-p,ctrl-q";

const DETACH_KEYS_MAX = 64; // longer than a person types; bounds what is held back

const CONTROL: Readonly<Record<string, number>> = {
  "@": 0,
  "[": 27,
  "\\": 28,
  "]": 29,
  "^": 30,
  _: 31,
};

/**
 * The bytes of `ctrl-p,ctrl-q`, `a`, `ctrl-@,x`: a comma-separated list of one character or
 * `ctrl-` and one of a-z @ [ \ ] ^ _. Throws invalid_argument in Docker's words.
 */
export function parseDetachKeys(text: string): Uint8Array {
  const refuse = (): never => {
    throw new NaruError("invalid_argument", `Invalid detach keys (${text.slice(0, 100)}) provided`);
  };
  const names = text.split(",");
  if (names.length > DETACH_KEYS_MAX) refuse();
  return Uint8Array.from(names, (name) => {
    if (name.length === 1 && name.charCodeAt(0) < 0x80) return name.charCodeAt(0);
    const key = /^ctrl-([a-zA-Z@[\\\]^_])$/.exec(name)?.[1]?.toLowerCase();
    if (key === undefined) return refuse();
    return CONTROL[key] ?? key.charCodeAt(0) - 96; // ctrl-a is 1
  });
}

/** Watches typed bytes for the sequence, which may come in pieces or turn out a false start. */
export class DetachMatcher {
  readonly #keys: Uint8Array;
  #matched = 0;

  /** An empty `keys` never matches. */
  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** What is to be passed on, and whether the sequence is complete (what follows it is dropped). */
  push(bytes: Uint8Array): { readonly passed: Uint8Array; readonly detached: boolean } {
    if (this.#keys.length === 0) return { passed: bytes, detached: false };
    const passed: number[] = [];
    for (const byte of bytes) {
      let held = [...this.#keys.subarray(0, this.#matched), byte];
      while (held.length > 0 && !this.#startsSequence(held)) {
        passed.push(held[0] ?? 0);
        held = held.slice(1);
      }
      this.#matched = held.length;
      if (this.#matched === this.#keys.length) {
        this.#matched = 0;
        return { passed: Uint8Array.from(passed), detached: true };
      }
    }
    return { passed: Uint8Array.from(passed), detached: false };
  }

  /** What is held back as a possible start, for when input ends. */
  flush(): Uint8Array {
    const held = this.#keys.slice(0, this.#matched);
    this.#matched = 0;
    return held;
  }

  #startsSequence(held: readonly number[]): boolean {
    return held.every((byte, index) => byte === this.#keys[index]);
  }
}
