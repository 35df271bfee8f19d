import { isNaruError, NaruError } from "../base/mod.ts";
import { type ClientParts, onEndpoint } from "./across.ts";
import { parseChallenges, pickChallenge } from "./challenge.ts";
import type { RegistryAccess, RegistryCredentials } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import { statusError } from "./status-error.ts";

const OK = "Login Succeeded"; // clients print it

/** `https://index.docker.io/v1/`, `host:5000`, `https://host/v2/` → the registry's host. */
export function registryHostOf(serverAddress: string): string {
  const bare = serverAddress.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  if (["", "docker.io", "index.docker.io", "registry-1.docker.io"].includes(bare)) {
    return "docker.io";
  }
  if (
    !/^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/.test(bare) ||
    !URL.canParse(`http://${bare}`)
  ) {
    const message = `invalid registry address "${serverAddress.slice(0, 100)}"`;
    throw new NaruError("invalid_argument", message);
  }
  return bare;
}

/**
 * Asks the registry itself (never a mirror) whether it wants these credentials. A registry that wants
 * none accepts all of them, as with Docker. Throws unauthorized, unavailable, forbidden.
 */
export async function checkAuth(
  parts: ClientParts,
  credentials: RegistryCredentials,
  signal: AbortSignal,
): Promise<{ status: string; identityToken: string }> {
  const domain = registryHostOf(credentials.serverAddress);
  const access: RegistryAccess = { credentials, signal };
  const all = await parts.directory.endpointsOf(domain);
  const endpoint = all.find(({ trusted }) => trusted);
  if (endpoint === undefined) {
    throw new NaruError("unavailable", `only mirrors of ${domain} are configured: no log-in`);
  }
  return onEndpoint(parts, endpoint, access, true, () => login(parts, endpoint, access));
}

async function login(
  parts: ClientParts,
  endpoint: Endpoint,
  access: RegistryAccess,
): Promise<{ status: string; identityToken: string }> {
  const what = `cannot log in to ${new URL(endpoint.origin).host}`;
  const request = { method: "GET", path: "/", scopes: [], what };
  // Asked without credentials first, to see what the registry wants today.
  const probe = await parts.session.probe(endpoint, "/", access);
  probe.body.destroy();
  const wanted = pickChallenge(parseChallenges(probe.headers["www-authenticate"] ?? ""));
  if (probe.status === 401 && typeof wanted === "object") {
    const { credentials, signal } = access;
    const asked = { endpoint, challenge: wanted, scopes: [], credentials, offline: true, signal };
    try {
      const { refreshToken } = await parts.tokens.fetch(asked);
      return { status: OK, identityToken: refreshToken };
    } catch (error) {
      if (isNaruError(error, "unauthorized") || isNaruError(error, "forbidden")) {
        if (error.details["status"] !== undefined) throw wrong(endpoint, error);
      }
      throw error;
    }
  }
  const answer = await parts.session.send(endpoint, { ...request, access });
  if (answer.status === 200) {
    answer.body.resume();
    return { status: OK, identityToken: "" };
  }
  const error = await statusError(answer, what, parts.session.reading(access));
  throw error.kind === "unauthorized" ? wrong(endpoint, error) : error;
}

function wrong(endpoint: Endpoint, cause: NaruError): NaruError {
  const { host } = new URL(endpoint.origin);
  const message = `login attempt to ${endpoint.origin}/v2/ failed: unauthorized: incorrect username or password`;
  return new NaruError("unauthorized", message, { registry: host }, { cause });
}
