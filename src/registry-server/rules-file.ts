import { readFileSync } from "node:fs";
import { errorMessage, NaruError, parseSizeBytes } from "../base/mod.ts";
import type { Action } from "./access.ts";
import type { Retention, Rules } from "./rules.ts";

const FILE_BYTES_MAX = 4 * 1024 * 1024;
const RULE_KEYS = ["match", "read", "write", "delete", "immutable-tags", "quota", "retention"];
const RETENTION_KEYS = ["keep-last", "keep-days", "keep-tags", "untagged-days"];

interface Rule {
  readonly match: RegExp;
  readonly who: Readonly<Record<Action, readonly string[] | undefined>>;
  readonly immutable: readonly RegExp[];
  readonly quotaBytes: number;
  readonly retention: Retention | undefined;
}

/** The rules of a YAML or JSON file. The first rule that matches a repository is its rule. */
export class FileRules implements Rules {
  readonly #groups: ReadonlyMap<string, readonly string[]>;
  readonly #rules: readonly Rule[];

  /** Throws invalid_argument naming the place in the file. */
  constructor(path: string) {
    const document = objectOf(readDocument(path), path, ["groups", "repositories"]);
    const groups = document["groups"] ?? {};
    this.#groups = new Map(
      Object.entries(objectOf(groups, `${path}: groups`)).map(([name, users]) => [
        name,
        textsOf(users, `${path}: groups.${name}`),
      ]),
    );
    const rules = document["repositories"] ?? [];
    if (!Array.isArray(rules)) throw wrong(`${path}: repositories is not a list`);
    this.#rules = rules.map((rule, index) => this.#rule(rule, `${path}: repositories[${index}]`));
  }

  #rule(value: unknown, what: string): Rule {
    const fields = objectOf(value, what, RULE_KEYS);
    const match = fields["match"];
    if (typeof match !== "string" || match === "") throw wrong(`${what}: match is not a pattern`);
    const who = (key: Action): readonly string[] | undefined => {
      if (fields[key] === undefined) return undefined;
      const names = textsOf(fields[key], `${what}.${key}`);
      for (const name of names) {
        if (!name.startsWith("@") || this.#groups.has(name.slice(1))) continue;
        throw wrong(`${what}.${key}: there is no group ${name.slice(1)}`);
      }
      return names;
    };
    const tags = fields["immutable-tags"] ?? [];
    return {
      match: globOf(match),
      who: { read: who("read"), write: who("write"), delete: who("delete") },
      immutable: textsOf(tags, `${what}.immutable-tags`).map(globOf),
      quotaBytes: quotaOf(fields["quota"], what),
      retention: retentionOf(fields["retention"], what),
    };
  }

  #of(repository: string): Rule | undefined {
    return this.#rules.find(({ match }) => match.test(repository));
  }

  /** True when some rule says who may do something: then there must be users. */
  get namesUsers(): boolean {
    return this.#rules.some(({ who }) => Object.values(who).some((names) => names !== undefined));
  }

  allows(user: string, action: Action, repository: string): boolean {
    const names = this.#of(repository)?.who[action] ?? [];
    return names.some((name) => {
      if (name === "anonymous") return true;
      if (user === "") return false;
      if (name === "*") return true;
      if (name.startsWith("@")) return this.#groups.get(name.slice(1))?.includes(user) === true;
      return name === user;
    });
  }

  quotaBytes(repository: string): number {
    return this.#of(repository)?.quotaBytes ?? Number.POSITIVE_INFINITY;
  }

  isImmutable(repository: string, tag: string): boolean {
    return this.#of(repository)?.immutable.some((pattern) => pattern.test(tag)) === true;
  }

  retention(repository: string): Retention | undefined {
    return this.#of(repository)?.retention;
  }
}

function readDocument(path: string): unknown {
  try {
    const text = readFileSync(path, "utf8");
    if (text.length > FILE_BYTES_MAX) throw new Error("it is larger than 4 MiB");
    return Bun.YAML.parse(text); // JSON is YAML
  } catch (error) {
    throw new NaruError(
      "invalid_argument",
      `${path}: ${errorMessage(error)}`,
      {},
      { cause: error },
    );
  }
}

function quotaOf(value: unknown, what: string): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  const bytes =
    typeof value === "number" || typeof value === "string" ? parseSizeBytes(`${value}`) : undefined;
  if (bytes === undefined) throw wrong(`${what}.quota is not a size such as 10GiB`);
  return bytes;
}

function retentionOf(value: unknown, what: string): Retention | undefined {
  if (value === undefined) return undefined;
  const fields = objectOf(value, `${what}.retention`, RETENTION_KEYS);
  const count = (key: string): number | undefined => {
    const number = fields[key];
    if (number === undefined) return undefined;
    if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number;
    throw wrong(`${what}.retention.${key} is not a whole number`);
  };
  return {
    keepLast: count("keep-last"),
    keepDays: count("keep-days"),
    keepTags: textsOf(fields["keep-tags"] ?? [], `${what}.retention.keep-tags`).map(globOf),
    untaggedDays: count("untagged-days"),
  };
}

function objectOf(
  value: unknown,
  what: string,
  keys?: readonly string[],
): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(`${what} is not a map`);
  }
  const strange = Object.keys(value).find((key) => keys?.includes(key) === false);
  if (strange !== undefined) throw wrong(`${what}: unknown key ${strange}`);
  return value as Readonly<Record<string, unknown>>;
}

function textsOf(value: unknown, what: string): readonly string[] {
  const isList = Array.isArray(value) && value.every((one) => typeof one === "string");
  if (!isList) throw wrong(`${what} is not a list of names`);
  return value;
}

/** `*` and `?` stay within a part of a name, `**` does not. */
function globOf(pattern: string): RegExp {
  const source = pattern.replace(/\*\*|[*?]|[^*?]+/g, (piece) => {
    if (piece === "**") return ".*";
    if (piece === "*") return "[^/]*";
    if (piece === "?") return "[^/]";
    return piece.replace(/[.+^${}()|[\]\\/]/g, "\\$&");
  });
  return new RegExp(`^${source}$`);
}

function wrong(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
