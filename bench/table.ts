/** Turns samples into a table for people, Markdown for the README, and data. */
import type { Row } from "./rows.ts";
import { median, quantile, rounded } from "./statistics.ts";

export interface Figure {
  readonly who: string;
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  readonly samples: readonly number[];
  /** Against docker: above 1 is better than docker, whatever the unit. */
  readonly timesBetterThanDocker?: number;
}

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly command: string;
  readonly figures: readonly Figure[];
}

const BASELINE = "docker";

export function resultOf(row: Row): Result {
  const base = row.samples.get(BASELINE);
  const figures = [...row.samples].map(([who, samples]): Figure => {
    const own = median(samples);
    const figure = {
      who,
      median: own,
      p10: quantile(samples, 0.1),
      p90: quantile(samples, 0.9),
      samples,
    };
    if (base === undefined || who === BASELINE || own === 0 || median(base) === 0) return figure;
    return { ...figure, timesBetterThanDocker: row.less ? median(base) / own : own / median(base) };
  });
  return { name: row.name, unit: row.unit, command: row.command, figures };
}

/** Rows of equal width per column; numbers are right-aligned. */
export function aligned(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) => pad(cell, widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function pad(cell: string, width: number): string {
  return /^[\d.,x]+$/.test(cell) ? cell.padStart(width) : cell.padEnd(width);
}

function cells(results: readonly Result[]): string[][] {
  return results.flatMap((result) =>
    result.figures.map((figure) => [
      result.name,
      figure.who,
      rounded(figure.median),
      result.unit,
      figure.samples.length > 1 ? `${rounded(figure.p10)} to ${rounded(figure.p90)}` : "",
      figure.timesBetterThanDocker === undefined ? "" : `${rounded(figure.timesBetterThanDocker)}x`,
      String(figure.samples.length),
    ]),
  );
}

const HEAD = ["what", "by", "median", "unit", "10 to 90 %", "times better than docker", "samples"];

export function textTable(results: readonly Result[]): string {
  return aligned([HEAD, ...cells(results)]);
}

export function markdownTable(results: readonly Result[]): string {
  const line = (values: readonly string[]): string => `| ${values.join(" | ")} |`;
  return [line(HEAD), line(HEAD.map(() => "---")), ...cells(results).map(line)].join("\n");
}
