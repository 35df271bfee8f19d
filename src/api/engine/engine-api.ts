import type { IncomingMessage, ServerResponse } from "node:http";
import { posix } from "node:path";
import { errorMessage, isNaruError, MINUTE_MS, newId, SECOND_MS, shortId } from "../../base/mod.ts";
import type { HttpHandlers, RawConnection } from "../../transport/mod.ts";
import { ABSENT_ROUTES } from "./absent-routes.ts";
import {
  API_VERSION_MAX,
  type ApiVersion,
  formatApiVersion,
  parseApiVersion,
  splitVersion,
} from "./api-version.ts";
import { ARCHIVE_ROUTES } from "./archive-routes.ts";
import { ATTACH_ROUTES } from "./attach-routes.ts";
import { Call } from "./call.ts";
import { CHECKPOINT_ROUTES } from "./checkpoint-routes.ts";
import { CONTAINER_ROUTES } from "./container-routes.ts";
import { DISK_USAGE_ROUTES } from "./disk-usage-routes.ts";
import { engineError } from "./errors.ts";
import type { EngineContext, Handler } from "./handler.ts";
import { IMAGE_ROUTES } from "./image-routes.ts";
import { IMAGE_STORE_ROUTES } from "./image-store-routes.ts";
import { LOG_ROUTES } from "./log-routes.ts";
import { NETWORK_ROUTES } from "./network-routes.ts";
import { Query } from "./query.ts";
import { RAW_STREAM, RawAnswer } from "./raw-answer.ts";
import { REGISTRY_ROUTES } from "./registry-routes.ts";
import { Router } from "./router.ts";
import type { EngineApiOptions, EngineServices } from "./services.ts";
import { STATS_ROUTES } from "./stats-routes.ts";
import { SYSTEM_ROUTES } from "./system-routes.ts";
import { VOLUME_BACKUP_ROUTES } from "./volume-backup-routes.ts";
import { VOLUME_ROUTES } from "./volume-routes.ts";
import { WEB_SOCKET_ROUTES, wantsWebSocket } from "./web-socket-routes.ts";

const UPLOAD_IDLE_MS = 2 * MINUTE_MS; // a paused `docker load < file` on a busy disk; more is dead
const DRAIN_MS = 5 * SECOND_MS; // for a client to notice the answer and stop sending
const HIJACKED = /^(?:\/v[\d.]+)?\/(?:containers\/[^/]+\/attach|exec\/[^/]+\/start)(?:\?|$)/;

/** Every operation of the Engine API that naru answers. */
export function engineOperations(): readonly string[] {
  return ROUTES.map((route) => route.operation);
}

const ROUTES = [
  ...SYSTEM_ROUTES,
  ...REGISTRY_ROUTES,
  ...CONTAINER_ROUTES,
  ...CHECKPOINT_ROUTES,
  ...LOG_ROUTES,
  ...STATS_ROUTES,
  ...DISK_USAGE_ROUTES,
  ...ATTACH_ROUTES,
  ...WEB_SOCKET_ROUTES,
  ...IMAGE_ROUTES,
  ...IMAGE_STORE_ROUTES,
  ...ARCHIVE_ROUTES,
  ...NETWORK_ROUTES,
  ...VOLUME_ROUTES,
  ...VOLUME_BACKUP_ROUTES,
  ...ABSENT_ROUTES,
];

interface Target {
  readonly path: string;
  readonly versionText: string | undefined;
  readonly queryText: string;
}

/** The Engine API over `services`, for `createHttpServer`. */
export function createEngineApi(services: EngineServices, options: EngineApiOptions): HttpHandlers {
  const context: EngineContext = {
    ...services,
    options: { uploadIdleMs: UPLOAD_IDLE_MS, ...options },
  };
  const router = new Router<Handler>(ROUTES);
  const headers: readonly (readonly [string, string])[] = [
    ["Api-Version", formatApiVersion(API_VERSION_MAX)],
    ["Docker-Experimental", "false"],
    ["Ostype", "linux"],
    // Clients and their tests look for Docker's name here; what engine it is, `version` says.
    ["Server", `Docker/${options.engineVersion} (linux)`],
  ];
  return {
    wantsConnection: (request) =>
      (request.method === "POST" && HIJACKED.test(request.url ?? "")) || wantsWebSocket(request),
    request: (request, response) => void answerPlain(context, router, headers, request, response),
    connection: (connection) => void answerRaw(context, router, headers, connection),
  };
}

