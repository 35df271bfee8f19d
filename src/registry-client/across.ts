import { type Clock, type Digest, isDigest, isNaruError, NaruError } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { parseReference } from "../oci/mod.ts";
import type { Authenticator } from "./authenticator.ts";
import { retrying } from "./backoff.ts";
import type { RegistryAccess, RegistryHosts, RepositoryName } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import type { EndpointHealth } from "./endpoint-health.ts";
import type { HostDirectory } from "./host-directory.ts";
import type { Session } from "./session.ts";
import type { TokenService } from "./token-service.ts";

/** What the operations of the client are made of. */
export interface ClientParts {
  readonly session: Session;
  readonly directory: HostDirectory;
  readonly health: EndpointHealth;
  readonly authenticator: Authenticator;
  readonly tokens: TokenService;
  readonly hosts: () => RegistryHosts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/** What an endpoint is needed for. */
export type Need = "pull" | "resolve" | "push";

const MIRROR_ATTEMPTS = 2; // another endpoint is the better second chance

/**
 * Endpoints for a repository in the order to ask them. Names are checked here again, whoever made
 * them: they become parts of URLs and scopes.
 */
export async function endpointsFor(
  parts: ClientParts,
  repository: RepositoryName,
  need: Need,
  digest?: Digest,
): Promise<readonly Endpoint[]> {
  parseReference(`${repository.domain}/${repository.path}`);
  const all = await parts.directory.endpointsOf(repository.domain);
  const able = all.filter((endpoint) => can(endpoint, need));
  if (able.length > 0) return parts.health.order(able, digest);
  const message = `no endpoint of ${repository.domain} is allowed to ${need} (capabilities in hosts.toml)`;
  throw new NaruError("unsupported", message);
}

function can(endpoint: Endpoint, need: Need): boolean {
  switch (need) {
    case "pull":
      return endpoint.canPull;
    case "resolve":
      return endpoint.canPull && endpoint.canResolve;
    case "push":
      return endpoint.canPush;
  }
}

/** The one endpoint that is written to. */
export async function pushEndpoint(
  parts: ClientParts,
  repository: RepositoryName,
): Promise<Endpoint> {
  const [first] = await endpointsFor(parts, repository, "push");
  return first as Endpoint;
}

export interface AcrossOptions {
  readonly need: "pull" | "resolve";
  readonly access: RegistryAccess;
  readonly digest?: Digest | undefined;
}

/**
 * Asks one endpoint after another. Undefined (there is none) and failures of a mirror lead to the
 * next; what the last one says counts. Failures that may pass are tried again on each.
 */
export async function across<T>(
  parts: ClientParts,
  repository: RepositoryName,
  options: AcrossOptions,
  run: (endpoint: Endpoint) => Promise<T | undefined>,
): Promise<T | undefined> {
  const endpoints = await endpointsFor(parts, repository, options.need, options.digest);
  let failure: { readonly error: unknown } | undefined;
  for (const [index, endpoint] of endpoints.entries()) {
    const last = index === endpoints.length - 1;
    try {
      const found = await onEndpoint(parts, endpoint, options.access, last, () => run(endpoint));
      if (found !== undefined) return found;
      if (endpoint.mirrorOf === undefined) failure = undefined;
    } catch (error) {
      if (isNaruError(error, "cancelled")) throw error;
      if (endpoint.mirrorOf === undefined || failure === undefined) failure = { error };
      if (!last) {
        parts.logger.warn("a registry endpoint failed, asking the next", {
          endpoint: endpoint.origin,
          error,
        });
      }
    }
  }
  if (failure !== undefined) throw failure.error;
  return undefined;
}

/** Retries on one endpoint, and remembers how it went. */
export async function onEndpoint<T>(
  parts: ClientParts,
  endpoint: Endpoint,
  access: RegistryAccess,
  last: boolean,
  run: () => Promise<T>,
): Promise<T> {
  const { clock, random } = parts;
  const { signal } = access;
  const attemptsAll = parts.hosts().attemptsMax;
  const attemptsMax = last ? attemptsAll : Math.min(MIRROR_ATTEMPTS, attemptsAll);
  try {
    const result = await retrying(run, { clock, random, attemptsMax, signal });
    parts.health.worked(endpoint);
    return result;
  } catch (error) {
    if (isNaruError(error, "unavailable")) parts.health.failed(endpoint);
    throw error;
  }
}

const TAG = /^\w[\w.-]{0,127}$/;

/** Throws invalid_argument for what is neither a tag nor a digest. */
export function checkTarget(target: string): string {
  if (isDigest(target) || TAG.test(target)) return target;
  throw new NaruError("invalid_argument", `invalid tag or digest "${target.slice(0, 100)}"`);
}
