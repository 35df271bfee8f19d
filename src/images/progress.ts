import type { ProgressMessage } from "../spec/mod.ts";

export type Emit = (message: ProgressMessage) => void;

/**
 * Runs `task` and yields what it emits. A consumer that stops early aborts the task and waits for
 * it. Of progress that is not taken in time only the newest is kept for each id.
 */
export async function* withProgress<T>(
  task: (emit: Emit, signal: AbortSignal) => Promise<T>,
  outer: AbortSignal,
): AsyncGenerator<ProgressMessage, T, undefined> {
  const aborter = new AbortController();
  const signal = AbortSignal.any([outer, aborter.signal]);
  const waiting: ProgressMessage[] = [];
  let wake: (() => void) | undefined;
  let ended = false;
  const emit: Emit = (message) => {
    const last = waiting.findIndex(
      ({ id, status }) => id !== undefined && id === message.id && status === message.status,
    );
    if (last === -1) waiting.push(message);
    else waiting[last] = message;
    wake?.();
  };
  const running = task(emit, signal).finally(() => {
    ended = true;
    wake?.();
  });
  running.catch(() => undefined); // awaited below, after what was emitted before it
  try {
    for (;;) {
      const message = waiting.shift();
      if (message !== undefined) yield message;
      else if (ended) return await running;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    }
  } finally {
    aborter.abort();
    await running.catch(() => undefined);
  }
}