async function answerPlain(
  context: EngineContext,
  router: Router<Handler>,
  headers: readonly (readonly [string, string])[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  for (const [name, value] of headers) response.setHeader(name, value);
  const target = targetOf(request.url ?? "/");
  let call: Call | undefined;
  try {
    if (target.path.includes("//") || target.path.includes("/.")) {
      if (redirectToClean(target, response)) return;
    }
    const version = versionOf(target);
    const { route, param } = router.match(request.method ?? "GET", target.path, version);
    const requestId = shortId(newId());
    call = new Call(request, response, { requestId, version, param, queryText: target.queryText });
    if (route.handler.kind === "plain") await route.handler.run(call, context);
  } catch (error) {
    failPlain(context, request, response, call?.requestId, error);
  }
}

function failPlain(
  context: EngineContext,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string = shortId(newId()),
  error: unknown,
): void {
  const { status, message, fault } = engineError(error, requestId);
  const gone = response.destroyed && error instanceof Error && error.name === "AbortError";
  if (fault && !gone) logFault(context, request, requestId, error);
  if (response.destroyed || response.writableEnded) return;
  if (response.headersSent) {
    response.destroy(); // a cut-off chunked body is how HTTP says that a stream failed
    return;
  }
  if (!request.complete) drain(request);
  if (status === 304) {
    response.writeHead(304);
    response.end();
    return;
  }
  const body = Buffer.from(`${JSON.stringify({ message })}\n`);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length });
  response.end(body);
}

/**
 * Drops what is left of a body after an early answer. Closing at once would reset the connection,
 * and a client that is still sending would never see why.
 */
function drain(request: IncomingMessage): void {
  const timer = setTimeout(() => request.socket.destroy(), DRAIN_MS);
  timer.unref();
  request.removeAllListeners("readable").removeAllListeners("data");
  request.on("data", () => undefined);
  for (const event of ["end", "close", "error"]) request.on(event, () => clearTimeout(timer));
  request.resume();
}

async function answerRaw(
  context: EngineContext,
  router: Router<Handler>,
  headers: readonly (readonly [string, string])[],
  connection: RawConnection,
): Promise<void> {
  const { request } = connection;
  const answer = new RawAnswer(connection, headers);
  const requestId = shortId(newId());
  const target = targetOf(request.url ?? "/");
  let operation = "";
  try {
    const version = versionOf(target);
    const { route, param } = router.match(request.method ?? "POST", target.path, version);
    operation = route.operation;
    const query = new Query(target.queryText);
    if (route.handler.kind === "hijack") {
      await route.handler.run(
        { request, requestId, version, param, query, connection, answer },
        context,
      );
    }
  } catch (error) {
    const { status, message, fault } = engineError(error, requestId);
    if (fault) logFault(context, request, requestId, error);
    if (answer.started) connection.socket.destroy();
    // dockerd has taken the connection by then and writes bare text for attach.
    else if (operation.endsWith("/attach")) answer.complete(status, RAW_STREAM, `${message}\r\n`);
    else answer.complete(status, "application/json", `${JSON.stringify({ message })}\n`);
  }
}

function logFault(
  context: EngineContext,
  request: IncomingMessage,
  requestId: string,
  error: unknown,
): void {
  const stack = error instanceof Error && !isNaruError(error) ? { stack: error.stack ?? "" } : {};
  const path = (request.url ?? "").split("?", 1)[0]; // queries may carry secrets
  const fields = { request: requestId, method: request.method, path, error, ...stack };
  context.logger.error(`request failed: ${errorMessage(error)}`, fields);
}

function targetOf(url: string): Target {
  const mark = url.indexOf("?");
  const whole = mark < 0 ? url : url.slice(0, mark);
  const queryText = mark < 0 ? "" : url.slice(mark + 1);
  const { version, rest } = splitVersion(withoutOrigin(whole));
  return { path: rest, versionText: version, queryText };
}

/** Some clients send the absolute form: `http://docker/v1.41/info`. */
function withoutOrigin(path: string): string {
  if (path.charCodeAt(0) === 47) return path;
  const found = /^https?:\/\/[^/]*(\/.*)$/i.exec(path);
  return found?.[1] ?? "/";
}

function versionOf(target: Target): ApiVersion {
  return target.versionText === undefined ? API_VERSION_MAX : parseApiVersion(target.versionText);
}

/** Go's router sends `//` and dot segments to the cleaned path. False when there is nothing to clean. */
function redirectToClean(target: Target, response: ServerResponse): boolean {
  const clean = posix.normalize(target.path);
  if (clean === target.path) return false;
  const prefix = target.versionText === undefined ? "" : `/v${target.versionText}`;
  const query = target.queryText === "" ? "" : `?${target.queryText}`;
  response.writeHead(301, ["Location", `${prefix}${clean}${query}`, "Content-Length", "0"]);
  response.end();
  return true;
}
