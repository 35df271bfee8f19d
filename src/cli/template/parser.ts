import { type Token, tokenize } from "./lexer.ts";
import { TemplateError } from "./template-error.ts";

export type Operand =
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "field"; readonly names: readonly string[] }
  | { readonly kind: "variable"; readonly name: string; readonly fields: readonly string[] }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "pipe"; readonly pipe: Pipe; readonly fields: readonly string[] };

/** A function or field and its arguments. */
export type Call = readonly Operand[];

export interface Pipe {
  /** `$x := …` (declared) or `$x = …` (assigned). */
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly calls: readonly Call[];
}

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipe: Pipe }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipe: Pipe;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | { readonly kind: "break" | "continue" };

const LITERALS: Readonly<Record<string, unknown>> = { true: true, false: false, nil: null };

/** Throws TemplateError. @see Go's text/template */
export function parseTemplate(source: string): readonly Node[] {
  const parser = new Parser(tokenize(source));
  return parser.parseAll();
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parseAll(): readonly Node[] {
    const { nodes, end } = this.#nodes();
    if (end !== undefined) throw new TemplateError(`unexpected {{${end}}}`);
    return nodes;
  }

  /** Nodes until `{{end}}` or `{{else}}`, which is consumed up to its close (`else if` is not). */
  #nodes(): { nodes: Node[]; end: "end" | "else" | undefined } {
    const nodes: Node[] = [];
    for (let token = this.#next(); token !== undefined; token = this.#next()) {
      if (token.kind === "text") {
        nodes.push(token);
        continue;
      }
      const head = this.#peek();
      const word = head?.kind === "word" ? head.text : "";
      if (word === "end" || word === "else") {
        this.#at += 1;
        if (word === "end") this.#close();
        return { nodes, end: word };
      }
      nodes.push(this.#action(word));
    }
    return { nodes, end: undefined };
  }

  #action(word: string): Node {
    if (word === "if" || word === "with" || word === "range") {
      this.#at += 1;
      return this.#branch(word);
    }
    if (word === "break" || word === "continue") {
      this.#at += 1;
      this.#close();
      return { kind: word };
    }
    if (word === "define" || word === "template" || word === "block") {
      throw new TemplateError(`{{${word}}} is not supported`);
    }
    const pipe = this.#pipe();
    this.#close();
    return { kind: "print", pipe };
  }

  #branch(kind: "if" | "with" | "range"): Node {
    const pipe = this.#pipe();
    this.#close();
    const body = this.#nodes();
    if (body.end === undefined) throw new TemplateError("unexpected EOF");
    if (body.end === "end") return { kind, pipe, body: body.nodes, otherwise: [] };
    const head = this.#peek();
    if (head?.kind === "word" && (head.text === "if" || head.text === "with")) {
      this.#at += 1;
      return { kind, pipe, body: body.nodes, otherwise: [this.#branch(head.text)] };
    }
    this.#close();
    const otherwise = this.#nodes();
    if (otherwise.end !== "end") throw new TemplateError("expected {{end}}");
    return { kind, pipe, body: body.nodes, otherwise: otherwise.nodes };
  }

  #pipe(): Pipe {
    const start = this.#at;
    const variables: string[] = [];
    let declares = false;
    for (;;) {
      const token = this.#peek();
      if (token?.kind !== "variable" || token.fields.length > 0) break;
      const mark = this.#tokens[this.#at + 1];
      if (mark?.kind !== "mark") break;
      variables.push(token.name);
      this.#at += 2;
      if (mark.text === ":=" || mark.text === "=") {
        declares = mark.text === ":=";
        return { variables, declares, calls: this.#calls() };
      }
      if (mark.text !== ",") break;
    }
    this.#at = start;
    return { variables: [], declares, calls: this.#calls() };
  }

  #calls(): Call[] {
    const calls: Call[] = [this.#call()];
    while (this.#takeMark("|")) calls.push(this.#call());
    return calls;
  }

  #call(): Call {
    const operands: Operand[] = [];
    for (let operand = this.#operand(); operand !== undefined; operand = this.#operand()) {
      operands.push(operand);
    }
    if (operands.length === 0) throw new TemplateError("missing value for command");
    return operands;
  }

  #operand(): Operand | undefined {
    const token = this.#peek();
    switch (token?.kind) {
      case "string":
        this.#at += 1;
        return { kind: "literal", value: token.text };
      case "number":
        this.#at += 1;
        return { kind: "literal", value: token.value };
      case "field":
      case "variable":
        this.#at += 1;
        return token;
      case "word":
        this.#at += 1;
        return token.text in LITERALS
          ? { kind: "literal", value: LITERALS[token.text] }
          : { kind: "function", name: token.text };
      case "mark":
        return token.text === "(" ? this.#parenthesis() : undefined;
      default:
        return undefined;
    }
  }

  #parenthesis(): Operand {
    this.#at += 1;
    const pipe = this.#pipe();
    if (!this.#takeMark(")")) throw new TemplateError("unclosed left paren");
    const token = this.#peek();
    if (token?.kind !== "field" || token.names.length === 0)
      return { kind: "pipe", pipe, fields: [] };
    this.#at += 1;
    return { kind: "pipe", pipe, fields: token.names };
  }

  #takeMark(text: string): boolean {
    const token = this.#peek();
    if (token?.kind !== "mark" || token.text !== text) return false;
    this.#at += 1;
    return true;
  }

  #close(): void {
    const token = this.#next();
    if (token?.kind !== "close") {
      const what = token === undefined ? "end" : "text" in token ? `"${token.text}"` : token.kind;
      throw new TemplateError(`unexpected ${what} in command`);
    }
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #next(): Token | undefined {
    const token = this.#tokens[this.#at];
    this.#at += 1;
    return token;
  }
}
