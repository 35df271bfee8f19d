import { naruCommand } from "./program.ts";

const WAIT_LIMIT_MS = 15_000; // a prompt that does not come in this time does not come

/** A command on a pseudo-terminal of its own. */
export class TerminalSession {
  readonly #process: Bun.Subprocess;
  #output: string = "";
  #seen: number = 0;
  readonly #decoder: TextDecoder = new TextDecoder();

  constructor(
    command: readonly string[],
    options: { readonly env: Record<string, string>; readonly cols: number; readonly rows: number },
  ) {
    this.#process = Bun.spawn([...command], {
      env: { ...process.env, TERM: "xterm", ...options.env },
      terminal: {
        cols: options.cols,
        rows: options.rows,
        data: (_terminal, data) => {
          this.#output += this.#decoder.decode(data, { stream: true });
        },
      },
    });
  }

  /** Everything the terminal has shown. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Types `text`; Enter is `\r`, ctrl-p `\x10`, ctrl-q `\x11`. */
  type(text: string): void {
    this.#process.terminal?.write(text);
  }

  /** Changes the size of the window; the program gets SIGWINCH. */
  resize(cols: number, rows: number): void {
    this.#process.terminal?.resize(cols, rows);
  }

  /** Waits for `pattern` after what earlier calls have found. Throws with the output so far. */
  async expect(pattern: string | RegExp, limitMs: number = WAIT_LIMIT_MS): Promise<string> {
    const deadlineMs = Date.now() + limitMs;
    const wanted = typeof pattern === "string" ? new RegExp(RegExp.escape(pattern)) : pattern;
    for (;;) {
      const match = wanted.exec(this.#output.slice(this.#seen));
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return match[0];
      }
      if (Date.now() > deadlineMs) {
        throw new Error(`${wanted} did not come; the terminal shows:\n${this.#output}`);
      }
      await Bun.sleep(10);
    }
  }

  /** The exit code. Kills the command and throws when it does not end in time. */
  async exited(limitMs: number = WAIT_LIMIT_MS): Promise<number> {
    const ended = await Promise.race([this.#process.exited, Bun.sleep(limitMs)]);
    if (typeof ended === "number") {
      await Bun.sleep(20); // the last output is read after the exit is seen
      return ended;
    }
    this.#process.kill("SIGKILL");
    throw new Error(`did not end in ${limitMs} ms; the terminal shows:\n${this.#output}`);
  }

  /** For `await using`: nothing is left when a test fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) this.#process.kill("SIGKILL");
    await this.#process.exited;
    this.#process.terminal?.close();
  }
}

/** A client on a terminal: `terminal(engine, ["run", "-it", "busybox"])`. */
export function terminal(
  engine: { readonly host: string },
  args: readonly string[],
  options: { program?: "naru" | "docker"; cols?: number; rows?: number } = {},
): TerminalSession {
  const command = options.program === "docker" ? ["docker"] : naruCommand();
  return new TerminalSession([...command, ...args], {
    env: { DOCKER_HOST: engine.host },
    cols: options.cols ?? 80,
    rows: options.rows ?? 24,
  });
}
