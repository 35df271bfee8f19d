import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { BlobStore } from "../storage/mod.ts";
import type { Access, Client } from "./access.ts";
import type { Catalog } from "./catalog.ts";
import type { RegistryEvents } from "./events.ts";
import type { Metrics } from "./metrics.ts";
import type { Rules } from "./rules.ts";
import type { Uploads } from "./uploads.ts";
import type { Upstream } from "./upstream.ts";

/** What the endpoints work with. */
export interface RegistryParts {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly uploads: Uploads;
  readonly access: Access;
  readonly rules: Rules;
  readonly events: RegistryEvents;
  readonly metrics: Metrics;
  /** Of a read-through cache; undefined: what is pushed here is all there is. */
  readonly upstream: Upstream | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One request and its answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly identity: Client;
}

type Headers = Readonly<Record<string, string | number>>;

/** An answer without a body. */
export function answerEmpty(response: ServerResponse, status: number, headers: Headers = {}): void {
  response.writeHead(status, status === 204 ? headers : { ...headers, "Content-Length": 0 });
  response.end();
}

/** An answer of known bytes; HEAD gets the headers alone. */
export function answerBytes(
  { request, response }: Pick<Exchange, "request" | "response">,
  status: number,
  headers: Headers,
  bytes: Uint8Array | string,
): void {
  response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(bytes) });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

/** `Link` to the page after this one. @see distribution-spec "Listing Tags" */
export function nextLink(path: string, parameters: Readonly<Record<string, string>>): string {
  return `<${path}?${new URLSearchParams(parameters).toString()}>; rel="next"`;
}
