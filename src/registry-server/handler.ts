import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, isNaruError } from "../base/mod.ts";
import { type Action, ANONYMOUS, type Client, type Wanted } from "./access.ts";
import { deleteBlob, getBlob } from "./blob-endpoints.ts";
import { listReferrers, listRepositories, listTags } from "./discovery-endpoints.ts";
import { answerBytes, type Exchange, type RegistryParts } from "./exchange.ts";
import { DRAIN_BYTES_MAX, DRAIN_MS_MAX } from "./limits.ts";
import { deleteManifest, getManifest, putManifest } from "./manifest-endpoints.ts";
import { failureAnswer, refusal } from "./refusal.ts";
import { parseRoute, type Route } from "./route.ts";
import { deleteUpload, getUpload, patchUpload, postUpload, putUpload } from "./upload-endpoints.ts";

interface Endpoint {
  readonly action: Action;
  run(parts: RegistryParts, exchange: Exchange, route: Route): Promise<void>;
}

type Target<K extends Route["kind"]> = Extract<Route, { kind: K }>;

/** An endpoint whose route is of the kind under which it is listed below. */
function on<K extends Route["kind"]>(
  action: Action,
  run: (parts: RegistryParts, exchange: Exchange, route: Target<K>) => Promise<void>,
): Endpoint {
  return { action, run: (parts, exchange, route) => run(parts, exchange, route as Target<K>) };
}

const BASE = on<"base">("read", async (_parts, exchange) => {
  answerBytes(exchange, 200, { "Content-Type": "application/json" }, "{}");
});
const BLOB = on<"blob">("read", getBlob);
const MANIFEST = on<"manifest">("read", getManifest);

/** The endpoints of the specification, by what the path names and the method. */
const ENDPOINTS: Readonly<Record<Route["kind"], Readonly<Record<string, Endpoint>>>> = {
  base: { GET: BASE, HEAD: BASE },
  catalog: { GET: on<"catalog">("read", listRepositories) },
  tags: { GET: on<"tags">("read", listTags) },
  manifest: {
    GET: MANIFEST,
    HEAD: MANIFEST,
    PUT: on<"manifest">("write", putManifest),
    DELETE: on<"manifest">("delete", deleteManifest),
  },
  uploads: { POST: on<"uploads">("write", postUpload) },
  upload: {
    GET: on<"upload">("write", getUpload),
    PATCH: on<"upload">("write", patchUpload),
    PUT: on<"upload">("write", putUpload),
    DELETE: on<"upload">("write", deleteUpload),
  },
  blob: { GET: BLOB, HEAD: BLOB, DELETE: on<"blob">("delete", deleteBlob) },
  referrers: { GET: on<"referrers">("read", listReferrers) },
};

/** What became known of a request before it failed. */
interface Progress {
  endpoint: string;
  method: string;
  wanted: Wanted | undefined;
  client: Client;
}

/** An endpoint outside `/v2/`. */
export type ExtraEndpoint = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Answers one request. Never throws. `extra` are paths outside `/v2/`. */
export async function handle(
  parts: RegistryParts,
  extra: ReadonlyMap<string, ExtraEndpoint>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const startedMs = parts.clock.nowMs();
  const address = request.socket.remoteAddress ?? "";
  const client: Client = { ...ANONYMOUS, address };
  const progress: Progress = { endpoint: "none", method: "other", wanted: undefined, client };
  try {
    const [path, search] = split(request.url ?? "/");
    const own = extra.get(path);
    if (own !== undefined) {
      progress.endpoint = path.slice(1);
      await own(request, response);
    } else await answer(parts, { request, response, search, path }, progress);
  } catch (error) {
    answerFailure(parts, { request, response }, { error, progress });
  } finally {
    releaseBody(request, parts.clock);
    const seconds = Math.max(0, parts.clock.nowMs() - startedMs) / 1000;
    const { endpoint, method } = progress;
    parts.metrics.request({ endpoint, method, status: response.statusCode, seconds });
  }
}

