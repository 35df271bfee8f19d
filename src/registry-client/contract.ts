import type { Digest } from "../base/mod.ts";
import type { Reference } from "../oci/mod.ts";
import type { Descriptor, Platform } from "../spec/mod.ts";

/**
 * What the rest of naru may ask of registries. Story of a pull: `manifest` by tag (mirrors first,
 * then the registry; a token is fetched when the registry wants one), `manifest` by digest for the
 * platform, then `blob` for each layer, which goes on after resets and stalls where it was. Story
 * of a push: `hasBlob` or `mountBlob` for each layer, `pushBlob` for the rest, `pushManifest` last.
 *
 * All errors are NaruError: not_found, unauthorized, forbidden, too_large, damaged (bytes that are
 * not what their digest says), unavailable (tried again in vain), unsupported, cancelled.
 */

/** A repository: where it lives and its path there. A `Reference` is one. */
export type RepositoryName = Pick<Reference, "domain" | "path">;

/** Bytes as they come. Consumers that stop early call `return()`, which closes the connection. */
export type RegistryBytes = AsyncIterable<Uint8Array>;

/** What the client knows of whoever asks. "" where absent. @see reference engine-api AuthConfig */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
  /** A refresh token, from an earlier log-in. */
  readonly identityToken: string;
  /** A bearer token, sent as it is. */
  readonly registryToken: string;
  readonly serverAddress: string;
}

/** One request's view: who asks, and until when. */
export interface RegistryAccess {
  /** For the registry of the repository alone: mirrors and other hosts never see them. */
  readonly credentials: RegistryCredentials | undefined;
  readonly signal: AbortSignal;
}

/** A manifest or an index, to the byte. */
export interface RemoteManifest {
  readonly mediaType: string;
  /** Computed from `bytes`, and compared with what was asked for. */
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export interface BlobOptions {
  readonly access: RegistryAccess;
  readonly startBytes?: number;
  /** Exclusive; the blob's size when absent. */
  readonly endBytes?: number;
}

export interface PushBlobOptions {
  readonly access: RegistryAccess;
  /** Bytes that the registry has, which can go back when an upload begins again. */
  readonly onProgress?: (sentBytes: number) => void;
}

/** What can be fetched by digest. */
export interface SizedDigest {
  readonly digest: Digest;
  readonly size: number;
}

export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly starCount: number;
  readonly isOfficial: boolean;
}

/** What a registry says of an image without its layers being fetched. */
export interface RemoteImage {
  readonly descriptor: Descriptor;
  readonly platforms: readonly Platform[];
}

/** One authenticated request to a repository's registry, for extensions of naru's own. */
export interface ExtensionRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** Opened again when the request is sent again. */
  readonly body?: { readonly sizeBytes: number; readonly open: () => RegistryBytes };
  readonly access: RegistryAccess;
  readonly scope: "pull" | "push";
}

export interface RegistryClient {
  /** HEAD, or GET where HEAD gives no digest. Undefined: there is none. `target` is a tag or digest. */
  head(
    repository: RepositoryName,
    target: string,
    access: RegistryAccess,
  ): Promise<Descriptor | undefined>;
  /** Throws not_found, unauthorized, too_large (over 4 MiB), damaged, unsupported (schema 1). */
  manifest(
    repository: RepositoryName,
    target: string,
    access: RegistryAccess,
  ): Promise<RemoteManifest>;
  /**
   * The bytes from `startBytes` to `endBytes`, exactly so many. Retries, resumption by Range, mirrors
   * and the rate floor are inside; the digest is not verified: whoever writes the blob does, and
   * calls `damaged` when it does not match.
   */
  blob(repository: RepositoryName, blob: SizedDigest, options: BlobOptions): RegistryBytes;
  /** What was served for this digest was wrong: another endpoint is asked first from now on. */
  damaged(digest: Digest): void;
  hasBlob(repository: RepositoryName, digest: Digest, access: RegistryAccess): Promise<boolean>;
  /** False when the registry did not do it: push the blob then. Both repositories on one registry. */
  mountBlob(
    repository: RepositoryName,
    digest: Digest,
    from: RepositoryName,
    access: RegistryAccess,
  ): Promise<boolean>;
  /** Sends a blob that the registry lacks; goes on where it was after a failure. */
  pushBlob(
    repository: RepositoryName,
    blob: SizedDigest,
    open: (startBytes: number) => RegistryBytes,
    options: PushBlobOptions,
  ): Promise<void>;
  /** `target` is a tag or the digest. Keeps the referrers of registries without the referrers API. */
  pushManifest(
    repository: RepositoryName,
    target: string,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    access: RegistryAccess,
  ): Promise<{ readonly digest: Digest }>;
  tags(repository: RepositoryName, access: RegistryAccess): AsyncIterable<string>;
  /** Manifests whose subject is `digest`; [] when there are none. */
  referrers(
    repository: RepositoryName,
    digest: Digest,
    options: { readonly access: RegistryAccess; readonly artifactType?: string },
  ): Promise<readonly Descriptor[]>;
  /** Descriptor and platforms of what `target` names. */
  inspect(repository: RepositoryName, target: string, access: RegistryAccess): Promise<RemoteImage>;
  /** Logs in. Throws unauthorized when the registry does not want these credentials. */
  checkAuth(
    credentials: RegistryCredentials,
    signal: AbortSignal,
  ): Promise<{ readonly status: string; readonly identityToken: string }>;
  /** `term` may begin with a registry's host. Throws unsupported where a registry has no search. */
  search(
    term: string,
    options: { readonly limit: number; readonly access: RegistryAccess },
  ): Promise<readonly SearchResult[]>;
  /**
   * `path` is what follows `/v2/<name>/`. 408, 425, 429 and 5xx are tried again, then thrown; any other
   * status is an answer. Mirrors are not asked.
   */
  request(
    repository: RepositoryName,
    method: string,
    path: string,
    options: ExtensionRequest,
  ): Promise<Response>;
  /** Lets go of idle connections. */
  close(): void;
}

/** Which registries are reached how. Read at every request, so that a reload can change it. */
export interface RegistryHosts {
  /** By registry host (`docker.io`, `ghcr.io`, `host:5000`) or `*`: mirrors in the order to ask. */
  readonly mirrors: ReadonlyMap<string, readonly string[]>;
  /** `host`, `host:port` or CIDR: TLS unverified, or plain HTTP. Loopback always is. */
  readonly insecure: readonly string[];
  /** Folders with a folder per host that holds certificates or a `hosts.toml`. The first wins. */
  readonly certsDirs: readonly string[];
  readonly proxies: ProxySettings;
  /** Ask loopback addresses alone. */
  readonly offline: boolean;
  /** Times that one request is sent before it fails. */
  readonly attemptsMax: number;
}

/** "" where absent. Values as in the variables of the same names. */
export interface ProxySettings {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly noProxy: string;
}
