import { errorMessage, NaruError } from "../base/mod.ts";
import { ExitError } from "./exit-error.ts";

/**
 * The line for stderr. As `naru` it is short; as `docker` it is what docker's client prints, which
 * scripts search for: `Error response from daemon: ...` for what the engine answered, `Error: ...`
 * for what the client did not find.
 */
export function failureLine(error: unknown, program: string): string {
  const text = explain(error, program);
  if (program !== "docker") return `${program}: ${text}`;
  if (error instanceof NaruError && isUnreachable(error)) {
    const host = String(error.details["host"] ?? "");
    return `Cannot connect to the Docker daemon at ${host}. Is the docker daemon running?`;
  }
  if (isEngineAnswer(error)) return `Error response from daemon: ${text}`;
  if (error instanceof NaruError && error.kind === "not_found") {
    return `Error: ${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  }
  return error instanceof ExitError ? `docker: ${text}` : text;
}

/** Did the engine answer with this error, or is it of the client's making? */
export function isEngineAnswer(error: unknown): boolean {
  return error instanceof NaruError && typeof error.details["status"] === "number";
}

function isUnreachable(error: NaruError): boolean {
  return error.kind === "unavailable" && error.details["code"] !== undefined;
}

/** The message, and what to do next where that is known. */
export function explain(error: unknown, program: string): string {
  const message = errorMessage(error);
  if (!(error instanceof NaruError)) return message;
  if (isUnreachable(error)) {
    const start = program === "docker" ? "naru daemon" : `${program} daemon`;
    return `${message}\nstart it with "${start}", or name another engine with --host or DOCKER_HOST`;
  }
  if (error.kind === "forbidden" && error.details["code"] !== undefined) {
    return `${message}\nrun it as root, or join the group that owns the socket`;
  }
  return message;
}
