import { errorMessage } from "../../base/mod.ts";
import { ExitError } from "../exit-error.ts";
import { explain } from "../explain.ts";
import { UsageError } from "../flags/usage-error.ts";
import { OutputClosed } from "../io.ts";

/** The exit code that docker's client gives a command that could not be started. */
export function startExitCode(message: string): number {
  const text = message.toLowerCase();
  if (
    ["executable file not found", "no such file or directory", "system cannot find the file"].some(
      (part) => text.includes(part),
    )
  ) {
    return 127;
  }
  if (["permission denied", "is a directory"].some((part) => text.includes(part))) return 126;
  return 125;
}

/** Rethrows a failure of `run` and `create` with the exit code that belongs to it. */
export function failStart(error: unknown, program: string, started = false): never {
  if (error instanceof ExitError || error instanceof UsageError || error instanceof OutputClosed) {
    throw error;
  }
  const code = started ? startExitCode(errorMessage(error)) : 125;
  const hint = `\n\nRun '${program} run --help' for more information`;
  throw new ExitError(code, `${explain(error, program)}${hint}`, { cause: error });
}
