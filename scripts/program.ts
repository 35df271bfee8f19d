import { spawn } from "node:child_process";

/** What a child process left behind. */
export interface ProgramResult {
  /** 128 + signal number is not computed: a signalled child reports -1. */
  readonly exitCode: number;
  /** Standard output and standard error in the order of arrival. */
  readonly output: string;
  readonly timedOut: boolean;
  readonly durationMs: number;
}

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The whole process group is killed after this long. */
  readonly limitMs: number;
  /** Sent, then end of file; nothing without it. */
  readonly stdin?: Uint8Array;
  /** Also show the output while it comes. */
  readonly echo?: boolean;
}

const OUTPUT_BYTES_MAX: number = 8 * 1024 * 1024; // a test log worth reading is far smaller

/**
 * Runs a program in a process group of its own, so that nothing it started is left
 * when its time is over. Never throws: a program that cannot start has exit code 127.
 */
export function runProgram(
  command: readonly [string, ...string[]],
  options: ProgramOptions,
): Promise<ProgramResult> {
  const startedMs = performance.now();
  const chunks: Buffer[] = [];
  let bytes = 0;
  let timedOut = false;
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid);
    }, options.limitMs);
    const take = (chunk: Buffer): void => {
      if (options.echo === true) process.stdout.write(chunk);
      bytes += chunk.length;
      if (bytes <= OUTPUT_BYTES_MAX) chunks.push(chunk);
    };
    child.stdin.on("error", () => undefined); // it may end without reading all
    child.stdin.end(options.stdin);
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const end = (exitCode: number): void => {
      clearTimeout(timer);
      const output = Buffer.concat(chunks).toString();
      resolve({ exitCode, output, timedOut, durationMs: performance.now() - startedMs });
    };
    child.once("error", (error) => {
      chunks.push(Buffer.from(`${command[0]}: ${error.message}\n`));
      end(127);
    });
    // "exit" and not "close": an engine that a test left behind may hold the pipes open for ever.
    child.once("exit", (code) => {
      const exitCode = code ?? -1;
      setTimeout(() => {
        killGroup(child.pid);
        end(exitCode);
      }, 20); // what is in the pipes arrives first
    });
  });
}

/** The output, or an Error that shows it when the program failed. */
export async function runOrThrow(
  command: readonly [string, ...string[]],
  options: ProgramOptions,
): Promise<string> {
  const result = await runProgram(command, options);
  if (result.exitCode === 0) return result.output;
  const why = result.timedOut ? `took over ${options.limitMs} ms` : `exit code ${result.exitCode}`;
  throw new Error(`${command.join(" ")}: ${why}\n${result.output}`);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group has ended already.
  }
}
