import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, isNaruError } from "../base/mod.ts";
import { type Action, ANONYMOUS, type Identity, type Wanted } from "./access.ts";
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

/** Answers one request under `/v2/`. Never throws. */
export async function handle(
  parts: RegistryParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader("Docker-Distribution-API-Version", "registry/2.0");
  let wanted: Wanted | undefined;
  try {
    const [path, search] = split(request.url ?? "/");
    const route = parseRoute(path);
    if (route === undefined) throw refusal("UNSUPPORTED", "the registry is at /v2/", 404);
    const endpoint = endpointOf(route, request, response);
    const repository = "repository" in route ? route.repository : undefined;
    if (repository !== undefined) wanted = { action: endpoint.action, repository };
    const identity = await parts.access.identify(request);
    if (wanted === undefined) parts.access.checkMember(identity);
    else parts.access.check(identity, wanted.action, wanted.repository);
    const query = new URLSearchParams(search);
    await endpoint.run(parts, { request, response, query, identity }, route);
  } catch (error) {
    answerFailure(parts, { request, response, identity: ANONYMOUS }, { error, wanted });
  } finally {
    releaseBody(request, parts.clock);
  }
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
  { access, logger }: RegistryParts,
  exchange: { request: IncomingMessage; response: ServerResponse; identity: Identity },
  { error, wanted }: { error: unknown; wanted: Wanted | undefined },
): void {
  const { request, response } = exchange;
  const { status, body } = failureAnswer(error);
  const clientGone = isNaruError(error, "cancelled") || response.destroyed;
  if (status >= 500 && !clientGone) {
    logger.error("a request failed", { method: request.method, url: request.url, error });
  }
  if (response.headersSent) {
    response.destroy(); // in the middle of a blob: the client sees that it is not whole
    return;
  }
  if (status === 401) {
    const challenge = access.challenge(request, wanted);
    if (challenge !== undefined) response.setHeader("WWW-Authenticate", challenge);
  }
  if (status === 429) response.setHeader("Retry-After", "5");
  if (!request.complete) response.setHeader("Connection", "close");
  answerBytes(exchange, status, { "Content-Type": "application/json" }, body);
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
