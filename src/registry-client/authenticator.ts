import type { BearerChallenge } from "./challenge.ts";
import { parseChallenges, pickChallenge } from "./challenge.ts";
import type { RegistryAccess, RegistryCredentials } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import type { TokenCache } from "./token-cache.ts";
import { basicAuthorization, credentialsKey, type TokenService } from "./token-service.ts";

/** What a request needs to be allowed: `repository:library/busybox:pull`. */
export type Scopes = readonly string[];

const ORIGINS_MAX = 1000; // hosts asked in one engine's life; learning again costs one request

export function repositoryScope(path: string, actions: "pull" | "pull,push"): string {
  return `repository:${path}:${actions}`;
}

/** Knows what each endpoint wants, and gives the Authorization header for it. */
export class Authenticator {
  readonly #tokens: TokenService;
  readonly #cache: TokenCache;
  readonly #wanted: Map<string, "basic" | BearerChallenge> = new Map();

  constructor(tokens: TokenService, cache: TokenCache) {
    this.#tokens = tokens;
    this.#cache = cache;
  }

  /** Undefined: nothing is known to be wanted, or there is nothing to offer. */
  async authorization(
    endpoint: Endpoint,
    scopes: Scopes,
    access: RegistryAccess,
  ): Promise<string | undefined> {
    const credentials = usable(endpoint, access.credentials);
    if (credentials !== undefined && credentials.registryToken !== "") {
      return `Bearer ${credentials.registryToken}`;
    }
    const wanted = this.#wanted.get(endpoint.origin);
    if (wanted === undefined) return undefined;
    if (wanted === "basic") {
      return credentials === undefined || credentials.username === ""
        ? undefined
        : basicAuthorization(credentials);
    }
    const key = cacheKey(endpoint, wanted, credentials, scopes);
    const wider = scopes.map((scope) => scope.replace(/:pull$/, ":pull,push"));
    const known =
      this.#cache.get(key) ?? this.#cache.get(cacheKey(endpoint, wanted, credentials, wider));
    if (known !== undefined) return `Bearer ${known}`;
    const { signal } = access;
    const request = { endpoint, challenge: wanted, scopes, credentials, offline: false, signal };
    const answer = await this.#tokens.fetch(request).catch((error: unknown) => {
      this.#wanted.delete(endpoint.origin); // the registry may have another service by now
      throw error;
    });
    this.#cache.set(key, answer.token, answer.lifeSeconds);
    return `Bearer ${answer.token}`;
  }

  /**
   * Takes in a 401. True when asking again can help: there is something to offer that was not in
   * `sent`.
   */
  learn(
    endpoint: Endpoint,
    header: string | undefined,
    request: { scopes: Scopes; access: RegistryAccess; sent: string | undefined },
  ): boolean {
    const wanted = pickChallenge(parseChallenges(header ?? ""));
    if (wanted === undefined) return false;
    if (this.#wanted.size >= ORIGINS_MAX) this.#wanted.clear();
    this.#wanted.set(endpoint.origin, wanted);
    const credentials = usable(endpoint, request.access.credentials);
    if (credentials !== undefined && credentials.registryToken !== "") return false;
    if (wanted === "basic") {
      return request.sent === undefined && (credentials?.username ?? "") !== "";
    }
    // A token that was refused may have been revoked: a fresh one gets one more try.
    const wider = request.scopes.map((scope) => scope.replace(/:pull$/, ":pull,push"));
    this.#cache.delete(cacheKey(endpoint, wanted, credentials, request.scopes));
    this.#cache.delete(cacheKey(endpoint, wanted, credentials, wider));
    return true;
  }

  /** What the endpoint is known to want. */
  wanted(endpoint: Endpoint): "basic" | BearerChallenge | undefined {
    return this.#wanted.get(endpoint.origin);
  }
}

/** Mirrors and other hosts get none. */
function usable(
  endpoint: Endpoint,
  credentials: RegistryCredentials | undefined,
): RegistryCredentials | undefined {
  if (!endpoint.trusted || credentials === undefined) return undefined;
  const { username, identityToken, registryToken } = credentials;
  return username === "" && identityToken === "" && registryToken === "" ? undefined : credentials;
}

function cacheKey(
  endpoint: Endpoint,
  wanted: BearerChallenge,
  credentials: RegistryCredentials | undefined,
  scopes: Scopes,
): string {
  const parts = [endpoint.origin, wanted.realm, wanted.service, credentialsKey(credentials)];
  return JSON.stringify([...parts, ...[...scopes].sort()]);
}
