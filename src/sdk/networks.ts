import type { EndpointSettings, Finding } from "../spec/mod.ts";
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

/** `/networks`. */
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

  /** `request` in the shape of the Engine API's NetworkCreateRequest. */
  create(request: Readonly<Record<string, unknown>>): Promise<{ Id: string; Warning: string }> {
    return this.#client.json("POST", "/networks/create", { json: request });
  }

  /** Why packets of a container arrive or do not, or with a target, between the two. naru's own. */
  doctor(container: string, target: string): Promise<Finding[]> {
    return this.#client.json("GET", `/naru/v1/containers/${encodeURIComponent(container)}/doctor`, {
      query: { target: target || undefined },
    });
  }

  remove(ref: string): Promise<void> {
    return this.#client.run("DELETE", `/networks/${encodeURIComponent(ref)}`);
  }

  connect(ref: string, container: string, settings: Partial<EndpointSettings>): Promise<void> {
    return this.#client.run("POST", `/networks/${encodeURIComponent(ref)}/connect`, {
      json: { Container: container, EndpointConfig: settings },
    });
  }

  disconnect(ref: string, container: string, options: { force: boolean }): Promise<void> {
    return this.#client.run("POST", `/networks/${encodeURIComponent(ref)}/disconnect`, {
      json: { Container: container, Force: options.force },
    });
  }

  prune(filters?: Filters): Promise<{ NetworksDeleted: string[] | null }> {
    return this.#client.json("POST", "/networks/prune", {
      query: { filters: filtersQuery(filters) },
    });
  }
}
