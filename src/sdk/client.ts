import { NaruError } from "../base/mod.ts";
import type { TlsOptions } from "./byte-channel.ts";
import { ContainerFileCalls } from "./container-files.ts";
import { ContainerCalls } from "./containers.ts";
import { type CallOptions, type EngineCaller, readText } from "./engine-caller.ts";
import { ExecCalls } from "./exec.ts";
import { type FetchFunction, FetchWire } from "./fetch-wire.ts";
import { parseHost } from "./host.ts";
import { ImageCalls } from "./images.ts";
import { NetworkCalls } from "./networks.ts";
import { SocketWire } from "./socket-wire.ts";
import { errorOfStatus } from "./status-error.ts";
import { SystemCalls } from "./system.ts";
import { VolumeCalls } from "./volumes.ts";
import type { HijackedStream, UpgradeResult, Wire, WireRequest, WireResponse } from "./wire.ts";

/** The newest version of the Engine API that this client speaks, and the oldest it can use. */
export const API_VERSION_MAX = "1.56";
export const API_VERSION_MIN = "1.24";

export interface EngineClientOptions {
  /** `unix:///run/naru/naru.sock`, `tcp://host:port`, `https://host:port`. */
  readonly host: string;
  /** Present: the connection is encrypted. */
  readonly tls?: TlsOptions | undefined;
  /** Given: every request goes through it instead of a socket. */
  readonly fetch?: FetchFunction | undefined;
  /** Fixed version (`1.45`); without it the engine is asked once. */
  readonly apiVersion?: string | undefined;
  /** Called when the head of an answer is there, or when the request failed. */
  readonly onExchange?: ((exchange: Exchange) => void) | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** One request and its answer, for those who want to watch. */
export interface Exchange {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Undefined: there was no answer. */
  readonly status: number | undefined;
  readonly durationMs: number;
}

/** What `_ping` tells about an engine. */
export interface PingAnswer {
  /** "" when the engine does not say. */
  readonly apiVersion: string;
  readonly osType: string;
  readonly server: string;
}

/** Opens no connection before the first call. Throws invalid_argument for a bad host. */
export function createEngineClient(options: EngineClientOptions): EngineClient {
  return new EngineClient(options);
}

/** One engine. Every method throws a NaruError: a kind, and the engine's message. */
export class EngineClient implements EngineCaller {
  readonly host: string;
  readonly containers: ContainerCalls;
  readonly files: ContainerFileCalls;
  readonly exec: ExecCalls;
  readonly images: ImageCalls;
  readonly networks: NetworkCalls;
  readonly volumes: VolumeCalls;
  readonly system: SystemCalls;
  readonly #wire: Wire;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #onExchange: EngineClientOptions["onExchange"];
  #version: Promise<string> | undefined;
  #ping: Promise<PingAnswer> | undefined;

  constructor(options: EngineClientOptions) {
    this.host = options.host;
    this.#headers = options.headers ?? {};
    this.#onExchange = options.onExchange;
    this.#wire =
      options.fetch === undefined
        ? new SocketWire(parseHost(options.host, options.tls !== undefined), options.tls)
        : new FetchWire(options.fetch, options.host);
    if (options.apiVersion !== undefined) this.#version = Promise.resolve(options.apiVersion);
    this.containers = new ContainerCalls(this);
    this.files = new ContainerFileCalls(this);
    this.exec = new ExecCalls(this);
    this.images = new ImageCalls(this);
    this.networks = new NetworkCalls(this);
    this.volumes = new VolumeCalls(this);
    this.system = new SystemCalls(this);
  }

