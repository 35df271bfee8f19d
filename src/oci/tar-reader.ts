import type { TarEntry, TarLimits } from "./tar-entry.ts";
import { TarParser } from "./tar-parser.ts";

/** An entry and its content, which must be read (or left) before the next entry is asked for. */
export interface TarFile {
  readonly entry: TarEntry;
  /** Holes of sparse files come as zeros. Chunks are only good until the next one is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

type Event =
  | { readonly kind: "entry"; readonly entry: TarEntry }
  | { readonly kind: "data"; readonly bytes: Uint8Array; readonly offset: number }
  | { readonly kind: "end" };

const ZEROS_BYTES = 65_536;

/**
 * Reads an archive entry by entry. Memory is bounded by the source's chunks. Stopping early ends
 * the source. Throws as TarParser does.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  limits?: TarLimits,
): AsyncGenerator<TarFile, void, undefined> {
  const events = eventsOf(source, limits);
  try {
    for (;;) {
      const next = await events.next();
      if (next.done === true) return;
      if (next.value.kind !== "entry") continue; // content that nobody read
      const entry = next.value.entry;
      const state = { over: false };
      yield { entry, content: contentOf(entry, events, state) };
      while (!state.over) {
        const skipped = await events.next();
        state.over = skipped.done === true || skipped.value.kind === "end";
      }
    }
  } finally {
    await events.return();
  }
}

async function* eventsOf(
  source: AsyncIterable<Uint8Array>,
  limits: TarLimits | undefined,
): AsyncGenerator<Event, void, undefined> {
  let events: Event[] = [];
  const parser = new TarParser(
    {
      entry: (entry) => void events.push({ kind: "entry", entry }),
      data: (bytes, offset) => void events.push({ kind: "data", bytes, offset }),
      entryEnd: () => void events.push({ kind: "end" }),
    },
    limits,
  );
  for await (const chunk of source) {
    parser.push(chunk);
    const ready = events;
    events = [];
    yield* ready;
  }
  parser.end();
  yield* events;
}

async function* contentOf(
  entry: TarEntry,
  events: AsyncGenerator<Event, void, undefined>,
  state: { over: boolean },
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  while (!state.over) {
    const next = await events.next();
    if (next.done === true || next.value.kind === "end") {
      state.over = true;
      break;
    }
    if (next.value.kind !== "data") continue;
    yield* zeros(next.value.offset - position);
    yield next.value.bytes;
    position = next.value.offset + next.value.bytes.byteLength;
  }
  yield* zeros(entry.sizeBytes - position);
}

function* zeros(count: number): Generator<Uint8Array, void, undefined> {
  for (let rest = count; rest > 0; rest -= ZEROS_BYTES) {
    yield new Uint8Array(Math.min(rest, ZEROS_BYTES));
  }
}
