import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { createWorkQueue, openBlobStore, openMetadata, type WorkQueue } from "../storage/mod.ts";
import type { Access } from "./access.ts";
import { Catalog } from "./catalog.ts";
import type { RegistryEvents } from "./events.ts";
import type { RegistryParts } from "./exchange.ts";
import { collectGarbage, type GarbageLine } from "./garbage.ts";
import { Metrics } from "./metrics.ts";
import type { Rules } from "./rules.ts";
import { Uploads } from "./uploads.ts";
import type { Upstream } from "./upstream.ts";

export interface RegistryOptions {
  readonly root: string;
  readonly access: Access;
  readonly rules: Rules;
  /** What hears of pushes and pulls; made with the queue for work that must survive. */
  readonly events: (work: WorkQueue) => RegistryEvents;
  /** Of a read-through cache. */
  readonly upstream?: (parts: CacheParts) => Upstream;
  /** Of a read-through cache: how long it keeps what nobody asks for. */
  readonly unusedMs?: number | undefined;
  readonly leaseMs: number;
  /** False for a command that looks after a root that no server serves. */
  readonly isServed: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a cache keeps things in. */
export type CacheParts = Pick<RegistryParts, "catalog" | "blobs" | "clock" | "logger">;

/** An open registry: everything under its root. */
export interface Registry {
  readonly parts: RegistryParts;
  /** One collection at a time: a second one follows the first. */
  collect(dryRun: boolean): AsyncGenerator<GarbageLine, void, undefined>;
  close(): Promise<void>;
}

/**
 * Opens the registry under `root`, making it as needed. One process at a time has a root: throws
 * conflict when another one does.
 */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const { root, clock, logger, access, rules } = options;
  await mkdir(root, { recursive: true, mode: 0o700 });
  const metadata = await openMetadata(join(root, "registry.db"));
  const work = createWorkQueue(metadata, { clock, logger });
  const blobs = await openBlobStore(root);
  const uploads = await Uploads.open(join(root, "uploads"), blobs, clock);
  const { leaseMs, isServed } = options;
  const catalog = new Catalog(metadata, { clock, leaseMs, isServed });
  const events = options.events(work);
  const metrics = new Metrics();
  const upstream = options.upstream?.({ catalog, blobs, clock, logger });
  const parts = {
    catalog,
    blobs,
    uploads,
    access,
    rules,
    events,
    metrics,
    upstream,
    clock,
    logger,
  };
  work.start();
  let collecting: Promise<unknown> = Promise.resolve();
  return {
    parts,
    async *collect(dryRun) {
      const before = collecting;
      const { promise, resolve } = Promise.withResolvers<void>();
      collecting = promise;
      await before;
      try {
        yield* collectGarbage({ ...parts, unusedMs: options.unusedMs }, { dryRun });
      } finally {
        resolve();
      }
    },
    close: async () => {
      await work.stop();
      await metadata.close();
    },
  };
}
