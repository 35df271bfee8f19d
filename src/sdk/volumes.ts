import type { VolumeBody, VolumeListBody, VolumePruneReport } from "../spec/mod.ts";
import type { EngineCaller } from "./engine-caller.ts";
import { type Filters, filtersQuery } from "./filters.ts";

export interface VolumeCreateRequest {
  /** "" lets the engine choose one. */
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** `/volumes`. */
export class VolumeCalls {
  readonly #client: EngineCaller;

  constructor(client: EngineCaller) {
    this.#client = client;
  }

  list(filters?: Filters): Promise<VolumeListBody> {
    return this.#client.json("GET", "/volumes", { query: { filters: filtersQuery(filters) } });
  }

  inspect(name: string): Promise<VolumeBody> {
    return this.#client.json("GET", path(name));
  }

  create(request: VolumeCreateRequest): Promise<VolumeBody> {
    const { name: Name, driver: Driver, options: DriverOpts, labels: Labels } = request;
    return this.#client.json("POST", "/volumes/create", {
      json: { Name, Driver, DriverOpts, Labels },
    });
  }

  remove(name: string, options: { force: boolean }): Promise<void> {
    return this.#client.run("DELETE", path(name), { query: { force: options.force || undefined } });
  }

  prune(filters?: Filters): Promise<VolumePruneReport> {
    return this.#client.json("POST", "/volumes/prune", {
      query: { filters: filtersQuery(filters) },
    });
  }
}

function path(name: string): string {
  return `/volumes/${encodeURIComponent(name)}`;
}
