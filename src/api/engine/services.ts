import type { ContainerService } from "../../containers/mod.ts";
import type { EventBus } from "../../events/mod.ts";
import type { ImageService } from "../../images/mod.ts";
import type { NetworkService } from "../../network/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import type { Descriptor, Platform } from "../../spec/mod.ts";
import type { VolumeService } from "../../volumes/mod.ts";
import type { SystemFacts } from "./system-facts.ts";

/** What the Engine API asks of registries directly. The composition root has a client of them. */
export interface RegistryService {
  /** Throws unauthorized. */
  checkAuth(
    credentials: RegistryCredentials,
    signal: AbortSignal,
  ): Promise<{ readonly status: string; readonly identityToken: string }>;
  /** `name` as a user types it. Throws not_found, unauthorized, invalid_argument. */
  inspect(name: string, access: RegistryAccess): Promise<RemoteImage>;
  search(
    term: string,
    options: { readonly limit: number; readonly access: RegistryAccess },
  ): Promise<readonly SearchResult[]>;
}

export interface RegistryAccess {
  readonly credentials: RegistryCredentials | undefined;
  readonly signal: AbortSignal;
}

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
  readonly registryToken: string;
  readonly serverAddress: string;
}

export interface RemoteImage {
  readonly descriptor: Descriptor;
  readonly platforms: readonly Platform[];
}

export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly starCount: number;
  readonly isOfficial: boolean;
}

/** What the Engine API stands on. */
export interface EngineServices {
  readonly containers: ContainerService;
  readonly images: ImageService;
  readonly networks: NetworkService;
  readonly registry: RegistryService;
  readonly volumes: VolumeService;
  readonly events: EventBus;
  /** Asked at each `info` and `version`: some facts change. */
  readonly facts: () => SystemFacts | Promise<SystemFacts>;
  readonly logger: Logger;
}

export interface EngineApiOptions {
  /** naru's own version, shown as the engine's. */
  readonly engineVersion: string;
  /** An upload (load, import) may pause so long; a slower sender is dropped. */
  readonly uploadIdleMs?: number;
}
