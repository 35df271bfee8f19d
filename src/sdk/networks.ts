import type { EngineCaller } from "./engine-caller.ts";
import { type Filters, filtersQuery } from "./filters.ts";

/** What is read of a network; engines send more. */
export interface NetworkResource {
  readonly Name: string;
  readonly Id: string;
  readonly Created: string;
  readonly Scope: string;
  readonly Driver: string;
  readonly EnableIPv6: boolean;
  readonly Internal: boolean;
  readonly Labels: Record<string, string> | null;
  readonly [field: string]: unknown;
}

/** `/networks`, read only. */
export class NetworkCalls {
  readonly #client: EngineCaller;

  constructor(client: EngineCaller) {
    this.#client = client;
  }

  list(filters?: Filters): Promise<NetworkResource[]> {
    return this.#client.json("GET", "/networks", { query: { filters: filtersQuery(filters) } });
  }

  inspect(
    ref: string,
    options: { verbose?: boolean; scope?: string } = {},
  ): Promise<NetworkResource> {
    return this.#client.json("GET", `/networks/${encodeURIComponent(ref)}`, {
      query: {
        verbose: options.verbose === true ? true : undefined,
        scope: options.scope || undefined,
      },
    });
  }
}
