const VERB = /%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g;

/** Go's fmt.Sprintf for the verbs that templates use: v s q d x X o b c t f e g T %. */
export function sprintf(format: string, args: readonly unknown[]): string {
  let at = 0;
  const text = format.replace(
    VERB,
    (_, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      if (at >= args.length) return `%!${verb}(MISSING)`;
      const formatted = formatVerb(verb, args[at++], flags, precision);
      const wanted = Number(width ?? 0);
      if (flags.includes("-")) return formatted.padEnd(wanted);
      return formatted.padStart(wanted, flags.includes("0") && verb !== "s" ? "0" : " ");
    },
  );
  const extra = args.slice(at).map((value) => `${typeName(value)}=${printed(value)}`);
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(", ")})`;
}

function formatVerb(
  verb: string,
  value: unknown,
  flags: string,
  precision: string | undefined,
): string {
  const number = Number(value);
  switch (verb) {
    case "v":
      return printed(value);
    case "s":
      return printed(value).slice(0, precision === undefined ? undefined : Number(precision));
    case "q":
      return JSON.stringify(printed(value));
    case "t":
      return String(Boolean(value));
    case "d":
      return `${flags.includes("+") && number >= 0 ? "+" : ""}${Math.trunc(number)}`;
    case "x":
    case "X": {
      const hex =
        typeof value === "string"
          ? Buffer.from(value).toString("hex")
          : Math.trunc(number).toString(16);
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    case "o":
      return Math.trunc(number).toString(8);
    case "b":
      return Math.trunc(number).toString(2);
    case "c":
      return String.fromCodePoint(number);
    case "f":
      return number.toFixed(Number(precision ?? 6));
    case "e":
      return number.toExponential(Number(precision ?? 6));
    case "g":
      return String(
        precision === undefined ? number : Number(number.toPrecision(Number(precision))),
      );
    case "T":
      return typeName(value);
    default:
      return `%!${verb}(${typeName(value)}=${printed(value)})`;
  }
}

function typeName(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  if (typeof value === "boolean") return "bool";
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "object" && value !== null) return "map[string]interface {}";
  return value === null || value === undefined ? "<nil>" : "string";
}

/** A value as Go's `%v` prints it: `[a b]`, `map[k:v]`, `<no value>`. */
export function printed(value: unknown): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(printed).join(" ")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, inner]) => `${key}:${printed(inner)}`).join(" ")}]`;
  }
  return String(value as string | number | boolean); // what JSON leaves
}
