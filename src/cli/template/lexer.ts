import { TemplateError } from "./template-error.ts";

export type Token =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "open" }
  | { readonly kind: "close" }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "field"; readonly names: readonly string[] }
  | { readonly kind: "variable"; readonly name: string; readonly fields: readonly string[] }
  | { readonly kind: "word"; readonly text: string }
  | { readonly kind: "mark"; readonly text: "|" | "(" | ")" | "," | ":=" | "=" };

const STRING = /^"(?:[^"\\\n]|\\.)*"|^`[^`]*`/;
const CHARACTER = /^'(?:[^'\\\n]|\\.)'/;
const NUMBER = /^[+-]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?)/;
const FIELD = /^(?:\.[\p{L}_][\p{L}\p{N}_]*)+/u;
const VARIABLE = /^\$([\p{L}\p{N}_]*)((?:\.[\p{L}_][\p{L}\p{N}_]*)*)/u;
const WORD = /^[\p{L}_][\p{L}\p{N}_]*/u;
const MARK = /^(?::=|[|(),=])/;

/** Splits a Go template into text and the tokens of its actions; `{{-` and `-}}` trim. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  while (at < source.length) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open < 0 ? undefined : open);
    if (trimNext) text = text.trimStart();
    if (open < 0) {
      if (text !== "") tokens.push({ kind: "text", text });
      break;
    }
    let inner = open + 2;
    if (/^-\s/.test(source.slice(inner, inner + 2))) {
      text = text.trimEnd();
      inner += 1;
    }
    if (text !== "") tokens.push({ kind: "text", text });
    const end = takeAction(source, inner, tokens);
    trimNext = end.trim;
    at = end.at;
  }
  return tokens;
}

function takeAction(source: string, start: number, tokens: Token[]): { at: number; trim: boolean } {
  const comment = /^\s*\/\*[\s\S]*?\*\/\s*(-)?\}\}/.exec(source.slice(start));
  if (comment !== null) {
    return { at: start + comment[0].length, trim: comment[1] !== undefined };
  }
  tokens.push({ kind: "open" });
  let rest = source.slice(start);
  for (;;) {
    const space = /^\s*/.exec(rest)?.[0] ?? "";
    rest = rest.slice(space.length);
    const close = space !== "" && rest.startsWith("-}}") ? 3 : rest.startsWith("}}") ? 2 : 0;
    if (close > 0) {
      tokens.push({ kind: "close" });
      return { at: source.length - rest.length + close, trim: close === 3 };
    }
    if (rest === "") throw new TemplateError("unclosed action");
    const [token, length] = nextToken(rest);
    tokens.push(token);
    rest = rest.slice(length);
  }
}

function nextToken(rest: string): [Token, number] {
  const string = STRING.exec(rest)?.[0];
  if (string !== undefined) return [{ kind: "string", text: unquote(string) }, string.length];
  const character = CHARACTER.exec(rest)?.[0];
  if (character !== undefined) {
    const text = unquote(`"${character.slice(1, -1).replace('"', '\\"')}"`);
    return [{ kind: "number", value: text.codePointAt(0) ?? 0 }, character.length];
  }
  const number = NUMBER.exec(rest)?.[0];
  if (number !== undefined) return [{ kind: "number", value: Number(number) }, number.length];
  const field = FIELD.exec(rest)?.[0];
  if (field !== undefined) {
    return [{ kind: "field", names: field.slice(1).split(".") }, field.length];
  }
  if (rest.startsWith(".")) return [{ kind: "field", names: [] }, 1];
  const variable = VARIABLE.exec(rest);
  if (variable !== null) {
    const fields = (variable[2] ?? "").split(".").filter((name) => name !== "");
    return [{ kind: "variable", name: variable[1] ?? "", fields }, variable[0].length];
  }
  const word = WORD.exec(rest)?.[0];
  if (word !== undefined) return [{ kind: "word", text: word }, word.length];
  const mark = MARK.exec(rest)?.[0];
  if (mark !== undefined) {
    return [{ kind: "mark", text: mark as "|" | "(" | ")" | "," | ":=" | "=" }, mark.length];
  }
  throw new TemplateError(`unexpected "${rest.slice(0, 1)}" in action`);
}

function unquote(quoted: string): string {
  if (quoted.startsWith("`")) return quoted.slice(1, -1);
  const escapes: Record<string, string> = {
    n: "\n",
    t: "\t",
    r: "\r",
    "\\": "\\",
    '"': '"',
    "'": "'",
  };
  return quoted
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/g, (whole, hex, unicode, char) => {
      const code = (hex ?? unicode) as string | undefined;
      if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
      const known = escapes[char as string];
      if (known === undefined) throw new TemplateError(`unknown escape ${whole as string}`);
      return known;
    });
}
