import { type Clock, digestOf, KiB, NaruError } from "../base/mod.ts";
import { isObject } from "../spec/mod.ts";
import { classOfHost, guardFor } from "./address-guard.ts";
import { RATE_FLOOR, type ReadOptions, readJson } from "./answer-body.ts";
import type { BearerChallenge } from "./challenge.ts";
import type { RegistryCredentials } from "./contract.ts";
import { type Endpoint, isPlain, type TlsMaterial } from "./endpoint.ts";
import { hasControl } from "./header-text.ts";
import type { HttpAnswer, HttpRequest, HttpTransport } from "./http-transport.ts";
import { statusError } from "./status-error.ts";
import { hostOf } from "./url-parts.ts";

const TOKEN_BYTES_MAX: number = 128 * KiB; // Amazon's tokens are 3 KiB; servers limit a header to 8 to 64
const CLIENT_ID = "naru";

/** How hosts beside the registry itself are reached. */
export interface OtherHosts {
  tlsOf(url: URL): Promise<TlsMaterial>;
  proxyOf(url: URL): URL | undefined;
}

export interface TokenRequest {
  readonly endpoint: Endpoint;
  readonly challenge: BearerChallenge;
  readonly scopes: readonly string[];
  /** Undefined: an anonymous token. */
  readonly credentials: RegistryCredentials | undefined;
  /** Asks for a refresh token as well. */
  readonly offline: boolean;
  readonly signal: AbortSignal;
}

export interface TokenAnswer {
  readonly token: string;
  readonly lifeSeconds: unknown;
  readonly refreshToken: string;
}

/**
 * Fetches bearer tokens. The registry names the service (the realm). It may live on another host, as
 * Docker Hub's does: a registry is trusted with the credentials for itself, and its answer came over
 * TLS. But never over plain HTTP unless the registry is reached so too, never to an address further
 * in than the registry's own, and never after a redirect.
 * @see distribution "Token Authentication Specification", "OAuth2 Token Authentication"
 */
export class TokenService {
  readonly #transport: HttpTransport;
  readonly #hosts: OtherHosts;
  readonly #clock: Clock;
  readonly #userAgent: string;

  constructor(parts: {
    transport: HttpTransport;
    hosts: OtherHosts;
    clock: Clock;
    userAgent: string;
  }) {
    this.#transport = parts.transport;
    this.#hosts = parts.hosts;
    this.#clock = parts.clock;
    this.#userAgent = parts.userAgent;
  }

  /** Throws unauthorized, forbidden (an unsafe realm), unavailable, damaged. */
  async fetch(request: TokenRequest): Promise<TokenAnswer> {
    const realm = checkRealm(request.challenge.realm, request.endpoint);
    const { credentials } = request;
    if (credentials !== undefined && credentials.identityToken !== "") {
      return this.#post(realm, request, {
        grant_type: "refresh_token",
        refresh_token: credentials.identityToken,
      });
    }
    const answer = await this.#get(realm, request);
    if (credentials === undefined || (answer.status !== 404 && answer.status !== 405)) {
      return this.#read(answer, request);
    }
    answer.body.destroy();
    return this.#post(realm, request, {
      grant_type: "password",
      username: credentials.username,
      password: credentials.password,
      ...(request.offline ? { access_type: "offline" } : {}),
    });
  }

  async #get(realm: URL, request: TokenRequest): Promise<HttpAnswer> {
    const url = new URL(realm);
    const { credentials, challenge, scopes, offline } = request;
    if (challenge.service !== "") url.searchParams.set("service", challenge.service);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    if (offline) {
      url.searchParams.set("offline_token", "true");
      url.searchParams.set("client_id", CLIENT_ID);
    }
    if (credentials === undefined) return this.#exchange(url, request, { method: "GET" });
    url.searchParams.set("account", credentials.username);
    return this.#exchange(url, request, {
      method: "GET",
      headers: { authorization: basicAuthorization(credentials) },
    });
  }

  async #post(
    realm: URL,
    request: TokenRequest,
    fields: Readonly<Record<string, string>>,
  ): Promise<TokenAnswer> {
    const form = new URLSearchParams(fields);
    form.set("service", request.challenge.service);
    form.set("client_id", CLIENT_ID);
    if (request.scopes.length > 0) form.set("scope", request.scopes.join(" "));
    const bytes = new TextEncoder().encode(form.toString());
    const answer = await this.#exchange(realm, request, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: { sizeBytes: bytes.length, open: () => once(bytes) },
    });
    return this.#read(answer, request);
  }

  async #exchange(
    url: URL,
    { endpoint, signal }: TokenRequest,
    part: Pick<HttpRequest, "method" | "body"> & { headers?: Readonly<Record<string, string>> },
  ): Promise<HttpAnswer> {
    const own = url.origin === new URL(endpoint.origin).origin;
    const from = own ? undefined : await classOfHost(hostOf(new URL(endpoint.origin)));
    return this.#transport.exchange({
      method: part.method,
      url,
      headers: { "user-agent": this.#userAgent, accept: "application/json", ...part.headers },
      body: part.body,
      tls: own ? endpoint.tls : await this.#hosts.tlsOf(url),
      guard: from === undefined ? undefined : guardFor(from),
      proxy: this.#hosts.proxyOf(url),
      signal,
    });
  }

  async #read(answer: HttpAnswer, { endpoint, signal }: TokenRequest): Promise<TokenAnswer> {
    const options: ReadOptions = { clock: this.#clock, signal, floor: RATE_FLOOR };
    const registry = new URL(endpoint.origin).host;
    if (answer.status !== 200) {
      throw await statusError(answer, `the token service of ${registry} refuses`, options);
    }
    const what = `the answer of ${answer.url.host}`;
    const body = await readJson(answer, TOKEN_BYTES_MAX, { ...options, what });
    if (!isObject(body)) throw new NaruError("damaged", `${what} is not a JSON object`);
    const token = body["token"] || body["access_token"];
    if (typeof token !== "string" || token === "" || hasControl(token)) {
      throw new NaruError("damaged", `${what} holds no token`);
    }
    const refresh = body["refresh_token"];
    return {
      token,
      lifeSeconds: body["expires_in"],
      refreshToken: typeof refresh === "string" ? refresh : "",
    };
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Throws forbidden for a realm that must not be asked. */
function checkRealm(text: string, endpoint: Endpoint): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const registry = new URL(endpoint.origin).host;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    const message = `registry ${registry} names no token service that naru can ask: "${text.slice(0, 200)}"`;
    throw new NaruError("forbidden", message);
  }
  if (url.protocol === "http:" && !isPlain(endpoint) && endpoint.tls.verify) {
    const message = `registry ${registry} wants credentials sent to ${url.host} without TLS: refused`;
    throw new NaruError("forbidden", message);
  }
  url.username = "";
  url.password = "";
  url.hash = "";
  return url;
}

export function basicAuthorization(credentials: RegistryCredentials): string {
  const pair = `${credentials.username}:${credentials.password}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

/** Tells credentials apart without holding them. */
export function credentialsKey(credentials: RegistryCredentials | undefined): string {
  if (credentials === undefined) return "";
  const { username, password, identityToken, registryToken } = credentials;
  return digestOf(JSON.stringify([username, password, identityToken, registryToken]));
}
