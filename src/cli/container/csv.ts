import { NaruError } from "../../base/mod.ts";

/** `a,"b,c",d` as `a`, `b,c`, `d`: one line of CSV, as --mount, --gpus and --network take it. */
export function splitCsv(line: string): string[] {
  const fields: string[] = [];
  let field = "";
  let quoted = false;
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at] ?? "";
    if (quoted && char === '"' && line[at + 1] === '"') {
      field += '"';
      at += 1;
    } else if (char === '"' && (quoted || field === "")) quoted = !quoted;
    else if (char === "," && !quoted) {
      fields.push(field);
      field = "";
    } else field += char;
  }
  if (quoted) throw new NaruError("invalid_argument", `a quote is not closed in '${line}'`);
  fields.push(field);
  return fields;
}

/** `key=value` in two; the value is undefined without `=`. Keys in lower case. */
export function splitPair(field: string): { key: string; value: string | undefined } {
  const equals = field.indexOf("=");
  if (equals < 0) return { key: field.trim().toLowerCase(), value: undefined };
  return { key: field.slice(0, equals).trim().toLowerCase(), value: field.slice(equals + 1) };
}

/** `a=b` pairs as an object; a word alone gives "". */
export function pairsObject(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
