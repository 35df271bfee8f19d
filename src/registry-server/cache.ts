import { readFileSync } from "node:fs";
import { errorMessage, NaruError, systemClock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import {
  createRegistryClient,
  type RegistryAccess,
  type RegistryHosts,
} from "../registry-client/mod.ts";
import type { CacheParts } from "./registry.ts";
import type { ServeFlags } from "./serve-flags.ts";
import { Upstream } from "./upstream.ts";

/** Where hosts' certificates are, as the engine looks for them. */
const CERTS_DIRS: readonly string[] = [
  "/etc/naru/certs.d",
  "/etc/docker/certs.d",
  "/etc/containerd/certs.d",
];
const ATTEMPTS_MAX = 3; // the client behind this cache tries again itself

/** The client side of a cache, for `openRegistry`. */
export interface Cache {
  upstream(parts: CacheParts): Upstream;
  /** Ends what is being fetched; it is gone on with after the next start. */
  stop(): void;
}

type ProxyFlags = Pick<ServeFlags, "proxy" | "proxyUsername" | "proxyPasswordFile">;

/** Throws invalid_argument for a password that cannot be read. */
export function openCache(flags: ProxyFlags, logger: Logger): Cache {
  const url = new URL(flags.proxy);
  const hosts = hostsFor(url, process.env);
  const client = createRegistryClient({
    ...{ hosts: () => hosts, clock: systemClock, logger, userAgent: "naru-registry" },
  });
  const stopping = new AbortController();
  const domain = domainOf(url);
  const access = { credentials: credentialsOf(flags, domain), signal: stopping.signal };
  return {
    upstream: (parts) => new Upstream({ ...parts, client, domain, access }),
    stop: () => {
      stopping.abort();
      client.close();
    },
  };
}

/** Docker Hub is `docker.io` in names, whatever its registry is called. */
function domainOf({ host, hostname }: URL): string {
  return hostname === "docker.io" || hostname.endsWith(".docker.io") ? "docker.io" : host;
}

function hostsFor(
  url: URL,
  environment: Readonly<Record<string, string | undefined>>,
): RegistryHosts {
  const either = (name: string): string =>
    environment[name] ?? environment[name.toLowerCase()] ?? "";
  return {
    mirrors: new Map(),
    insecure: url.protocol === "http:" ? [url.host] : [],
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

function credentialsOf(
  { proxyUsername, proxyPasswordFile }: ProxyFlags,
  domain: string,
): RegistryAccess["credentials"] {
  if (proxyUsername === "") return undefined;
  try {
    const password = readFileSync(proxyPasswordFile, "utf8").trim();
    const unused = { identityToken: "", registryToken: "" };
    return { username: proxyUsername, password, serverAddress: domain, ...unused };
  } catch (error) {
    throw new NaruError("invalid_argument", errorMessage(error), {}, { cause: error });
  }
}
