import { KiB, NaruError } from "../base/mod.ts";
import { isObject } from "../spec/mod.ts";
import { type ReadOptions, readAll } from "./answer-body.ts";
import { hasControl } from "./header-text.ts";
import type { HttpAnswer } from "./http-transport.ts";

const ERROR_BODY_BYTES_MAX: number = 64 * KiB; // distribution-spec errors are below 2 KiB
const MESSAGE_CHARACTERS_MAX = 500; // what a person will read of a foreign text

/** The statuses that trying again may mend. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

export function isPassing(status: number): boolean {
  return PASSING.has(status);
}

/** One entry of an error body. @see distribution-spec "Error Codes" */
interface RegistryErrorEntry {
  readonly code: string;
  readonly message: string;
}

/**
 * Reads what a registry says went wrong. `details.status` holds the HTTP status, `details.code` the
 * first code of the specification's error body. Foreign text is cut and freed of control characters.
 */
export async function statusError(
  answer: HttpAnswer,
  what: string,
  options: ReadOptions,
): Promise<NaruError> {
  const entries = await errorEntries(answer, options);
  const { status } = answer;
  const code = entries[0]?.code ?? "";
  const said = entries.map(({ message, code: own }) => (message === "" ? own : message));
  const text = said.length === 0 ? `status ${status}` : said.join("; ");
  const details = { status, registry: answer.url.host, ...(code === "" ? {} : { code }) };
  return new NaruError(kindOf(status, code), `${what}: ${text}`, details);
}

function kindOf(status: number, code: string): NaruError["kind"] {
  if (code === "DENIED" && status !== 429) return status === 401 ? "unauthorized" : "forbidden";
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (status === 404 || status === 410) return "not_found";
  if (status === 409) return "conflict";
  if (status === 413) return "too_large";
  if (status === 405 || status === 406 || status === 415 || status === 501) return "unsupported";
  if (status === 507) return "exhausted";
  if (isPassing(status) || status >= 500) return "unavailable";
  return "invalid_argument";
}

async function errorEntries(
  answer: HttpAnswer,
  options: ReadOptions,
): Promise<readonly RegistryErrorEntry[]> {
  let body: unknown;
  try {
    const bytes = await readAll(answer, ERROR_BODY_BYTES_MAX, { ...options, what: "the error" });
    body = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return []; // the status says enough
  }
  if (!isObject(body)) return [];
  const list = Array.isArray(body["errors"]) ? body["errors"] : [];
  const entries = list.slice(0, 5).filter(isObject);
  if (entries.length === 0 && typeof body["details"] === "string") {
    return [{ code: "", message: clean(body["details"]) }]; // Docker's token service
  }
  return entries.map((entry) => ({ code: clean(entry["code"]), message: clean(entry["message"]) }));
}

function clean(value: unknown): string {
  if (typeof value !== "string") return "";
  const text = value.slice(0, MESSAGE_CHARACTERS_MAX);
  return hasControl(text)
    ? Array.from(text)
        .filter((one) => !hasControl(one))
        .join("")
    : text;
}
