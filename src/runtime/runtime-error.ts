import { NaruError } from "../base/mod.ts";

/**
 * What a runtime says when it cannot start a process, in Docker's words. Clients read them: the
 * docker CLI makes its own exit code of `executable file not found`, `no such file or directory`
 * (127), `permission denied` and `is a directory` (126).
 */
export function translateRuntimeError(
  operation: "create" | "exec" | "start",
  text: string,
  command: string,
): NaruError {
  const reason = dockerReason(runtimeMessage(text), command);
  const prefix =
    operation === "exec"
      ? "OCI runtime exec failed: exec failed: unable to start container process"
      : `failed to create task for container: OCI runtime ${operation} failed: unable to start container process`;
  return new NaruError("invalid_argument", `${prefix}: ${reason}: unknown`, {
    exitCode: exitCodeOf(reason),
  });
}

/** 127 and 126 as a shell has them; 128 for everything else. @see moby setExitCodeFromError */
export function exitCodeOf(reason: string): number {
  if (/executable file not found|no such file or directory/i.test(reason)) return 127;
  if (/permission denied|not a directory|is a directory/i.test(reason)) return 126;
  return 128;
}

/** The last line that carries a message: conmon's JSON, runc's logfmt or crun's plain text. */
function runtimeMessage(text: string): string {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("[conmon:"));
  const last = lines.at(-1) ?? "the runtime gave no reason";
  const quoted = /msg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1];
  const message = quoted === undefined ? last : quoted.replaceAll(/\\(.)/g, "$1");
  return message
    .replace(/^(?:\d{4}-\d\d-\d\dT\S+\s+)?(?:\[\w+\]: )?(?:(?:error|ERRO): |ERRO\s+)?/, "")
    .replace(/^(?:runc|crun) \w+ failed: /, "")
    .replace(/^(?:exec failed: )?unable to start container process: /, "");
}

function dockerReason(message: string, command: string): string {
  const named = JSON.stringify(command);
  if (/^executable file `.*` not found/.test(message)) {
    return command.includes("/")
      ? `exec: ${named}: stat ${command}: no such file or directory`
      : `exec: ${named}: executable file not found in $PATH`;
  }
  // crun opens what it will run: a directory cannot be executed, which the kernel calls EPERM.
  if (message.startsWith("open executable: Operation not permitted")) {
    return `exec: ${named}: is a directory: permission denied`;
  }
  if (message.startsWith("open executable: Permission denied")) {
    return `exec: ${named}: permission denied`;
  }
  const chdir = /^chdir `(.*)`: (.*)$/.exec(message);
  if (chdir !== null) {
    return `chdir to cwd (${JSON.stringify(chdir[1])}) set in config.json failed: ${lower(chdir[2])}`;
  }
  const stat = /^error stat'ing file `(.*)`: (.*)$/.exec(message);
  if (stat !== null) return `error mounting: stat ${stat[1]}: ${lower(stat[2])}`;
  // The C library writes these with a capital, Go and so Docker's clients without.
  return message.replace(
    /: (No such file|Permission denied|Not a directory|Is a directory|Operation not permitted|Invalid argument|Device or resource busy)/g,
    (part) => part.toLowerCase(),
  );
}

function lower(text: string | undefined): string {
  return (text ?? "").toLowerCase();
}
