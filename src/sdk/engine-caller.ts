import type { HijackedStream, RequestBody, WireResponse } from "./wire.ts";

type QueryValue = string | number | boolean | readonly string[] | undefined;

export interface CallOptions {
  readonly query?: Readonly<Record<string, QueryValue>> | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; not together with `json`. */
  readonly body?: RequestBody | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the groups of operations need of the client that holds them. */
export interface EngineCaller {
  /** One call; the answer's status is below 400 and not 304. The body must be read or closed. */
  call(method: string, path: string, options?: CallOptions): Promise<WireResponse>;
  /** One call whose answer is JSON. */
  json<T>(method: string, path: string, options?: CallOptions): Promise<T>;
  /** One call whose answer does not matter. */
  run(method: string, path: string, options?: CallOptions): Promise<void>;
  /** A call after which the connection belongs to the two ends. */
  hijack(path: string, options?: CallOptions): Promise<HijackedStream>;
}

/** Reads all of an answer as text. */
export async function readText(response: WireResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
