import type { Catalog } from "./catalog.ts";
import type { Uploads } from "./uploads.ts";

const SECONDS: readonly number[] = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

/** Counters of a registry, and their text for Prometheus. */
export class Metrics {
  readonly #requests: Map<string, number> = new Map();
  readonly #buckets: number[] = SECONDS.map(() => 0);
  #durationSeconds = 0;
  #count = 0;
  #sentBytes = 0;
  #receivedBytes = 0;

  /** `endpoint` and `method` are of a closed set: each pair is a time series. */
  request(of: { endpoint: string; method: string; status: number; seconds: number }): void {
    const labels = `endpoint="${of.endpoint}",method="${of.method}",status="${of.status}"`;
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1);
    this.#count += 1;
    this.#durationSeconds += of.seconds;
    for (const [index, limit] of SECONDS.entries()) {
      if (of.seconds <= limit) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    }
  }

  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  received(bytes: number): void {
    this.#receivedBytes += bytes;
  }

  /** @see Prometheus "Text-based format" 0.0.4 */
  text({ catalog, uploads }: Counted, more: Gauges): string {
    const out: string[] = [];
    const metric = (name: string, type: string, help: string, samples: Samples): void => {
      out.push(`# HELP naru_registry_${name} ${help}`, `# TYPE naru_registry_${name} ${type}`);
      for (const [suffix, value] of samples) out.push(`naru_registry_${name}${suffix} ${value}`);
    };
    const requests = [...this.#requests].map(([labels, count]) => [`{${labels}}`, count] as const);
    metric("requests_total", "counter", "Requests answered.", requests);
    metric("request_seconds", "histogram", "Time to the end of the answer.", [
      ...SECONDS.map((limit, at) => [`_bucket{le="${limit}"}`, this.#buckets[at] ?? 0] as const),
      ['_bucket{le="+Inf"}', this.#count],
      ["_sum", this.#durationSeconds],
      ["_count", this.#count],
    ]);
    metric("sent_bytes_total", "counter", "Bytes of blobs sent.", [["", this.#sentBytes]]);
    metric("received_bytes_total", "counter", "Bytes of blobs and manifests received.", [
      ["", this.#receivedBytes],
    ]);
    const count = { tags: 0, manifests: 0, blobs: 0, bytes: 0 };
    for (const repository of catalog.all()) {
      count.tags += repository.tags.size;
      count.manifests += repository.manifests.size;
      count.blobs += repository.blobs.size;
      count.bytes += repository.sizeBytes;
    }
    metric("repositories", "gauge", "Repositories.", [["", catalog.names().length]]);
    metric("tags", "gauge", "Tags of all repositories.", [["", count.tags]]);
    metric("manifests", "gauge", "Manifests of all repositories.", [["", count.manifests]]);
    metric("blobs", "gauge", "Blobs of all repositories, each once per repository.", [
      ["", count.blobs],
    ]);
    metric("repository_bytes", "gauge", "Bytes before deduplication across repositories.", [
      ["", count.bytes],
    ]);
    metric("uploads", "gauge", "Uploads that clients may go on with.", [["", uploads.count]]);
    metric("uploads_receiving", "gauge", "Uploads whose bytes arrive now.", [
      ["", uploads.receiving],
    ]);
    for (const [name, { type, help, value }] of Object.entries(more)) {
      metric(name, type, help, [["", value]]);
    }
    return `${out.join("\n")}\n`;
  }
}

/** What is counted when it is asked for. */
export interface Counted {
  readonly catalog: Catalog;
  readonly uploads: Uploads;
}

type Samples = readonly (readonly [suffix: string, value: number])[];

/** Values that other parts of the server know. */
export type Gauges = Readonly<
  Record<
    string,
    { readonly type: "gauge" | "counter"; readonly help: string; readonly value: number }
  >
>;
