/** What TLS to an endpoint needs. */
export interface TlsMaterial {
  /** PEM; added to the system's authorities. */
  readonly ca: readonly string[];
  /** PEM, with its key. */
  readonly client: { readonly cert: string; readonly key: string } | undefined;
  /** False: any certificate will do. */
  readonly verify: boolean;
}

/** One place that serves a registry's repositories: the registry itself or a mirror. */
export interface Endpoint {
  /** Without a path: `https://registry-1.docker.io`. */
  readonly origin: string;
  /** Before `/<name>/…`: `/v2`, or something else for a mirror below a path. */
  readonly basePath: string;
  readonly tls: TlsMaterial;
  /** From hosts.toml; sent to this endpoint alone. */
  readonly headers: Readonly<Record<string, string>>;
  /** The registry's host, for mirrors of many registries (`?ns=`). Undefined: it is the registry. */
  readonly mirrorOf: string | undefined;
  /** May the user's credentials for the registry be sent here? */
  readonly trusted: boolean;
  readonly canPull: boolean;
  /** May turn tags into digests. */
  readonly canResolve: boolean;
  readonly canPush: boolean;
}

/** Credentials never go over plain HTTP unless the user said so, or it stays on this host. */
export function isPlain(endpoint: Endpoint): boolean {
  return endpoint.origin.startsWith("http:");
}
