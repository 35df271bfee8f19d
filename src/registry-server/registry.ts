import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { openBlobStore, openMetadata } from "../storage/mod.ts";
import type { HttpHandlers } from "../transport/mod.ts";
import type { Access } from "./access.ts";
import { Catalog } from "./catalog.ts";
import type { RegistryEvents } from "./events.ts";
import type { RegistryParts } from "./exchange.ts";
import { handle } from "./handler.ts";
import { UPLOAD_IDLE_MS } from "./limits.ts";
import type { Rules } from "./rules.ts";
import { Uploads } from "./uploads.ts";

export interface RegistryOptions {
  readonly root: string;
  readonly access: Access;
  readonly rules: Rules;
  readonly events: RegistryEvents;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An open registry: storage under its root, and what answers requests. */
export interface Registry {
  readonly parts: RegistryParts;
  readonly handlers: HttpHandlers;
  close(): Promise<void>;
}

/**
 * Opens the registry under `root`, making it as needed. One process at a time has a root: throws
 * conflict when another one does.
 */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const { root, clock, logger, access, rules, events } = options;
  await mkdir(root, { recursive: true, mode: 0o700 });
  const metadata = await openMetadata(join(root, "registry.db"));
  const blobs = await openBlobStore(root);
  const uploads = await Uploads.open(join(root, "uploads"), blobs, clock);
  const catalog = new Catalog(metadata, clock);
  const parts: RegistryParts = { catalog, blobs, uploads, access, rules, events, clock, logger };
  let stopSweeping = (): void => undefined;
  const sweep = (): void => {
    stopSweeping = clock.after(UPLOAD_IDLE_MS / 24, () => {
      uploads.sweep().catch((error: unknown) => logger.warn("uploads not swept", { error }));
      sweep();
    });
  };
  sweep();
  return {
    parts,
    handlers: {
      request: (request, response) => void handle(parts, request, response),
      wantsConnection: () => false,
      connection: ({ socket }) => socket.destroy(),
    },
    close: async () => {
      stopSweeping();
      await metadata.close();
    },
  };
}
