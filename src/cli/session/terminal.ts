import type { CliIo } from "../io.ts";

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** The size of the terminal on stdout, or undefined. */
export function terminalSize(io: CliIo): TerminalSize | undefined {
  const [rows, columns] = [io.stdout.rows(), io.stdout.columns()];
  return rows === undefined || columns === undefined ? undefined : { rows, columns };
}

/** Raw mode for as long as the result is not disposed. */
export async function rawTerminal(io: CliIo): Promise<AsyncDisposable> {
  await io.stdin.setRaw(true);
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      await io.stdin.setRaw(false);
    },
  };
}

const FIRST_SIZE_TRIES = 15; // 10, 20, … 150 ms apart: 1.2 s, longer than a start takes
const FIRST_SIZE_STEP_MS = 10;

/**
 * Tells the engine the size now and whenever the window changes, until disposed. The first time it
 * tries again while the container is being started: engines below API 1.42 have it in no other way.
 */
export function followSize(
  io: CliIo,
  resize: (size: TerminalSize) => Promise<void>,
): AsyncDisposable {
  let over = false;
  const tell = async (): Promise<boolean> => {
    const size = terminalSize(io);
    if (size === undefined) return true;
    return await resize(size).then(
      () => true,
      () => false, // not started yet, or ended meanwhile
    );
  };
  const first = async (): Promise<void> => {
    for (let count = 1; !over && !(await tell()) && count <= FIRST_SIZE_TRIES; count += 1) {
      await Bun.sleep(count * FIRST_SIZE_STEP_MS);
    }
  };
  void first();
  const stop = io.onSignal("SIGWINCH", () => void tell());
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      over = true;
      stop();
    },
  };
}

// Every signal that a process can catch and that is meant for the container. SIGCHLD, SIGPIPE,
// SIGWINCH and SIGURG concern this process alone.
const PROXIED: readonly NodeJS.Signals[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGCONT",
];

const FORCED_EXIT_SIGNALS = 3; // docker gives up after the third, too

/** Passes signals on to the container until disposed. */
export function proxySignals(io: CliIo, kill: (signal: string) => Promise<void>): Disposable {
  let terminations = 0;
  const stops = PROXIED.map((name) =>
    io.onSignal(name, () => {
      if (name === "SIGINT" || name === "SIGTERM") {
        terminations += 1;
        if (terminations >= FORCED_EXIT_SIGNALS) {
          io.stderr.print(`got ${FORCED_EXIT_SIGNALS} SIGTERM/SIGINTs, forcefully exiting\n`);
          process.exit(1);
        }
      }
      kill(name).catch(() => undefined); // not running any more
    }),
  );
  return {
    [Symbol.dispose](): void {
      for (const stop of stops) stop();
    },
  };
}
