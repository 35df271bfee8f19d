import { type Clock, isNaruError, NaruError } from "../base/mod.ts";
import { classOfHost, guardFor } from "./address-guard.ts";
import { RATE_FLOOR, type RateFloor, type ReadOptions } from "./answer-body.ts";
import type { Authenticator, Scopes } from "./authenticator.ts";
import type { RegistryAccess } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import { hasControl, retryAfterMs } from "./header-text.ts";
import type { HostDirectory } from "./host-directory.ts";
import type { HttpAnswer, HttpBody, HttpRequest, HttpTransport } from "./http-transport.ts";
import { isPassing, statusError } from "./status-error.ts";
import { hostOf } from "./url-parts.ts";

const REDIRECTS_MAX = 5; // a registry sends to its storage, which sends on once or twice

export interface SessionRequest {
  readonly method: string;
  /** Below the endpoint's base: `/library/busybox/tags/list?n=100`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpBody | undefined;
  readonly scopes: Scopes;
  readonly access: RegistryAccess;
  /** What is being done, for errors: `cannot pull busybox`. */
  readonly what: string;
}

/** Requests to one endpoint with what it wants to know: tokens, redirects, limits. */
export class Session {
  readonly #transport: HttpTransport;
  readonly #directory: HostDirectory;
  readonly #authenticator: Authenticator;
  readonly #userAgent: string;
  readonly #floor: RateFloor;
  readonly clock: Clock;

  constructor(parts: {
    transport: HttpTransport;
    directory: HostDirectory;
    authenticator: Authenticator;
    clock: Clock;
    userAgent: string;
    floor?: RateFloor | undefined;
  }) {
    this.#transport = parts.transport;
    this.#directory = parts.directory;
    this.#authenticator = parts.authenticator;
    this.#userAgent = parts.userAgent;
    this.#floor = parts.floor ?? RATE_FLOOR;
    this.clock = parts.clock;
  }

  reading(access: RegistryAccess): ReadOptions {
    return { clock: this.clock, signal: access.signal, floor: this.#floor };
  }

  /**
   * One request, answered in full: a 401 was tried with credentials, redirects were followed, and
   * what may pass (429, 5xx) was thrown as unavailable. Other statuses are the caller's.
   */
  async send(endpoint: Endpoint, request: SessionRequest): Promise<HttpAnswer> {
    const url = new URL(endpoint.origin + endpoint.basePath + request.path);
    if (endpoint.mirrorOf !== undefined) url.searchParams.set("ns", endpoint.mirrorOf);
    return this.sendTo(endpoint, url, request);
  }

  /** One request without credentials, whatever is answered. */
  probe(endpoint: Endpoint, path: string, access: RegistryAccess): Promise<HttpAnswer> {
    const url = new URL(endpoint.origin + endpoint.basePath + path);
    const request = { method: "GET", scopes: [], access, what: "cannot ask the registry" };
    return this.#exchange(endpoint, url, request, undefined);
  }

  /** As send, to a URL that the endpoint gave (an upload's place, the next page). */
  async sendTo(
    endpoint: Endpoint,
    url: URL,
    request: Omit<SessionRequest, "path">,
  ): Promise<HttpAnswer> {
    const { access, scopes } = request;
    const sent = await this.#remembered(endpoint, scopes, access);
    let answer = await this.#exchange(endpoint, url, request, sent);
    if (answer.status === 401 && isOwn(endpoint, answer.url)) {
      const header = answer.headers["www-authenticate"];
      if (this.#authenticator.learn(endpoint, header, { scopes, access, sent })) {
        answer.body.destroy();
        const fresh = await this.#authenticator.authorization(endpoint, scopes, access);
        answer = await this.#exchange(endpoint, url, request, fresh);
      }
    }
    if (!isPassing(answer.status)) return answer;
    const waitMs = retryAfterMs(answer.headers["retry-after"], this.clock.nowMs());
    const error = await statusError(answer, request.what, this.reading(access));
    const details = { ...error.details, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
    throw new NaruError("unavailable", error.message, details);
  }

  /** What the endpoint wanted before. When that fails, it is asked anew what it wants. */
  async #remembered(
    endpoint: Endpoint,
    scopes: Scopes,
    access: RegistryAccess,
  ): Promise<string | undefined> {
    try {
      return await this.#authenticator.authorization(endpoint, scopes, access);
    } catch (error) {
      if (isNaruError(error, "cancelled")) throw error;
      return undefined;
    }
  }

  async #exchange(
    endpoint: Endpoint,
    first: URL,
    request: Omit<SessionRequest, "path">,
    authorization: string | undefined,
  ): Promise<HttpAnswer> {
    let url = first;
    for (let hops = 0; ; hops += 1) {
      const answer = await this.#transport.exchange(
        await this.#httpRequest(endpoint, url, request, authorization),
      );
      const next = redirectTarget(answer, request.method);
      if (next === undefined) return answer;
      answer.body.destroy();
      if (hops >= REDIRECTS_MAX) {
        throw refusedRedirect(endpoint, `more than ${REDIRECTS_MAX} redirects`);
      }
      url = checkRedirect(endpoint, url, next);
    }
  }

  async #httpRequest(
    endpoint: Endpoint,
    url: URL,
    request: Omit<SessionRequest, "path">,
    authorization: string | undefined,
  ): Promise<HttpRequest> {
    const own = isOwn(endpoint, url);
    // What is for the registry stays with it: another host gets no credentials and no own headers.
    const secrets = own
      ? { ...endpoint.headers, ...(authorization === undefined ? {} : { authorization }) }
      : {};
    const trusted = own || this.#directory.isConfigured(url);
    const from = trusted ? undefined : await classOfHost(hostOf(new URL(endpoint.origin)));
    return {
      method: request.method,
      url,
      headers: {
        "user-agent": this.#userAgent,
        "accept-encoding": "identity", // bytes are counted and hashed as they are stored
        ...request.headers,
        ...secrets,
      },
      body: request.body,
      tls: own ? endpoint.tls : await this.#directory.tlsOf(url),
      guard: from === undefined ? undefined : guardFor(from),
      proxy: this.#directory.proxyOf(url),
      signal: request.access.signal,
    };
  }
}

