import type { Clock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { type ClientParts, onEndpoint, pushEndpoint } from "./across.ts";
import type { RateFloor } from "./answer-body.ts";
import { readBytes } from "./answer-body.ts";
import { Authenticator, repositoryScope } from "./authenticator.ts";
import { hasBlob, mountBlob, pushBlob, pushScopes } from "./blob-push.ts";
import { readBlob } from "./blob-reader.ts";
import type {
  ExtensionRequest,
  RegistryClient,
  RegistryHosts,
  RepositoryName,
} from "./contract.ts";
import { EndpointHealth } from "./endpoint-health.ts";
import { HostDirectory } from "./host-directory.ts";
import { type HttpAnswer, HttpTransport } from "./http-transport.ts";
import { checkAuth } from "./login.ts";
import { pushManifest } from "./manifest-push.ts";
import { fetchManifest, headManifest } from "./manifests.ts";
import { listTags } from "./pages.ts";
import { listReferrers } from "./referrers.ts";
import { inspectRemote } from "./remote-image.ts";
import { search } from "./search.ts";
import { Session } from "./session.ts";
import { TokenCache } from "./token-cache.ts";
import { TokenService } from "./token-service.ts";

export interface RegistryClientOptions {
  /** Read at every request. */
  readonly hosts: () => RegistryHosts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  readonly floor?: RateFloor;
  readonly random?: () => number;
}

/** A client of any number of registries. Holds idle connections, tokens and what it learnt of hosts. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const { hosts, clock, logger, userAgent } = options;
  const transport = new HttpTransport(clock);
  const directory = new HostDirectory(hosts, clock);
  const tokens = new TokenService({ transport, hosts: directory, clock, userAgent });
  const authenticator = new Authenticator(tokens, new TokenCache(clock));
  const floor = options.floor;
  const session = new Session({ transport, directory, authenticator, clock, userAgent, floor });
  const parts: ClientParts = {
    ...{ session, directory, authenticator, tokens, hosts, clock, logger },
    health: new EndpointHealth(clock),
    random: options.random ?? Math.random,
  };
  return {
    head: (repository, target, access) => headManifest(parts, repository, target, access),
    manifest: (repository, target, access) => fetchManifest(parts, repository, target, access),
    blob: (repository, blob, blobOptions) => readBlob(parts, repository, blob, blobOptions),
    damaged: (digest) => parts.health.damaged(digest),
    hasBlob: (repository, digest, access) => hasBlob(parts, repository, digest, access),
    mountBlob: (repository, digest, from, access) =>
      mountBlob(parts, repository, digest, from, access),
    pushBlob: (repository, blob, open, pushOptions) =>
      pushBlob(parts, repository, blob, open, pushOptions),
    pushManifest: (repository, target, manifest, access) =>
      pushManifest(parts, repository, target, manifest, access),
    tags: (repository, access) => listTags(parts, repository, access),
    referrers: (repository, digest, asked) => listReferrers(parts, repository, digest, asked),
    inspect: (repository, target, access) => inspectRemote(parts, repository, target, access),
    checkAuth: (credentials, signal) => checkAuth(parts, credentials, signal),
    search: (term, asked) => search(parts, term, asked),
    request: (repository, method, path, asked) =>
      extension(parts, repository, { method, path, asked }),
    close: () => transport.close(),
  };
}

async function extension(
  parts: ClientParts,
  repository: RepositoryName,
  { method, path, asked }: { method: string; path: string; asked: ExtensionRequest },
): Promise<Response> {
  const { access, headers = {}, body, scope } = asked;
  const endpoint = await pushEndpoint(parts, repository);
  const own = repository.path;
  const answer = await onEndpoint(parts, endpoint, access, true, () =>
    parts.session.send(endpoint, {
      method,
      path: `/${own}/${path}`,
      headers,
      body,
      scopes: scope === "push" ? pushScopes(own) : [repositoryScope(own, "pull")],
      access,
      what: `${method} ${path.slice(0, 100)}`,
    }),
  );
  return responseOf(parts, answer, asked);
}

/** An answer as the web's Response: its body is read at the reader's pace. */
function responseOf(
  parts: ClientParts,
  answer: HttpAnswer,
  { access }: ExtensionRequest,
): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers)) {
    for (const text of Array.isArray(value) ? value : [value ?? ""]) headers.append(name, text);
  }
  const empty = answer.status === 204 || answer.status === 304;
  if (empty) answer.body.resume();
  const source = readBytes(answer, parts.session.reading(access))[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const step = await source.next();
      if (step.done === true) controller.close();
      else controller.enqueue(step.value);
    },
    async cancel() {
      await source.return?.();
    },
  });
  return new Response(empty ? null : body, { status: answer.status, headers });
}
