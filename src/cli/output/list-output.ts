import type { OutputStream } from "../io.ts";
import { compileTemplate } from "../template/evaluate.ts";
import { drawTable } from "./table.ts";

/** A row's fields by name; a function is a method with arguments (`.Label "x"`). */
export type Row = Readonly<Record<string, unknown>>;

export interface ListOutput {
  /** Field -> heading. */
  readonly headers: Row;
  /** What a table shows without `--format`, as a template. */
  readonly table: string;
  /** The field that `-q` prints. */
  readonly idField: string;
}

/**
 * Prints rows as docker does: a table, `table …` with chosen columns, `json` (one object a line) or
 * any template. Throws invalid_argument for a bad template.
 */
export function printList(
  output: OutputStream,
  rows: readonly Row[],
  list: ListOutput,
  options: { format: string; quiet: boolean },
): void {
  const { format } = options;
  if (options.quiet) {
    output.print(rows.map((row) => `${String(row[list.idField])}\n`).join(""));
    return;
  }
  if (format === "json") {
    const template = compileTemplate("{{json .}}");
    output.print(rows.map((row) => `${template.apply(row)}\n`).join(""));
    return;
  }
  const asTable = format === "" || format === "table" || /^table\s/.test(format);
  const source = unescape(asTable ? format.replace(/^table\s*/, "") || list.table : format);
  const template = compileTemplate(source);
  if (!asTable) {
    output.print(rows.map((row) => `${template.apply(row)}\n`).join(""));
    return;
  }
  const cells = [list.headers, ...rows].map((row) => template.apply(row).split("\t"));
  output.print(drawTable(cells, { columns: output.columns() }));
}

/** People write `\t` and `\n` within single quotes of a shell. */
function unescape(source: string): string {
  return source.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
}
