import type { IncomingMessage, ServerResponse } from "node:http";
import { MiB, NaruError, SECOND_MS } from "../../base/mod.ts";
import { parseJson } from "../../spec/mod.ts";
import { readBody } from "../../transport/mod.ts";
import type { ApiVersion } from "./api-version.ts";
import { Query } from "./query.ts";

// A create body of a real client is a few KiB; labels and environments of generated ones reach
// hundreds. 4 MiB is beyond any of them and small enough to hold for every open connection.
export const JSON_BODY_BYTES_MAX: number = 4 * MiB;
const JSON_BODY_MS = 30 * SECOND_MS; // a few KiB over the slowest line

/** What of a request both plain and hijacked operations need. */
export interface CallBase {
  readonly request: IncomingMessage;
  readonly requestId: string;
  readonly version: ApiVersion;
  /** The path's parameter, decoded; "" when it has none. */
  readonly param: string;
  readonly query: Query;
}

/** One request to answer. */
export class Call implements CallBase {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly version: ApiVersion;
  readonly param: string;
  readonly #queryText: string;
  #query: Query | undefined;
  #abort: AbortController | undefined;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    facts: { requestId: string; version: ApiVersion; param: string; queryText: string },
  ) {
    this.request = request;
    this.response = response;
    this.requestId = facts.requestId;
    this.version = facts.version;
    this.param = facts.param;
    this.#queryText = facts.queryText;
  }

  get query(): Query {
    this.#query ??= new Query(this.#queryText);
    return this.#query;
  }

  /** Aborts when the client goes away before the answer is complete. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      if (this.response.destroyed) abort.abort();
      this.response.on("close", () => {
        if (!this.response.writableFinished) abort.abort();
      });
    }
    return this.#abort.signal;
  }

  /** Answers with JSON text and a newline, as Go's encoder does. */
  json(value: unknown, status = 200): void {
    this.jsonText(JSON.stringify(value), status);
  }

  jsonText(text: string, status = 200): void {
    const bytes = Buffer.from(`${text}\n`);
    this.response.writeHead(status, JSON_HEADERS.concat("Content-Length", String(bytes.length)));
    this.response.end(this.request.method === "HEAD" ? undefined : bytes);
  }

  /** Answers without a body: 204, 304, or a 2xx with length 0. */
  empty(status: number): void {
    if (status === 204 || status === 304) this.response.writeHead(status);
    else this.response.writeHead(status, ["Content-Length", "0"]);
    this.response.end();
  }

  /** Sends the head at once; the body follows in chunks. */
  startStream(contentType: string): void {
    this.response.writeHead(200, ["Content-Type", contentType]);
    this.response.flushHeaders();
  }

  /** The JSON body. Throws invalid_argument for a wrong Content-Type or malformed JSON, too_large. */
  jsonBody(): Promise<unknown> {
    return readJsonBody(this.request);
  }
}

const JSON_HEADERS: readonly string[] = ["Content-Type", "application/json"];

/** As Call.jsonBody, for hijacked requests. Throws in Docker's words. */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  checkJsonType(request);
  return parseJson((await readText(request)) ?? "");
}

/** The body as text, within the limits of JSON bodies. */
export async function readText(request: IncomingMessage): Promise<string> {
  const bytes = await readBody(request, { bytesMax: JSON_BODY_BYTES_MAX, totalMs: JSON_BODY_MS });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new NaruError("invalid_argument", "invalid JSON: not UTF-8", {}, { cause });
  }
}

function checkJsonType(request: IncomingMessage): void {
  const given = request.headers["content-type"];
  const bodyless =
    (request.headers["content-length"] ?? "0") === "0" &&
    request.headers["transfer-encoding"] === undefined;
  if (given === undefined && bodyless) return;
  const type = (given ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (type === "application/json") return;
  throw new NaruError(
    "invalid_argument",
    `Content-Type specified (${(given ?? "").slice(0, 100)}) must be 'application/json'`,
  );
}
