import { isTrue, TEMPLATE_FUNCTIONS } from "./functions.ts";
import { type Call, type Node, type Operand, type Pipe, parseTemplate } from "./parser.ts";
import { printed } from "./printf.ts";
import { TemplateError } from "./template-error.ts";

/** A template that was parsed once and is applied to many values. */
export interface Template {
  /** Throws TemplateError when the template does not fit `data`. */
  apply(data: unknown): string;
}

/** Throws TemplateError. */
export function compileTemplate(source: string): Template {
  const nodes = parseTemplate(source);
  return {
    apply(data: unknown): string {
      const evaluator = new Evaluator(data);
      evaluator.run(nodes, data);
      return evaluator.output;
    },
  };
}

type Flow = "next" | "break" | "continue";

class Evaluator {
  output = "";
  readonly #variables: { name: string; value: unknown }[] = [];

  constructor(data: unknown) {
    this.#variables.push({ name: "", value: data });
  }

  run(nodes: readonly Node[], dot: unknown): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot);
      if (flow !== "next") return flow;
    }
    return "next";
  }

  #node(node: Node, dot: unknown): Flow {
    switch (node.kind) {
      case "text":
        this.output += node.text;
        return "next";
      case "print": {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.variables.length === 0) this.output += printed(value);
        return "next";
      }
      case "break":
      case "continue":
        return node.kind;
      case "range":
        return this.#range(node, dot);
      case "if":
      case "with": {
        const depth = this.#variables.length;
        const value = this.#pipe(node.pipe, dot);
        const inner = node.kind === "with" && isTrue(value) ? value : dot;
        const flow = this.run(isTrue(value) ? node.body : node.otherwise, inner);
        this.#variables.length = depth;
        return flow;
      }
    }
  }

  #range(node: Extract<Node, { kind: "if" | "with" | "range" }>, dot: unknown): Flow {
    const value = this.#calls(node.pipe.calls, dot);
    const entries = rangeEntries(value);
    if (entries.length === 0) return this.run(node.otherwise, dot);
    const names = node.pipe.variables;
    for (const [key, item] of entries) {
      const depth = this.#variables.length;
      const last = names.at(-1);
      if (names.length === 2) this.#variables.push({ name: names[0] ?? "", value: key });
      if (last !== undefined) this.#variables.push({ name: last, value: item });
      const flow = this.run(node.body, item);
      this.#variables.length = depth;
      if (flow === "break") break;
    }
    return "next";
  }

  #pipe(pipe: Pipe, dot: unknown): unknown {
    const value = this.#calls(pipe.calls, dot);
    for (const name of pipe.variables) {
      if (pipe.declares) this.#variables.push({ name, value });
      else this.#variable(name).value = value;
    }
    return value;
  }

  #calls(calls: readonly Call[], dot: unknown): unknown {
    let value: unknown;
    calls.forEach((call, position) => {
      value = this.#call(call, dot, position === 0 ? [] : [value]);
    });
    return value;
  }

  #call(call: Call, dot: unknown, piped: readonly unknown[]): unknown {
    const [head, ...rest] = call;
    if (head === undefined) throw new TemplateError("missing value for command");
    if (head.kind !== "function") {
      if (rest.length + piped.length === 0) return this.#operand(head, dot);
      const args = [...rest.map((operand) => this.#operand(operand, dot)), ...piped];
      return this.#method(head, dot, args);
    }
    if (head.name === "and" || head.name === "or") {
      return this.#logic(head.name, rest, dot, piped);
    }
    const action = Object.hasOwn(TEMPLATE_FUNCTIONS, head.name)
      ? TEMPLATE_FUNCTIONS[head.name]
      : undefined;
    if (action === undefined) throw new TemplateError(`function "${head.name}" not defined`);
    return action(...rest.map((operand) => this.#operand(operand, dot)), ...piped);
  }

  /** `.Label "name"`: a field that takes arguments. */
  #method(head: Operand, dot: unknown, args: readonly unknown[]): unknown {
    if (head.kind === "field") {
      const name = head.names.at(-1) ?? "";
      const owner = fieldOf(dot, head.names.slice(0, -1)) as Record<string, unknown> | null;
      const method = owner === null || typeof owner !== "object" ? undefined : owner[name];
      if (typeof method === "function" && Object.hasOwn(owner ?? {}, name)) {
        return (method as Method)(...args);
      }
    }
    throw new TemplateError("can't give argument to non-function");
  }

  /** Stops at the first operand that decides. */
  #logic(
    name: "and" | "or",
    operands: readonly Operand[],
    dot: unknown,
    piped: readonly unknown[],
  ): unknown {
    let value: unknown;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === "or")) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: unknown): unknown {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "field":
        return fieldOf(dot, operand.names);
      case "variable":
        return fieldOf(this.#variable(operand.name).value, operand.fields);
      case "pipe":
        return fieldOf(this.#pipe(operand.pipe, dot), operand.fields);
      case "function":
        return this.#call([operand], dot, []);
    }
  }

  #variable(name: string): { value: unknown } {
    const found = this.#variables.findLast((variable) => variable.name === name);
    if (found === undefined) throw new TemplateError(`undefined variable "$${name}"`);
    return found;
  }
}

function rangeEntries(value: unknown): [unknown, unknown][] {
  if (Array.isArray(value)) return value.map((item, position) => [position, item]);
  if (typeof value === "number") return Array.from({ length: value }, (_, n) => [n, n]);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Values that are computed when they are asked for, such as a container's `.Ports`. */
export type Method = (...args: readonly unknown[]) => unknown;

function fieldOf(value: unknown, names: readonly string[]): unknown {
  return names.reduce((found: unknown, name) => {
    if (found === null || found === undefined) {
      throw new TemplateError(`nil pointer evaluating interface {}.${name}`);
    }
    if (typeof found !== "object" || Array.isArray(found)) {
      throw new TemplateError(`can't evaluate field ${name} in type ${typeof found}`);
    }
    const record = found as Record<string, unknown>;
    if (!Object.hasOwn(record, name)) return undefined;
    const inner = record[name];
    return typeof inner === "function" ? (inner as Method)() : inner;
  }, value);
}
