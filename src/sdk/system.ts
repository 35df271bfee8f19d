import { NaruError } from "../base/mod.ts";
import type { DiskUsage } from "../spec/mod.ts";
import type { EngineCaller } from "./engine-caller.ts";
import { type Filters, filtersQuery } from "./filters.ts";
import { readJsonLines } from "./json-lines.ts";

export interface VersionAnswer {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly MinAPIVersion?: string;
  readonly Components?: readonly {
    Name: string;
    Version: string;
    Details?: Record<string, string> | null;
  }[];
  readonly [field: string]: unknown;
}

/** An event as read from the wire. */
export interface EventLine {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Record<string, string> | null };
  readonly scope?: string;
  readonly time: number;
  /** All digits of it, which a JSON number would lose. */
  readonly timeNano: bigint;
  /** What engines before API version 1.52 repeat of it. */
  readonly id?: string;
  readonly status?: string;
  readonly from?: string;
}

/** A reviver for JSON.parse. */
function exactTime(key: string, value: unknown, context: { readonly source?: string }): unknown {
  return key === "timeNano" && context.source !== undefined ? BigInt(context.source) : value;
}

/** `/info`, `/version`, `/events`, `/auth`. */
export class SystemCalls {
  readonly #client: EngineCaller;

  constructor(client: EngineCaller) {
    this.#client = client;
  }

  info(): Promise<Record<string, unknown>> {
    return this.#client.json("GET", "/info");
  }

  version(): Promise<VersionAnswer> {
    return this.#client.json("GET", "/version");
  }

  /** Ends at `until`, or when `signal` aborts. */
  async events(
    options: { since?: string | undefined; until?: string | undefined; filters?: Filters },
    signal?: AbortSignal,
  ): Promise<AsyncIterable<EventLine>> {
    const response = await this.#client.call("GET", "/events", {
      signal,
      query: {
        since: options.since || undefined,
        until: options.until || undefined,
        filters: filtersQuery(options.filters),
      },
    });
    return readJsonLines(response.body, exactTime);
  }

  /** Sums by kind, with `verbose` their items too. Throws unsupported for an engine before 1.52. */
  async diskUsage(options: { readonly verbose: boolean }): Promise<DiskUsage> {
    const usage = await this.#client.json<DiskUsage & { LayersSize?: number }>(
      "GET",
      "/system/df",
      {
        query: { verbose: options.verbose ? true : undefined },
      },
    );
    if (usage.LayersSize === undefined) return usage;
    const what = "this engine's API is older than 1.52, which disk usage is read from";
    throw new NaruError("unsupported", what);
  }

  auth(body: object): Promise<{ Status: string; IdentityToken?: string }> {
    return this.#client.json("POST", "/auth", { json: body });
  }
}
