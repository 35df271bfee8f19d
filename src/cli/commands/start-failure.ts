import { errorMessage } from "../../base/mod.ts";
import { ExitError } from "../exit-error.ts";
import { explain, failureLine } from "../explain.ts";
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
export function failStart(
  error: unknown,
  program: string,
  { command, started }: { readonly command: "run" | "create"; readonly started: boolean },
): never {
  if (error instanceof ExitError || error instanceof UsageError || error instanceof OutputClosed) {
    throw error;
  }
  const code = started ? startExitCode(errorMessage(error)) : 125;
  const hint = `\n\nRun '${program} ${command} --help' for more information`;
  // An ExitError's line begins with `docker: ` of itself, and so does naru's.
  const text = program === "docker" ? failureLine(error, program) : explain(error, program);
  throw new ExitError(code, `${text}${hint}`, { cause: error });
}
