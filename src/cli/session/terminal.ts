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

/** Tells the engine the size now and whenever the window changes, until disposed. */
export function followSize(io: CliIo, resize: (size: TerminalSize) => Promise<void>): Disposable {
  const tell = (): void => {
    const size = terminalSize(io);
    // The container may have ended meanwhile; a size that comes too late is nobody's loss.
    if (size !== undefined) resize(size).catch(() => undefined);
  };
  tell();
  const stop = io.onSignal("SIGWINCH", tell);
  return { [Symbol.dispose]: stop };
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
