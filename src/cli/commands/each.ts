import type { EngineClient } from "../../sdk/mod.ts";
import type { CliContext } from "../context.ts";
import { failureLine } from "../explain.ts";

const AT_ONCE = 16; // enough to keep an engine busy, few enough for its connection limit

/**
 * Does `action` for each name, several at a time; prints what it gives in the order of the names,
 * and every failure on stderr. 1 when any failed.
 */
export async function forEachName(
  context: CliContext,
  names: readonly string[],
  action: (engine: EngineClient, name: string) => Promise<string>,
  /** What docker's client says at the end of the names that failed. */
  options: { readonly dockerSummary?: (failed: readonly string[]) => string } = {},
): Promise<number> {
  const engine = await context.engine();
  const failed: string[] = [];
  let next = 0;
  const results: Promise<{ text: string } | { error: unknown }>[] = [];
  const running = new Set<Promise<unknown>>();
  const startOne = (): void => {
    const result = action(engine, names[next++] ?? "").then(
      (text) => ({ text }),
      (error: unknown) => ({ error }),
    );
    results.push(result);
    running.add(result);
    void result.then(() => running.delete(result));
  };
  for (let at = 0; at < names.length; at += 1) {
    while (next < names.length && running.size < AT_ONCE) startOne();
    const result = await results[at];
    if (result === undefined) break;
    if ("text" in result) {
      if (result.text !== "") context.io.stdout.print(`${result.text}\n`);
      continue;
    }
    failed.push(names[at] ?? "");
    context.io.stderr.print(`${failureLine(result.error, context.program)}\n`);
  }
  if (failed.length > 0 && context.program === "docker" && options.dockerSummary !== undefined) {
    context.io.stderr.print(`Error: ${options.dockerSummary(failed)}\n`);
  }
  return failed.length > 0 ? 1 : 0;
}
