import type { RegistryService, SystemFacts } from "../api/mod.ts";
import type { RegistryConfig } from "../config/mod.ts";
import { parseReference, withDefaultTag } from "../oci/mod.ts";
import type { RegistryClient, RegistryHosts } from "../registry-client/mod.ts";

/** Folders of certificates and `hosts.toml`, naru's own first. */
const CERTS_DIRS: readonly string[] = [
  "/etc/naru/certs.d",
  "/etc/docker/certs.d",
  "/etc/containerd/certs.d",
];

type Environment = Readonly<Record<string, string | undefined>>;

/** How registries are reached. Proxies that are not configured are those of the environment. */
export function registryHosts(config: RegistryConfig, environment: Environment): RegistryHosts {
  const either = (configured: string, name: string): string =>
    configured || (environment[name] ?? environment[name.toLowerCase()] ?? "");
  return {
    mirrors: config.mirrors,
    insecure: config.insecure,
    certsDirs: config.certsDirs.length > 0 ? config.certsDirs : CERTS_DIRS,
    proxies: {
      httpProxy: either(config.httpProxy, "HTTP_PROXY"),
      httpsProxy: either(config.httpsProxy, "HTTPS_PROXY"),
      noProxy: either(config.noProxy, "NO_PROXY"),
    },
    offline: config.offline,
    attemptsMax: config.attemptsMax,
  };
}

/** What `info` says of registries. */
export function registryFacts(
  config: RegistryConfig,
  environment: Environment,
): Pick<SystemFacts, "registries" | "httpProxy" | "httpsProxy" | "noProxy"> {
  const { mirrors, insecure, proxies } = registryHosts(config, environment);
  return {
    registries: { mirrors, insecure },
    httpProxy: withoutPassword(proxies.httpProxy),
    httpsProxy: withoutPassword(proxies.httpsProxy),
    noProxy: proxies.noProxy,
  };
}

/** What a reload says of registries in its event. @see dockerd's daemon reload attributes */
export function registryAttributes(config: RegistryConfig): Record<string, string> {
  return {
    "insecure-registries": JSON.stringify(config.insecure),
    "max-concurrent-downloads": String(config.downloadsMax),
    "max-concurrent-uploads": String(config.uploadsMax),
    "max-download-attempts": String(config.attemptsMax),
    mirrors: JSON.stringify(Object.fromEntries(config.mirrors)),
    offline: String(config.offline),
    "registry-mirrors": JSON.stringify(config.mirrors.get("docker.io") ?? []),
  };
}

/** Proxies are shown to whoever may ask; their passwords are not. */
function withoutPassword(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^@/]*@/i, "$1xxxxx:xxxxx@");
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
