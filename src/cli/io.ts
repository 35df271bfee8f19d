import { fstatSync, write as writeAsync, writeSync } from "node:fs";
import { errorCode, systemClock } from "../base/mod.ts";

/** Where text and bytes go. */
export interface OutputStream {
  readonly isTty: boolean;
  /** Width of the terminal; undefined when it is none. */
  columns(): number | undefined;
  rows(): number | undefined;
  /** Short text, at once. */
  print(text: string): void;
  /** Streamed bytes: resolves when they are taken, without blocking signals meanwhile. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface InputStream {
  readonly isTty: boolean;
  /** Chunks until the end; ending the iteration releases the input. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Keys one by one and unechoed. Only for a tty. */
  setRaw(raw: boolean): Promise<void>;
}

/** Everything that a command touches outside the engine. */
export interface CliIo {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The result stops listening. */
  onSignal(name: NodeJS.Signals, action: () => void): () => void;
  nowMs(): number;
}

/** The reader of our output has gone (`naru ps | head -1`): end quietly. */
export class OutputClosed extends Error {
  override readonly name: string = "OutputClosed";
}

/** The terminal, pipes and environment of this process. */
export function systemIo(): CliIo {
  return {
    stdin: new SystemInput(),
    stdout: new SystemOutput(1),
    stderr: new SystemOutput(2),
    environment: process.env,
    onSignal(name, action) {
      process.on(name, action);
      return () => process.off(name, action);
    },
    nowMs: () => systemClock.nowMs(),
  };
}

// Major numbers of terminals: consoles and serial lines (4, 5), pseudo-terminals (136 to 143).
// node:tty would say the same and costs 6 ms to load.
function isTerminal(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    if (!stat.isCharacterDevice()) return false;
    const major = (stat.rdev >> 8) & 0xfff;
    return major === 4 || major === 5 || (major >= 136 && major <= 143);
  } catch {
    return false; // closed by the caller
  }
}

const RETRY_MS = 2; // a pipe in non-blocking mode that is full

class SystemOutput implements OutputStream {
  readonly isTty: boolean;
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
    this.isTty = isTerminal(fd);
  }

  columns(): number | undefined {
    return this.isTty ? this.#stream().columns : undefined;
  }

  rows(): number | undefined {
    return this.isTty ? this.#stream().rows : undefined;
  }

  print(text: string): void {
    let rest: Uint8Array = Buffer.from(text);
    while (rest.length > 0) {
      try {
        rest = rest.subarray(writeSync(this.#fd, rest));
      } catch (error) {
        if (errorCode(error) === "EAGAIN") Bun.sleepSync(RETRY_MS);
        else throw this.#failure(error);
      }
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      const chunk = rest;
      const result = await new Promise<number | Error>((resolve) => {
        writeAsync(this.#fd, chunk, 0, chunk.length, null, (error, written) => {
          resolve(error ?? written);
        });
      });
      if (typeof result === "number") rest = rest.subarray(result);
      else if (errorCode(result) === "EAGAIN") await Bun.sleep(RETRY_MS);
      else throw this.#failure(result);
    }
  }

  #stream(): { columns?: number; rows?: number } {
    return this.#fd === 1 ? process.stdout : process.stderr;
  }

  #failure(error: unknown): unknown {
    const code = errorCode(error);
    return code === "EPIPE" || code === "EBADF" ? new OutputClosed("output is closed") : error;
  }
}

class SystemInput implements InputStream {
  readonly isTty: boolean = isTerminal(0);

  async *chunks(): AsyncGenerator<Uint8Array, void, void> {
    if (this.isTty) {
      yield* process.stdin as AsyncIterable<Uint8Array>;
      return;
    }
    const reader = Bun.stdin.stream().getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        yield value;
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  setRaw(raw: boolean): Promise<void> {
    process.stdin.setRawMode(raw);
    if (!raw) process.stdin.pause().unref();
    return Promise.resolve();
  }
}
