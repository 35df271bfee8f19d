import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import http from "node:http";
import https from "node:https";
import { type Clock, NaruError, SECOND_MS } from "../base/mod.ts";
import { writeDrained } from "../transport/mod.ts";
import { type AddressGuard, checkAddress, guardedLookup } from "./address-guard.ts";
import type { RegistryBytes } from "./contract.ts";
import type { TlsMaterial } from "./endpoint.ts";
import { connectionError } from "./failure.ts";
import { connectThrough, proxyAuthorization } from "./proxy-tunnel.ts";
import { tlsOptions } from "./tls-options.ts";
import { hostOf, portOf } from "./url-parts.ts";

export interface HttpBody {
  readonly sizeBytes: number;
  /** Opened for every time that the request is sent. */
  readonly open: () => RegistryBytes;
}

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: HttpBody | undefined;
  readonly tls: TlsMaterial;
  readonly guard: AddressGuard;
  readonly proxy: URL | undefined;
  readonly signal: AbortSignal;
}

/** An answer whose body must be read to the end or closed. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly url: URL;
  readonly body: IncomingMessage;
}

const ANSWER_MS = 60 * SECOND_MS; // Docker Hub answers in 0.1 to 2 s; a busy registry may hash an upload first
const WRITE_STALL_MS = 60 * SECOND_MS; // an upload that accepts no byte for so long
const IDLE_MS = 30 * SECOND_MS; // below the idle limit of common servers (nginx 75 s)
const SOCKETS_MAX = 32; // per host; callers bound their own parallelism far below

type Agent = http.Agent;

/**
 * HTTP/1.1 over node:http: it gives the look-up hook that keeps registries from sending the engine to
 * inner addresses, raw bodies with back-pressure, and headers as they are (decision 0070).
 */
export class HttpTransport {
  readonly #clock: Clock;
  readonly #agents: Map<string, Agent> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One request, no redirects followed. Throws unavailable, forbidden (guard), cancelled. */
  async exchange(request: HttpRequest): Promise<HttpAnswer> {
    request.signal.throwIfAborted();
    const host = hostOf(request.url);
    checkAddress(host, request.guard);
    const plainProxy = request.url.protocol === "http:" ? request.proxy : undefined;
    const target = request.url.pathname + request.url.search;
    const options: https.RequestOptions = {
      method: request.method,
      host: plainProxy === undefined ? host : hostOf(plainProxy),
      port: portOf(plainProxy ?? request.url),
      path: plainProxy === undefined ? target : request.url.origin + target,
      headers: {
        ...request.headers,
        host: request.url.host,
        ...(request.body === undefined ? {} : { "content-length": request.body.sizeBytes }),
        ...(plainProxy === undefined ? {} : proxyAuthorization(plainProxy)),
      },
      agent: this.#agentFor(request),
      signal: request.signal,
    };
    const secure = request.url.protocol === "https:" || plainProxy?.protocol === "https:";
    const sent = (secure ? https : http).request(options);
    return this.#answer(sent, request);
  }

  #answer(sent: ClientRequest, request: HttpRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      let answered = false;
      const stalled = (): void => {
        const message = `no answer from ${request.url.host} in ${ANSWER_MS / SECOND_MS} s`;
        sent.destroy(new NaruError("unavailable", message));
      };
      let cancelTimer: () => void = () => undefined;
      sent.on("error", (error) => {
        cancelTimer();
        if (!answered) reject(connectionError(error, request.url.host, request.signal));
      });
      sent.on("response", (message: IncomingMessage) => {
        answered = true;
        cancelTimer();
        message.on("error", () => undefined); // readers see it through the iterator
        const { statusCode: status = 0, headers } = message;
        resolve({ status, headers, url: request.url, body: message });
      });
      const waitForAnswer = (): void => {
        if (!answered) cancelTimer = this.#clock.after(ANSWER_MS, stalled);
      };
      if (request.body === undefined) {
        sent.end();
        waitForAnswer();
        return;
      }
      this.#send(sent, request.body, () => answered).then(waitForAnswer, (error: unknown) => {
        if (answered) return; // an early answer says more than the broken pipe
        sent.destroy(error instanceof Error ? error : undefined);
        reject(connectionError(error, request.url.host, request.signal));
      });
    });
  }

  async #send(sent: ClientRequest, body: HttpBody, answered: () => boolean): Promise<void> {
    let left = body.sizeBytes;
    for await (const chunk of body.open()) {
      if (answered()) break;
      left -= chunk.length;
      if (left < 0) throw new NaruError("internal", "the body is longer than was announced");
      const cancel = this.#clock.after(WRITE_STALL_MS, () => {
        sent.destroy(new NaruError("unavailable", "the upload stalled"));
      });
      try {
        await writeDrained(sent, chunk);
      } catch (error) {
        if (answered()) break;
        throw sent.errored ?? error;
      } finally {
        cancel();
      }
    }
    if (left > 0 && !answered()) {
      throw new NaruError("internal", "the body is shorter than was announced");
    }
    sent.end();
  }

  /**
   * Connections are shared by what is alike in everything that decided about them, the guard
   * included: one made for a trusted host must not serve a redirect to the same name.
   */
  #agentFor(request: HttpRequest): Agent {
    const { tls, guard, proxy, url } = request;
    const secure = url.protocol === "https:" || proxy?.protocol === "https:";
    const key = JSON.stringify([
      ...[url.protocol, proxy?.href, guard === undefined ? "" : [...guard].sort().join()],
      ...[tls.verify, tls.client?.cert, ...tls.ca],
    ]);
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const options: https.AgentOptions = {
      keepAlive: true,
      maxSockets: SOCKETS_MAX,
      timeout: IDLE_MS,
      scheduling: "lifo",
      ...(proxy === undefined ? { lookup: guardedLookup(guard) } : {}),
      ...(proxy !== undefined && url.protocol === "http:" ? {} : tlsOptions(tls)), // a proxy's own TLS
    };
    const agent = secure ? new https.Agent(options) : new http.Agent(options);
    if (proxy !== undefined && url.protocol === "https:") connectThrough(agent, proxy, tls);
    this.#agents.set(key, agent);
    return agent;
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}
