import { randomBytes } from "node:crypto";

/** 64 lower-case hexadecimal digits: containers, execs, networks. */
export type Id = string & { readonly __brand: "Id" };

const SHORT_ID_LENGTH = 12; // what every client prints and types

/** A random identifier. Never all digits in its short form: a host name of digits confuses tools. */
export function newId(): Id {
  for (;;) {
    const id = randomBytes(32).toString("hex");
    if (!/^\d+$/.test(id.slice(0, SHORT_ID_LENGTH))) return id as Id;
  }
}

export function isId(text: string): text is Id {
  return /^[0-9a-f]{64}$/.test(text);
}

export function shortId(id: string): string {
  return id.slice(0, SHORT_ID_LENGTH);
}
