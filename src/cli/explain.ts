import { errorMessage, NaruError } from "../base/mod.ts";

/** The message, and what to do next where that is known. */
export function explain(error: unknown, program: string): string {
  const message = errorMessage(error);
  if (!(error instanceof NaruError)) return message;
  if (error.kind === "unavailable" && error.details["code"] !== undefined) {
    const start = program === "docker" ? "naru daemon" : `${program} daemon`;
    return `${message}\nstart it with "${start}", or name another engine with --host or DOCKER_HOST`;
  }
  if (error.kind === "forbidden" && error.details["code"] !== undefined) {
    return `${message}\nrun it as root, or join the group that owns the socket`;
  }
  return message;
}
