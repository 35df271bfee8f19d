import { errorMessage, NaruError } from "../../base/mod.ts";
import {
  DEFAULT_DETACH_KEYS,
  DetachMatcher,
  type HijackedStream,
  parseDetachKeys,
  StdcopyDecoder,
  type StdcopyPart,
} from "../../sdk/mod.ts";
import type { CliIo, OutputStream } from "../io.ts";

export interface AttachedOptions {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Keys that leave the terminal; only with a tty. Default ctrl-p,ctrl-q. */
  readonly detachKeys?: string | undefined;
}

/**
 * Joins the local streams with an attached container or exec: input with half-close at its end,
 * output taken apart into stdout and stderr. Resolves when output has ended, or the detach keys came.
 */
export async function joinStreams(
  io: CliIo,
  stream: HijackedStream,
  options: AttachedOptions,
): Promise<"ended" | "detached"> {
  const state: InputState = { over: false, detached: false };
  const keys = options.tty && options.stdin && io.stdin.isTty;
  const matcher = keys
    ? new DetachMatcher(parseDetachKeys(options.detachKeys || DEFAULT_DETACH_KEYS))
    : undefined;
  const input = options.stdin ? startInput(io, stream, state, matcher) : undefined;
  try {
    await copyOutput(io, stream, options);
    return state.detached ? "detached" : "ended";
  } finally {
    state.over = true;
    input?.stop();
    stream.close();
  }
}

/** Copies a framed (or, with a tty, raw) stream to the local outputs. */
export async function copyOutput(
  io: CliIo,
  stream: { read(): Promise<Uint8Array | null> },
  options: { tty: boolean; stdout: boolean; stderr: boolean },
): Promise<void> {
  const decoder = options.tty ? undefined : new StdcopyDecoder();
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
    if (decoder === undefined) {
      await io.stdout.write(chunk);
      continue;
    }
    for (const part of runsOf(decoder.push(chunk))) {
      if (part.stream === "systemerr") {
        throw new NaruError("internal", Buffer.from(part.bytes).toString("utf8").trim());
      }
      const target: OutputStream | undefined =
        part.stream === "stderr"
          ? options.stderr
            ? io.stderr
            : undefined
          : options.stdout
            ? io.stdout
            : undefined;
      await target?.write(part.bytes);
    }
  }
}

/** Neighbours of one stream as one: a write for each line of a log costs more than all the rest. */
function* runsOf(parts: readonly StdcopyPart[]): Generator<StdcopyPart, void, undefined> {
  for (let from = 0, to = 0; from < parts.length; from = to) {
    const stream = (parts[from] as StdcopyPart).stream;
    while (parts[to]?.stream === stream) to += 1;
    const run = parts.slice(from, to).map(({ bytes }) => bytes);
    yield { stream, bytes: run.length === 1 ? (run[0] as Uint8Array) : Buffer.concat(run) };
  }
}

interface InputState {
  over: boolean;
  detached: boolean;
}

function startInput(
  io: CliIo,
  stream: HijackedStream,
  state: InputState,
  matcher: DetachMatcher | undefined,
): { stop(): void } {
  const iterator = io.stdin.chunks()[Symbol.asyncIterator]();
  const copy = async (): Promise<void> => {
    for (;;) {
      const next = await iterator.next();
      if (state.over) return;
      if (next.done === true) {
        stream.closeWrite();
        return;
      }
      const keys = matcher?.push(next.value) ?? { passed: next.value, detached: false };
      if (keys.passed.length > 0) await stream.write(keys.passed);
      if (!keys.detached) continue;
      // The engine is not asked: closing our connection is what leaving means.
      state.detached = true;
      stream.close();
      return;
    }
  };
  copy().catch((error: unknown) => {
    // The container may end, or close its stdin, before all of ours is read: that is no failure.
    if (!state.over && !(error instanceof NaruError && error.kind === "unavailable")) {
      io.stderr.print(`error while reading input: ${errorMessage(error)}\n`);
    }
  });
  return {
    stop(): void {
      void iterator.return?.(undefined)?.catch(() => undefined);
    },
  };
}
