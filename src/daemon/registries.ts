import type { RegistryService } from "../api/mod.ts";
import { parseReference, withDefaultTag } from "../oci/mod.ts";
import type { RegistryClient, RegistryHosts } from "../registry-client/mod.ts";

/** Folders of certificates and `hosts.toml`, naru's own first. */
const CERTS_DIRS: readonly string[] = [
  "/etc/naru/certs.d",
  "/etc/docker/certs.d",
  "/etc/containerd/certs.d",
];

const ATTEMPTS_MAX = 5; // dockerd's max-download-attempts

/** How registries are reached. Proxies are those of the environment. */
export function registryHosts(
  environment: Readonly<Record<string, string | undefined>>,
): RegistryHosts {
  const either = (name: string): string =>
    environment[name] ?? environment[name.toLowerCase()] ?? "";
  return {
    mirrors: new Map(),
    insecure: [],
    certsDirs: CERTS_DIRS,
    proxies: {
      httpProxy: either("HTTP_PROXY"),
      httpsProxy: either("HTTPS_PROXY"),
      noProxy: either("NO_PROXY"),
    },
    offline: false,
    attemptsMax: ATTEMPTS_MAX,
  };
}

/** What the Engine API asks of registries, by names as people type them. */
export function registryService(client: RegistryClient): RegistryService {
  return {
    checkAuth: (credentials, signal) => client.checkAuth(credentials, signal),
    inspect: async (name, access) => {
      const reference = withDefaultTag(parseReference(name));
      return client.inspect(reference, reference.digest ?? reference.tag ?? "", access);
    },
    search: (term, options) => client.search(term, options),
  };
}
