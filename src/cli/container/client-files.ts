import { readFileSync } from "node:fs";
import { errorMessage, NaruError } from "../../base/mod.ts";
import { splitPair } from "./csv.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A file that the client reads on behalf of a flag. Throws invalid_argument naming both. */
export function readFlagFile(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const why = errorMessage(cause);
    throw new NaruError(
      "invalid_argument",
      `cannot read ${path} for ${flag}: ${why}`,
      {},
      { cause },
    );
  }
}

/** `--env-file` lines, then `-e`; a name alone takes the client's own value. */
export function readEnvironment(
  files: readonly string[],
  given: readonly string[],
  environment: Environment,
): string[] {
  const result = files.flatMap((file) => fileEntries("--env-file", file, environment));
  for (const text of given) {
    if (text === "" || text.startsWith("=")) {
      throw new NaruError("invalid_argument", `invalid environment variable: ${text}`);
    }
    const own = environment[text];
    result.push(text.includes("=") || own === undefined ? text : `${text}=${own}`);
  }
  return result;
}

/** `--label-file` lines, read as an env-file, then `--label`; the later one wins. */
export function readLabels(
  files: readonly string[],
  given: readonly string[],
  environment: Environment,
): Record<string, string> {
  const labels: Record<string, string> = {};
  const fromFiles = files.flatMap((file) => fileEntries("--label-file", file, environment));
  for (const line of [...fromFiles, ...given]) {
    const equals = line.indexOf("=");
    const key = equals < 0 ? line : line.slice(0, equals);
    if (key === "") throw new NaruError("invalid_argument", `invalid label format: "${line}"`);
    labels[key] = equals < 0 ? "" : line.slice(equals + 1);
  }
  return labels;
}

/** A line without `=` takes the client's own value, or is left out when there is none. */
function fileEntries(flag: string, path: string, environment: Environment): string[] {
  return lines(flag, path).flatMap((line) => {
    if (line.includes("=")) return [line];
    const own = environment[line];
    return own === undefined ? [] : [`${line}=${own}`];
  });
}

function lines(flag: string, path: string): string[] {
  return readFlagFile(flag, path)
    .replace(/^\ufeff/, "")
    .split("\n")
    .map((line) => line.replace(/\r$/, "").trimStart())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** What `--security-opt` asks for: the seccomp profile is a file of the client. */
export function readSecurityOptions(given: readonly string[]): {
  options: string[];
  systemPathsUnconfined: boolean;
} {
  let systemPathsUnconfined = false;
  const options: string[] = [];
  for (const text of given) {
    const { key, value } = splitPair(text.includes("=") ? text : text.replace(":", "="));
    if (value === undefined && text !== "no-new-privileges") {
      throw new NaruError("invalid_argument", `invalid --security-opt: "${text}"`);
    }
    if (key === "systempaths" && value === "unconfined") systemPathsUnconfined = true;
    else if (key === "seccomp" && value !== "unconfined" && value !== "builtin") {
      options.push(`seccomp=${compactJson(value ?? "")}`);
    } else options.push(text);
  }
  return { options, systemPathsUnconfined };
}

function compactJson(path: string): string {
  const text = readFlagFile("--security-opt seccomp", path);
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (cause) {
    throw new NaruError(
      "invalid_argument",
      `compacting json for seccomp profile (${path}) failed: ${errorMessage(cause)}`,
      {},
      { cause },
    );
  }
}