function isOwn(endpoint: Endpoint, url: URL): boolean {
  return url.origin === new URL(endpoint.origin).origin;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Bodies are not sent twice: only GET and HEAD follow. */
function redirectTarget(answer: HttpAnswer, method: string): string | undefined {
  if (!REDIRECTS.has(answer.status)) return undefined;
  if (method !== "GET" && method !== "HEAD") return undefined;
  return answer.headers.location;
}

/** Where to go on. Throws forbidden for another scheme than before, unless it is the safer one. */
function checkRedirect(endpoint: Endpoint, from: URL, location: string): URL {
  if (hasControl(location) || !URL.canParse(location, from.href)) {
    throw refusedRedirect(endpoint, "a redirect to nowhere");
  }
  const url = new URL(location, from);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw refusedRedirect(endpoint, `a redirect to the scheme ${url.protocol.slice(0, 20)}`);
  }
  if (url.protocol === "http:" && from.protocol === "https:") {
    throw refusedRedirect(endpoint, `a redirect from TLS to plain HTTP (${url.host})`);
  }
  url.username = "";
  url.password = "";
  return url;
}

function refusedRedirect(endpoint: Endpoint, what: string): NaruError {
  const { host } = new URL(endpoint.origin);
  return new NaruError("forbidden", `registry ${host} answers with ${what}: refused`, { host });
}

/**
 * Where an upload goes on, from the Location header. A registry behind a TLS proxy often names itself
 * with http: that is read as its own origin. Another host is spoken to without credentials, and
 * never over plain HTTP when the registry is not.
 */
export function uploadUrl(endpoint: Endpoint, from: URL, location: string | undefined): URL {
  const text = location ?? "";
  if (text === "" || hasControl(text) || !URL.canParse(text, from.href)) {
    throw new NaruError("damaged", `registry ${from.host} gives no place for the upload`);
  }
  const url = new URL(text, from);
  const own = new URL(endpoint.origin);
  if (url.hostname === own.hostname && (url.port === "" || url.port === own.port)) {
    url.protocol = own.protocol;
    url.port = own.port;
  }
  return checkRedirect(endpoint, own, url.href);
}
