import type { VolumeBody, VolumeListBody, VolumePruneReport, VolumeSnapshot } from "../spec/mod.ts";
import type { EngineCaller } from "./engine-caller.ts";
import { type Filters, filtersQuery } from "./filters.ts";
import type { RequestBody, WireResponse } from "./wire.ts";

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

  /** With `pause`, containers that run on the volume stand still meanwhile. "" names it after the time. */
  snapshot(volume: string, options: { name: string; pause: boolean }): Promise<VolumeSnapshot> {
    const { name, pause } = options;
    return this.#client.json("POST", ownPath(volume, "snapshot"), {
      query: { name: name || undefined, pause },
    });
  }

  /** Of one volume, or with "" of all: the newest first. */
  snapshots(volume: string): Promise<VolumeSnapshot[]> {
    const query = { volume: volume || undefined };
    return this.#client.json("GET", "/naru/v1/volumes/snapshots", { query });
  }

  removeSnapshot(volume: string, name: string): Promise<void> {
    return this.#client.run("DELETE", ownPath(volume, "snapshot"), { query: { name } });
  }

  restore(volume: string, snapshot: string): Promise<void> {
    return this.#client.run("POST", ownPath(volume, "restore"), { query: { snapshot } });
  }

  /** A tar, plain or compressed (`gzip`, `zstd`). The body must be read or closed. */
  export(volume: string, options: { snapshot: string; compress: string }): Promise<WireResponse> {
    const { snapshot, compress } = options;
    const query = { snapshot: snapshot || undefined, compress: compress || undefined };
    return this.#client.call("GET", ownPath(volume, "export"), { query });
  }

  import(volume: string, body: RequestBody, options: { replace: boolean }): Promise<void> {
    const query = { replace: options.replace || undefined };
    const headers = { "Content-Type": "application/x-tar" };
    return this.#client.run("POST", ownPath(volume, "import"), { query, body, headers });
  }

  prune(filters?: Filters): Promise<VolumePruneReport> {
    return this.#client.json("POST", "/volumes/prune", {
      query: { filters: filtersQuery(filters) },
    });
  }
}

/** naru's own endpoints. */
function ownPath(volume: string, what: string): string {
  return `/naru/v1/volumes/${encodeURIComponent(volume)}/${what}`;
}

function path(name: string): string {
  return `/volumes/${encodeURIComponent(name)}`;
}
