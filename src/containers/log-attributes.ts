import { NaruError } from "../base/mod.ts";

export type LogOptions = Readonly<Record<string, string>>;

/**
 * The labels and environment variables that `labels`, `labels-regex`, `env` and `env-regex` choose.
 * Throws invalid_argument for what is no regular expression.
 */
export function chosenAttributes(
  options: LogOptions,
  labels: Readonly<Record<string, string>>,
  env: readonly string[],
): Record<string, string> {
  const variables = Object.fromEntries(
    env.map((entry) => {
      const equals = entry.indexOf("=");
      return equals === -1 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
  return {
    ...choose(labels, options["labels"], options["labels-regex"]),
    ...choose(variables, options["env"], options["env-regex"]),
  };
}

function choose(
  values: Readonly<Record<string, string>>,
  names: string | undefined,
  pattern: string | undefined,
): Record<string, string> {
  const wanted = new Set((names ?? "").split(",").filter((name) => name !== ""));
  const regex = pattern === undefined || pattern === "" ? undefined : parseRegex(pattern);
  return Object.fromEntries(
    Object.entries(values).filter(([name]) => wanted.has(name) || regex?.test(name) === true),
  );
}

/** Go's syntax is close to JavaScript's; its leading `(?i)` is the flag here. */
export function parseRegex(pattern: string): RegExp {
  const insensitive = pattern.startsWith("(?i)");
  try {
    return new RegExp(insensitive ? pattern.slice(4) : pattern, insensitive ? "i" : "");
  } catch (error) {
    throw new NaruError(
      "invalid_argument",
      `error parsing regexp: ${pattern}`,
      { field: "LogConfig" },
      { cause: error },
    );
  }
}

/** `a=b,c=d ` before a line, sorted, each part as Go's QueryEscape has it; "" for none. */
export function attributePrefix(attributes: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(attributes)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${queryEscape(name)}=${queryEscape(value)}`);
  return pairs.length === 0 ? "" : `${pairs.join(",")} `;
}

function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}
