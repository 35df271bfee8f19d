const COLUMN_GAP = 3;
const CELL_MIN = 8; // a column is not squeezed below this

/**
 * Aligned columns. On a terminal narrower than the table the widest columns are cut with `…`; the
 * header and pipes never are.
 */
export function drawTable(
  rows: readonly (readonly string[])[],
  options: { columns?: number | undefined } = {},
): string {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => displayWidth(row[column] ?? ""))),
  );
  if (options.columns !== undefined) squeeze(widths, options.columns);
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const text = cut(cell, width);
        if (column === row.length - 1) return text;
        return text + " ".repeat(width - displayWidth(text) + COLUMN_GAP);
      })
      .join("")
      .trimEnd(),
  );
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function squeeze(widths: number[], available: number): void {
  const total = (): number => widths.reduce((sum, width) => sum + width + COLUMN_GAP, -COLUMN_GAP);
  while (total() > available) {
    const widest = Math.max(...widths);
    if (widest <= CELL_MIN) return;
    const column = widths.indexOf(widest);
    const next = Math.max(CELL_MIN, ...widths.filter((width) => width < widest));
    widths[column] = Math.max(next, widest - (total() - available), CELL_MIN);
    if (widths[column] === widest) widths[column] = widest - 1;
  }
}

function cut(cell: string, width: number): string {
  if (displayWidth(cell) <= width) return cell;
  let text = "";
  for (const char of cell) {
    if (displayWidth(text + char) > width - 1) break;
    text += char;
  }
  return `${text}…`;
}

function displayWidth(text: string): number {
  return Bun.stringWidth(text);
}
