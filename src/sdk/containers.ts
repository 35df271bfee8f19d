import { NaruError } from "../base/mod.ts";
import type {
  ContainerInspect,
  ContainerStats,
  ContainerSummary,
  PortsUpdateBody,
} from "../spec/mod.ts";
import { type CallOptions, type EngineCaller, readText } from "./engine-caller.ts";
import { type Filters, filtersQuery } from "./filters.ts";
import { readJsonLines } from "./json-lines.ts";
import type { HijackedStream, WireResponse } from "./wire.ts";

export interface AttachQuery {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly stream: boolean;
  readonly logs?: boolean | undefined;
  readonly detachKeys?: string | undefined;
}

export interface LogsQuery {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly details?: boolean | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly tail?: string | undefined;
}

export interface StopQuery {
  readonly signal?: string | undefined;
  readonly timeoutSeconds?: number | undefined;
}

export interface WaitResult {
  readonly exitCode: number;
  readonly error: string | undefined;
}

/** `/containers`. `ref` is a name, an id or the beginning of one. */
export class ContainerCalls {
  readonly #client: EngineCaller;

  constructor(client: EngineCaller) {
    this.#client = client;
  }

  create(
    body: object,
    options: { name?: string | undefined; platform?: string | undefined } = {},
  ): Promise<{ Id: string; Warnings: string[] | null }> {
    return this.#client.json("POST", "/containers/create", {
      query: { name: options.name || undefined, platform: options.platform || undefined },
      json: body,
    });
  }

  list(
    options: { all?: boolean; limit?: number; size?: boolean; filters?: Filters } = {},
  ): Promise<ContainerSummary[]> {
    return this.#client.json("GET", "/containers/json", {
      query: {
        all: options.all === true ? true : undefined,
        limit: options.limit,
        size: options.size === true ? true : undefined,
        filters: filtersQuery(options.filters),
      },
    });
  }

  inspect(ref: string, options: { size?: boolean } = {}): Promise<ContainerInspect> {
    return this.#client.json("GET", `${path(ref)}/json`, {
      query: { size: options.size === true ? true : undefined },
    });
  }

  start(ref: string, options: { detachKeys?: string | undefined } = {}): Promise<void> {
    return this.#unless304(
      this.#post(ref, "start", { detachKeys: options.detachKeys || undefined }),
    );
  }

  stop(ref: string, options: StopQuery = {}): Promise<void> {
    return this.#unless304(this.#post(ref, "stop", stopQuery(options)));
  }

  restart(ref: string, options: StopQuery = {}): Promise<void> {
    return this.#post(ref, "restart", stopQuery(options));
  }

  kill(ref: string, signal: string): Promise<void> {
    return this.#post(ref, "kill", { signal });
  }

  pause(ref: string): Promise<void> {
    return this.#post(ref, "pause");
  }

  unpause(ref: string): Promise<void> {
    return this.#post(ref, "unpause");
  }

  rename(ref: string, name: string): Promise<void> {
    return this.#post(ref, "rename", { name });
  }

  resize(ref: string, size: { rows: number; columns: number }): Promise<void> {
    return this.#post(ref, "resize", { h: size.rows, w: size.columns });
  }

  remove(ref: string, options: { force: boolean; volumes: boolean; link: boolean }): Promise<void> {
    return this.#client.run("DELETE", path(ref), {
      query: {
        v: options.volumes || undefined,
        force: options.force || undefined,
        link: options.link || undefined,
      },
    });
  }

  prune(filters: Filters): Promise<{ ContainersDeleted: string[] | null; SpaceReclaimed: number }> {
    return this.#client.json("POST", "/containers/prune", {
      query: { filters: filtersQuery(filters) },
    });
  }

  top(ref: string, args: string): Promise<{ Titles: string[]; Processes: string[][] }> {
    return this.#client.json("GET", `${path(ref)}/top`, { query: { ps_args: args || undefined } });
  }

  /** One sample a second until the container is gone, or one when `stream` is false. */
  async stats(
    ref: string,
    query: { readonly stream: boolean },
    signal?: AbortSignal,
  ): Promise<AsyncIterable<ContainerStats>> {
    const response = await this.#client.call("GET", `${path(ref)}/stats`, {
      signal,
      query: { stream: query.stream ? undefined : "0" },
    });
    return readJsonLines(response.body);
  }

  /** `body`: what is to be changed of Resources and RestartPolicy. */
  update(ref: string, body: object): Promise<{ Warnings: string[] | null }> {
    return this.#client.json("POST", `${path(ref)}/update`, { json: body });
  }

  /** What is published besides, and no more. naru's own. */
  updatePorts(ref: string, body: PortsUpdateBody): Promise<void> {
    return this.#client.run("POST", `/naru/v1${path(ref)}/ports`, { json: body });
  }

  attach(ref: string, query: AttachQuery, options: CallOptions = {}): Promise<HijackedStream> {
    return this.#client.hijack(`${path(ref)}/attach`, {
      ...options,
      query: {
        stream: query.stream || undefined,
        stdin: query.stdin || undefined,
        stdout: query.stdout || undefined,
        stderr: query.stderr || undefined,
        logs: query.logs === true ? true : undefined,
        detachKeys: query.detachKeys || undefined,
      },
    });
  }

  /** The log as the engine frames it: raw for a tty, multiplexed otherwise. */
  logs(ref: string, query: LogsQuery, signal?: AbortSignal): Promise<WireResponse> {
    return this.#client.call("GET", `${path(ref)}/logs`, {
      signal,
      query: {
        stdout: query.stdout || undefined,
        stderr: query.stderr || undefined,
        follow: query.follow || undefined,
        timestamps: query.timestamps || undefined,
        details: query.details === true ? true : undefined,
        since: query.since || undefined,
        until: query.until || undefined,
        tail: query.tail || undefined,
      },
    });
  }

  /**
   * Resolves when the engine has registered the wait: an exit after that is seen. The inner promise
   * gives the exit code.
   */
  async wait(
    ref: string,
    condition: "not-running" | "next-exit" | "removed",
    signal?: AbortSignal,
  ): Promise<{ result: Promise<WaitResult> }> {
    const response = await this.#client.call("POST", `${path(ref)}/wait`, {
      signal,
      query: { condition: condition === "not-running" ? undefined : condition },
    });
    const result = readText(response).then(parseWait);
    // The caller may look at it late; a failure must not count as unhandled until then.
    result.catch(() => undefined);
    return { result };
  }

  #post(ref: string, action: string, query: CallOptions["query"] = {}): Promise<void> {
    return this.#client.run("POST", `${path(ref)}/${action}`, { query });
  }

  /** Being already in the state that was asked for is success, as with docker. */
  async #unless304(call: Promise<void>): Promise<void> {
    try {
      await call;
    } catch (error) {
      if (!(error instanceof NaruError) || error.kind !== "not_modified") throw error;
    }
  }
}

function path(ref: string): string {
  return `/containers/${encodeURIComponent(ref)}`;
}

function stopQuery(options: StopQuery): CallOptions["query"] {
  return { signal: options.signal || undefined, t: options.timeoutSeconds };
}

function parseWait(text: string): WaitResult {
  if (text.trim() === "") {
    throw new NaruError("unavailable", "the engine went away while the container ran");
  }
  const parsed = JSON.parse(text) as { StatusCode: number; Error?: { Message?: string } | null };
  return { exitCode: parsed.StatusCode, error: parsed.Error?.Message || undefined };
}