  /** Asked once; later calls give the first answer. */
  ping(): Promise<PingAnswer> {
    this.#ping ??= this.#askPing();
    this.#ping.catch(() => {
      this.#ping = undefined;
    });
    return this.#ping;
  }

  /** The version in the path of every call: the lower of the engine's and ours. */
  apiVersion(): Promise<string> {
    this.#version ??= this.ping().then((answer) => negotiate(answer.apiVersion));
    this.#version.catch(() => {
      this.#version = undefined;
    });
    return this.#version;
  }

  /** One call; the answer's status is below 400 and not 304. The body must be read or closed. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<WireResponse> {
    const request = await this.#request(method, path, options);
    return checked(await this.#send(request));
  }

  /** One call whose answer is JSON. */
  async json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const text = await readText(await this.call(method, path, options));
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new NaruError(
        "unavailable",
        `malformed answer from the engine to ${method} ${path}`,
        {},
        { cause },
      );
    }
  }

  /** One call whose answer does not matter. */
  async run(method: string, path: string, options: CallOptions = {}): Promise<void> {
    await readText(await this.call(method, path, options));
  }

  /** A call after which the connection belongs to the two ends. */
  async hijack(path: string, options: CallOptions = {}): Promise<HijackedStream> {
    const request = await this.#request("POST", path, options);
    const result = await this.#watched(request, this.#wire.upgrade(request));
    if (result.upgraded) return result.stream;
    const response = await checked(result.response);
    response.close();
    throw new NaruError("unavailable", `the engine did not open a stream (${response.status})`);
  }

  close(): void {
    this.#wire.close();
  }

  #send(request: WireRequest): Promise<WireResponse> {
    return this.#watched(request, this.#wire.send(request));
  }

  async #watched<T extends WireResponse | UpgradeResult>(
    { method, target }: WireRequest,
    sent: Promise<T>,
  ): Promise<T> {
    const startedMs = performance.now();
    let status: number | undefined;
    try {
      const answer = await sent;
      status = statusOf(answer);
      return answer;
    } finally {
      const durationMs = performance.now() - startedMs;
      this.#onExchange?.({ method, target, status, durationMs });
    }
  }

  async #request(method: string, path: string, options: CallOptions): Promise<WireRequest> {
    const headers: Record<string, string> = { "User-Agent": "naru", ...this.#headers };
    if (options.json !== undefined) headers["Content-Type"] = "application/json";
    Object.assign(headers, options.headers);
    return {
      method,
      target: `/v${await this.apiVersion()}${path}${queryText(options.query)}`,
      headers,
      body: options.json === undefined ? options.body : JSON.stringify(options.json),
      signal: options.signal,
    };
  }

  async #askPing(): Promise<PingAnswer> {
    const response = await this.#send({
      method: "GET",
      target: "/_ping",
      headers: { "User-Agent": "naru", ...this.#headers },
    });
    await readText(await checked(response));
    const header = (name: string): string => response.headers.get(name) ?? "";
    return {
      apiVersion: header("api-version"),
      osType: header("ostype"),
      server: header("server"),
    };
  }
}

async function checked(response: WireResponse): Promise<WireResponse> {
  if (response.status < 400 && response.status !== 304) return response;
  throw errorOfStatus(response.status, await readText(response));
}

const SWITCHING_PROTOCOLS = 101;

function statusOf(answer: WireResponse | UpgradeResult): number {
  if ("status" in answer) return answer.status;
  return answer.upgraded ? SWITCHING_PROTOCOLS : answer.response.status;
}

function queryText(query: CallOptions["query"]): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    for (const one of typeof value === "object" ? value : [value]) {
      const text = one === true ? "1" : one === false ? "0" : String(one);
      parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(text)}`);
    }
  }
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

function negotiate(engineVersion: string): string {
  // Engines that predate the header speak 1.24 at the most.
  if (engineVersion === "") return API_VERSION_MIN;
  return isOlder(engineVersion, API_VERSION_MAX) ? engineVersion : API_VERSION_MAX;
}

/** Is version `a` older than `b`? Numbers, not text: 1.9 is older than 1.10. */
export function isOlder(a: string, b: string): boolean {
  const [aMajor = 0, aMinor = 0] = a.split(".").map(Number);
  const [bMajor = 0, bMinor = 0] = b.split(".").map(Number);
  return aMajor === bMajor ? aMinor < bMinor : aMajor < bMajor;
}
