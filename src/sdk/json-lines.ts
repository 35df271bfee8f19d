import { MiB, NaruError } from "../base/mod.ts";

const LINE_BYTES_MAX: number = 16 * MiB; // one message of a progress or event stream

/** As JSON.parse takes it; `source` is the text of a number, a string or a literal. */
type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** JSON values that are separated by newlines (or by the RS of json-seq), as they arrive. */
export async function* readJsonLines<T>(
  source: AsyncIterable<Uint8Array>,
  reviver?: Reviver,
): AsyncGenerator<T, void, void> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of source) {
    pending += decoder.decode(chunk, { stream: true });
    let end = pending.indexOf("\n");
    if (end < 0 && pending.length > LINE_BYTES_MAX) {
      throw new NaruError("too_large", "a message of the engine is longer than 16 MiB");
    }
    let start = 0;
    for (; end >= 0; end = pending.indexOf("\n", start)) {
      const value = parseLine<T>(pending.slice(start, end), reviver);
      start = end + 1;
      if (value !== undefined) yield value;
    }
    pending = pending.slice(start);
  }
  const last = parseLine<T>(pending + decoder.decode(), reviver);
  if (last !== undefined) yield last;
}

function parseLine<T>(line: string, reviver: Reviver | undefined): T | undefined {
  const text = line.replace(/^\u001e/, "").trim();
  if (text === "") return undefined;
  try {
    return JSON.parse(text, reviver as (key: string, value: unknown) => unknown) as T;
  } catch (cause) {
    throw new NaruError(
      "unavailable",
      `malformed message from the engine: "${text.slice(0, 100)}"`,
      {},
      { cause },
    );
  }
}