async function answer(
  parts: RegistryParts,
  received: {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly path: string;
    readonly search: string;
  },
  progress: Progress,
): Promise<void> {
  const { request, response, path, search } = received;
  response.setHeader("Docker-Distribution-API-Version", "registry/2.0");
  const route = parseRoute(path);
  if (route === undefined) throw refusal("UNSUPPORTED", "the registry is at /v2/", 404);
  const endpoint = endpointOf(route, request, response);
  progress.endpoint = route.kind;
  progress.method = request.method ?? "";
  if ("repository" in route) {
    progress.wanted = { action: endpoint.action, repository: route.repository };
  }
  const { wanted } = progress;
  if (endpoint.action !== "read" && parts.upstream !== undefined) {
    const message = `this registry is a cache of ${parts.upstream.domain}: push and delete there`;
    throw refusal("UNSUPPORTED", message);
  }
  progress.client = { ...progress.client, ...(await parts.access.identify(request)) };
  if (wanted === undefined) parts.access.checkMember(progress.client);
  else parts.access.check(progress.client, wanted.action, wanted.repository);
  const query = new URLSearchParams(search);
  const exchange: Exchange = { request, response, query, identity: progress.client };
  await endpoint.run(parts, exchange, route);
}

function split(url: string): [string, string] {
  const at = url.indexOf("?");
  return at === -1 ? [url, ""] : [url.slice(0, at), url.slice(at + 1)];
}

function endpointOf(route: Route, { method }: IncomingMessage, response: ServerResponse): Endpoint {
  const endpoints = ENDPOINTS[route.kind];
  const endpoint = Object.hasOwn(endpoints, method ?? "") ? endpoints[method ?? ""] : undefined;
  if (endpoint !== undefined) return endpoint;
  response.setHeader("Allow", Object.keys(endpoints).join(", "));
  throw refusal("UNSUPPORTED", `this path takes ${Object.keys(endpoints).join(", ")}`);
}

function answerFailure(
  parts: RegistryParts,
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
  { error, progress }: { readonly error: unknown; readonly progress: Progress },
): void {
  const { request, response } = exchange;
  const { status, body } = failureAnswer(error);
  const clientGone = isNaruError(error, "cancelled") || response.destroyed;
  if (status >= 500 && !clientGone) {
    const { method, url } = request;
    parts.logger.error("a request failed", { method, url, error });
  }
  noteRefusal(parts, request, { status, progress });
  if (response.headersSent) {
    response.destroy(); // in the middle of a blob: the client sees that it is not whole
    return;
  }
  if (status === 401) {
    const challenge = parts.access.challenge(request, progress.wanted);
    if (challenge !== undefined) response.setHeader("WWW-Authenticate", challenge);
  }
  if (status === 429) response.setHeader("Retry-After", "5");
  if (!request.complete) response.setHeader("Connection", "close");
  answerBytes(exchange, status, { "Content-Type": "application/json" }, body);
}

/** Whoever shows credentials and is turned away is worth a line; a first 401 is how clients begin. */
function noteRefusal(
  { events }: RegistryParts,
  request: IncomingMessage,
  { status, progress }: { readonly status: number; readonly progress: Progress },
): void {
  const hadCredentials = request.headers.authorization !== undefined;
  if (status !== 403 && !(status === 401 && hadCredentials)) return;
  const { user, address } = progress.client;
  events.emit({
    ...{ action: "refuse", target: "manifest", digest: "", tag: "", mediaType: "", sizeBytes: 0 },
    ...{ repository: progress.wanted?.repository ?? "", user, address },
  });
}

/** What a refused request still sends is read for a while, or the client would miss the answer. */
function releaseBody(request: IncomingMessage, clock: Clock): void {
  if (request.complete || request.destroyed) return;
  let bytes = 0;
  const stopTimer = clock.after(DRAIN_MS_MAX, () => request.destroy());
  request.on("data", (chunk: Uint8Array) => {
    bytes += chunk.byteLength;
    if (bytes > DRAIN_BYTES_MAX) request.destroy();
  });
  request.on("error", () => undefined);
  request.on("close", stopTimer);
  request.resume();
}
