import { NaruError } from "../base/mod.ts";
import type { UpgradeResult, Wire, WireRequest, WireResponse } from "./wire.ts";

/** The part of the platform's `fetch` that is needed; a browser's or a test's. */
export type FetchFunction = (url: string, init: RequestInit) => Promise<Response>;

/** Requests through a given fetch against `baseUrl`, for where there are no sockets. */
export class FetchWire implements Wire {
  readonly #fetch: FetchFunction;
  readonly #baseUrl: string;

  constructor(fetchFunction: FetchFunction, baseUrl: string) {
    this.#fetch = fetchFunction;
    this.#baseUrl = baseUrl.replace(/\/$/, "");
  }

  async send(request: WireRequest): Promise<WireResponse> {
    const abort = new AbortController();
    const signal =
      request.signal === undefined ? abort.signal : AbortSignal.any([request.signal, abort.signal]);
    let response: Response;
    try {
      response = await this.#fetch(`${this.#baseUrl}${request.target}`, {
        method: request.method,
        headers: request.headers,
        signal,
        ...(request.body === undefined ? {} : { body: fetchBody(request.body) }),
      });
    } catch (cause) {
      if (signal.aborted) {
        throw new NaruError("cancelled", "the request was cancelled", {}, { cause });
      }
      throw new NaruError(
        "unavailable",
        `cannot connect to the engine at ${this.#baseUrl}: is it running?`,
        { host: this.#baseUrl },
        { cause },
      );
    }
    return {
      status: response.status,
      headers: new Map(response.headers),
      body: streamOf(response),
      close: () => abort.abort(),
    };
  }

  upgrade(): Promise<UpgradeResult> {
    throw new NaruError("unsupported", "this connection cannot carry attached streams");
  }

  close(): void {
    // Nothing is kept open between requests.
  }
}

function fetchBody(body: NonNullable<WireRequest["body"]>): NonNullable<RequestInit["body"]> {
  if (typeof body === "string") return body;
  if (body instanceof Uint8Array) return new Uint8Array(body);
  const iterator = body[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      const next = await iterator.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel(): Promise<void> {
      await iterator.return?.();
    },
  });
}

async function* streamOf(response: Response): AsyncGenerator<Uint8Array, void, void> {
  if (response.body === null) return;
  yield* response.body as unknown as AsyncIterable<Uint8Array>;
}
