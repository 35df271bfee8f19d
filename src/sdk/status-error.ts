import { type ErrorKind, NaruError } from "../base/mod.ts";

const KINDS: Readonly<Record<number, ErrorKind>> = {
  304: "not_modified",
  400: "invalid_argument",
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  409: "conflict",
  413: "too_large",
  499: "cancelled",
  501: "unsupported",
  503: "unavailable",
  507: "exhausted",
};

/** What an answer of 304, or 400 and above, means; the message is the engine's own. */
export function errorOfStatus(status: number, body: string): NaruError {
  const kind = KINDS[status] ?? (status < 500 ? "invalid_argument" : "internal");
  return new NaruError(kind, messageOf(body) || `the engine answered with status ${status}`, {
    status,
  });
}

function messageOf(body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null && "message" in parsed) {
      return String(parsed.message).trim();
    }
  } catch {
    // Proxies and very old engines answer with plain text.
  }
  return body.trim();
}
